import Alignment
import Files
import Foundation
import LanguageModels
import Safetensors
import Torch
import TorchNN
import TorchOptim
import Training

/// A captioner with its loss and optimizer, advanced one batch of embeddings and captions at a time.
///
/// It knows nothing of image files, loaders and logs. A frozen language model gets no gradients of its weights;
/// gradients only flow through it into the prefix.
public final class CaptionerTask {
    public let model: any CaptionModel
    public let optimizer: AdamW
    private let schedule: Schedule
    private let settings: TrainingSettings
    private let dtype: DType
    private let trainsLanguageModel: Bool
    /// Draws the dropout masks of the language model; part of the state.
    private let dropoutGenerator: Generator

    /// One batch.
    public struct Batch {
        public let ids: [String]
        /// `[B, d]`, or `[B, T, D]` for the states of a layer; row i is the image of caption i.
        public let features: Tensor
        /// Captions of a range of rows, so that each part of a batch is padded to its own longest caption.
        public let tokens: (Range<Int>) -> CaptionTokens

        public init(ids: [String], features: Tensor, tokens: @escaping (Range<Int>) -> CaptionTokens) {
            self.ids = ids
            self.features = features
            self.tokens = tokens
        }
    }

    /// - Parameters:
    ///   - model: with weights; a language model that is trained needs memory of its own (`WeightMemory.owned`).
    ///   - totalSteps: length of the run, for the schedule.
    /// - Throws: `OptimizerError`.
    public init(model: any CaptionModel, recipe: CaptionerRecipe, dtype: DType, totalSteps: Int) throws {
        self.model = model
        self.dtype = dtype
        settings = recipe.training
        trainsLanguageModel = !recipe.languageModel.frozen
        schedule = recipe.training.schedule(totalSteps: totalSteps)
        dropoutGenerator = Generator(seed: UInt64(recipe.training.seed) &+ 0x5851_F42D, device: model.device)
        for part in model.parts { part.module.setRequiresGrad(true) }
        model.languageModel.setRequiresGrad(trainsLanguageModel)
        if trainsLanguageModel, recipe.languageModel.dropout { model.languageModel.dropoutGenerator = dropoutGenerator }
        var groups = [ParameterGroup]()
        for part in model.parts {
            groups.append(
                ParameterGroup(
                    name: part.name, parameters: part.module.namedParameters(prefix: part.keyPrefix),
                    learningRate: settings.learningRate, weightDecay: settings.weightDecay))
        }
        if trainsLanguageModel {
            groups.append(
                ParameterGroup(
                    name: "language_model", parameters: model.languageModel.namedParameters(prefix: "gpt"),
                    learningRate: settings.learningRate, weightDecay: settings.weightDecay))
        }
        optimizer = try AdamW(groups, beta2: settings.beta2, eps: settings.epsilon)
    }

    /// Forward, loss, backward, clip, AdamW.
    /// - Throws: ``TrainingError/nonFiniteLoss(step:value:samples:)`` before the optimizer step; then no weight has
    ///   changed.
    public func step(_ batch: Batch, step: Int) throws -> StepReport {
        setTraining(true)
        defer { setTraining(false) }
        optimizer.zeroGradients()
        let loss = packingFrozenWeights { backward(batch) }
        guard loss.isFinite else {
            optimizer.zeroGradients()
            throw TrainingError.nonFiniteLoss(step: step + 1, value: "\(loss)", samples: batch.ids)
        }
        let norm = clipGradientNorm(optimizer.parameters, maximum: settings.clipNorm ?? .infinity)
        guard norm.isFinite else {
            optimizer.zeroGradients()
            throw TrainingError.nonFiniteLoss(
                step: step + 1, value: "\(loss) with a gradient of norm \(norm)", samples: batch.ids)
        }
        let factor = schedule.factor(at: step)
        optimizer.step(scale: factor)
        optimizer.zeroGradients()
        return StepReport(
            loss: loss,
            metrics: [
                Metric("gradient_norm", norm), Metric("learning_rate", settings.learningRate * factor),
            ])
    }

