import Encoders
import Foundation
import Torch
import TorchNN
import TorchOptim

// Contrastive training of the small CLIP (Radford et al. 2021, fig. 3). One process, one batch at a time, float32.

/// How the small CLIP is trained.
public struct ContrastiveRecipe: Codable, Sendable, Equatable {
    public var steps = 400
    /// Pairs per step; each is a negative for all others.
    public var batchSize = 128
    public var learningRate = 1e-3
    /// Steps of linear warm-up.
    public var warmup = 40
    /// Of matrices; biases, norms, embeddings and the logit scale are not decayed.
    public var weightDecay = 0.1
    public var beta2 = 0.98
    public var maximumGradientNorm = 1.0
    public var seed: UInt64 = 0

    public init() {}
}

/// Pictures and texts ready for the model.
public struct ContrastiveData {
    /// `[N, 3, S, S]` float32, preprocessed.
    public let pixels: Tensor
    /// `[N · K, T]` int64: K texts of each picture, one after the other.
    public let ids: Tensor
    public let textsPerImage: Int
    /// Number of each distinct text, for every row of `ids`: texts that read alike have the same.
    let textClass: [Int]

    /// - Parameter texts: K of each picture, one after the other, which `ids` were made from.
    public init(pixels: Tensor, ids: Tensor, texts: [String]) {
        precondition(ids.size(0) == texts.count && texts.count % pixels.size(0) == 0)
        self.pixels = pixels
        self.ids = ids
        textsPerImage = texts.count / pixels.size(0)
        var classes: [String: Int] = [:]
        textClass = texts.map { text in
            let number = classes[text] ?? classes.count
            classes[text] = number
            return number
        }
    }

    public var count: Int { pixels.size(0) }
}

/// A run that cannot go on.
public enum ContrastiveTrainingError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case tooFewScenes(count: Int, batchSize: Int)
    case invalidSetting(name: String, expected: String, got: String)
    case nonFinite(what: String, step: Int, value: Double, learningRate: Double)

    public var description: String {
        switch self {
        case .tooFewScenes(let count, let batchSize):
            "\(count) training scenes for batches of \(batchSize): at least one full batch is needed; render more scenes or lower the batch size"
        case .invalidSetting(let name, let expected, let got):
            "training setting '\(name)' is \(got), expected \(expected)"
        case .nonFinite(let what, let step, let value, let learningRate):
            "the \(what) of training step \(step) is \(value) (learning rate \(learningRate)): training has diverged and was stopped, nothing was saved; lower the learning rate"
        }
    }

    public var errorDescription: String? { description }
}

/// Trains a CLIP with the symmetric contrastive loss.
public final class ContrastiveTraining {
    public let model: CLIPModel
    public let recipe: ContrastiveRecipe
    private let data: ContrastiveData
    private let optimizer: AdamW
    private let schedule: Schedule
    private var random: SplitMix
    private var queue: [Int] = []

    /// - Parameter model: fresh or to be trained on; every parameter gets trained.
    /// - Throws: `ContrastiveTrainingError` for settings that cannot work.
    public init(_ model: CLIPModel, data: ContrastiveData, recipe: ContrastiveRecipe) throws {
        func check(_ holds: Bool, _ name: String, _ expected: String, _ got: some CustomStringConvertible) throws {
            guard holds else {
                throw ContrastiveTrainingError.invalidSetting(name: name, expected: expected, got: "\(got)")
            }
        }
        try check(recipe.steps >= 1, "steps", "1 or more", recipe.steps)
        try check(
            recipe.batchSize >= 2, "batchSize", "2 or more, since the others of a batch are the negatives",
            recipe.batchSize)
        try check(
            recipe.learningRate > 0 && recipe.learningRate.isFinite, "learningRate", "a positive number",
            recipe.learningRate)
        try check((0..<recipe.steps).contains(recipe.warmup), "warmup", "0 to steps - 1", recipe.warmup)
        guard data.count >= recipe.batchSize else {
            throw ContrastiveTrainingError.tooFewScenes(count: data.count, batchSize: recipe.batchSize)
        }
        self.model = model
        self.data = data
        self.recipe = recipe
        model.setRequiresGrad(true)
        model.setTraining(true)
        let parameters = model.namedParameters()
        let decayed = parameters.filter { $0.tensor.rank > 1 && !$0.key.contains("embedding") }
        let others = parameters.filter { !($0.tensor.rank > 1 && !$0.key.contains("embedding")) }
        optimizer = try AdamW(
            [
                ParameterGroup(
                    name: "matrices", parameters: decayed, learningRate: recipe.learningRate,
                    weightDecay: recipe.weightDecay),
                ParameterGroup(name: "others", parameters: others, learningRate: recipe.learningRate, weightDecay: 0),
            ], beta2: recipe.beta2)
        schedule = .cosine(steps: recipe.steps, warmup: recipe.warmup, minimum: 0)
        random = SplitMix(seed: recipe.seed, stream: 11)
    }