    /// Adds the gradient of the batch's mean loss to every trained parameter, part by part.
    private func backward(_ batch: Batch) -> Double {
        let size = settings.microBatchSize ?? batch.ids.count
        let parts = stride(from: 0, to: batch.ids.count, by: size).map {
            $0..<min($0 + size, batch.ids.count)
        }.map { (range: $0, tokens: batch.tokens($0)) }
        let total = parts.reduce(0) { $0 + $1.tokens.countedTokens }
        var sum = 0.0
        for part in parts {
            let share = Double(part.tokens.countedTokens) / Double(max(1, total))
            let mean = computing { model.loss(features: batch.features[part.range], captions: part.tokens) }
            guard let mean else { continue }
            let loss = parts.count == 1 ? mean : mean * share
            sum += loss.item()
            loss.backward()
        }
        return sum
    }

    /// Mean loss over the tokens of batches, without dropout and gradients.
    public func meanLoss(_ batches: some Sequence<Batch>) -> Double {
        var (sum, count) = (0.0, 0)
        for batch in batches {
            let tokens = batch.tokens(0..<batch.ids.count)
            let mean = withoutGradients { computing { model.loss(features: batch.features, captions: tokens)?.item() } }
            sum += (mean ?? 0) * Double(tokens.countedTokens)
            count += tokens.countedTokens
        }
        return sum / Double(max(1, count))
    }

    private func computing<Result>(_ body: () -> Result) -> Result {
        Torch.computing(in: dtype, on: model.device, body)
    }

    private func setTraining(_ on: Bool) {
        for part in model.parts { part.module.setTraining(on) }
        model.languageModel.setTraining(on && trainsLanguageModel)
    }
}

// MARK: State
//
//   captioner.json                sizes and conventions
//   one file per part             ClipCap: mapper.safetensors, clip_project.…, the authors' keys
//   language_model.safetensors    transformers' keys; absent when it is frozen
//   optimizer.safetensors         AdamW's moments and counts

extension CaptionerTask {
    public enum Files {
        public static let languageModel = "language_model.safetensors"
        public static let optimizer = "optimizer.safetensors"
    }

    /// Writes the state into `folder`. Each file is atomic; the caller publishes the set.
    public func save(to folder: String) throws {
        try CaptionerFile.write(model.architecture, to: folder)
        for part in model.parts {
            try part.module.save(to: "\(folder)/\(part.file)", metadata: ["format": "pt"], prefix: part.keyPrefix)
        }
        if trainsLanguageModel {
            try model.languageModel.save(to: "\(folder)/\(Files.languageModel)", metadata: ["format": "pt"])
        }
        try Weights.save(optimizer.stateTensors, to: "\(folder)/\(Files.optimizer)")
    }

    /// Takes over what `save(to:)` wrote, strictly.
    /// - Throws: `CaptioningError`, `StateMismatch`, `SafetensorsError`.
    public func load(from folder: String) throws {
        let written = try CaptionerFile.read(folder)
        guard model.architecture.isEqual(to: written) else {
            throw CaptioningError.badFile(
                path: "\(folder)/\(CaptionerFile.name)",
                reason: "describes another captioner than the recipe does; was one of them changed?")
        }
        var files = model.parts.map { ($0.file, $0.keyPrefix, $0.module) }
        if trainsLanguageModel { files.append((Files.languageModel, "", model.languageModel)) }
        for (name, prefix, module) in files {
            guard FileSystem.exists("\(folder)/\(name)") else {
                throw CaptioningError.missingFile(folder: folder, name: name)
            }
            // Copied into place: the optimizer holds these tensors.
            try module.overwrite(from: Weights(path: "\(folder)/\(name)"), prefix: prefix)
        }
        guard FileSystem.exists("\(folder)/\(Files.optimizer)") else {
            throw CaptioningError.missingFile(folder: folder, name: Files.optimizer)
        }
        try optimizer.loadState(Weights(path: "\(folder)/\(Files.optimizer)"))
    }

    public var generatorStates: [String: [UInt8]] { ["dropout": dropoutGenerator.state] }

    public func restoreGenerators(_ states: [String: [UInt8]]) {
        if let state = states["dropout"] { dropoutGenerator.state = state }
    }
}