    /// Runs all steps.
    /// - Parameter report: called after each step with its number (from 1) and loss in nats; `log(batchSize)` is chance.
    /// - Returns: the loss of every step.
    @discardableResult
    public func run(_ report: (Int, Double) -> Void = { _, _ in }) throws -> [Double] {
        var losses: [Double] = []
        for step in 0..<recipe.steps {
            let (images, texts) = nextBatch()
            let loss = contrastiveLoss(
                image: model.imageFeatures(data.pixels.indexSelect(0, images)),
                text: model.textFeatures(data.ids.indexSelect(0, texts)), logitScale: model.logitScale)
            let value = loss.item()
            try requireFinite("loss", value, step)
            loss.backward()
            let norm = clipGradientNorm(optimizer.parameters, maximum: recipe.maximumGradientNorm)
            try requireFinite("gradient norm", norm, step)
            optimizer.step(scale: schedule.factor(at: step))
            optimizer.zeroGradients()
            // A larger scale would let single pairs rule the gradient (Radford et al., section 2.5).
            withoutGradients { model.logitScale.copy(from: model.logitScale.clamped(-.infinity, log(100))) }
            losses.append(value)
            report(step + 1, value)
        }
        model.setTraining(false)
        model.setRequiresGrad(false)
        model.weightsDidChange()
        return losses
    }

    /// Rows of pictures and of one text each. No picture comes twice, and where a picture has another text to offer, no
    /// text either: a pair must not be its own negative.
    private func nextBatch() -> (images: Tensor, texts: Tensor) {
        if queue.count < recipe.batchSize {
            queue = Array(0..<data.count)
            random.shuffle(&queue)
        }
        let images = Array(queue.suffix(recipe.batchSize))
        queue.removeLast(recipe.batchSize)
        var used: Set<Int> = []
        let texts = images.map { image in
            let first = random.integer(below: data.textsPerImage)
            let rows = (0..<data.textsPerImage).map { image * data.textsPerImage + (first + $0) % data.textsPerImage }
            let row = rows.first { !used.contains(data.textClass[$0]) } ?? rows[0]
            used.insert(data.textClass[row])
            return row
        }
        return (Tensor(images), Tensor(texts))
    }

    private func requireFinite(_ what: String, _ value: Double, _ step: Int) throws {
        guard !value.isFinite else { return }
        throw ContrastiveTrainingError.nonFinite(
            what: what, step: step + 1, value: value, learningRate: recipe.learningRate * schedule.factor(at: step))
    }
}

/// Symmetric InfoNCE over a batch of pairs (CLIP, Radford et al. 2021, fig. 3).
/// - Parameters:
///   - image: `[B, D]`, any length. - text: `[B, D]`, row i pairs with image row i.
///   - logitScale: scalar, as stored: a logarithm.
/// - Returns: scalar mean loss in nats; `log(B)` for embeddings that tell nothing.
public func contrastiveLoss(image: Tensor, text: Tensor, logitScale: Tensor) -> Tensor {
    let logits = image.normalized().matmul(text.normalized().transposed(0, 1)) * logitScale.exp()  // [B, B]
    let targets = Tensor.arange(0, logits.size(0), device: logits.device)
    return (Functional.crossEntropy(logits, targets) + Functional.crossEntropy(logits.transposed(0, 1), targets)) / 2
}
