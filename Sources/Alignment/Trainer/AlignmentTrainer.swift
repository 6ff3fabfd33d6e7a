import Datasets
import Encoders
import Foundation
import Images
import Safetensors
import Torch
import TorchNN
import Training

/// Trains `f_g` on a pairs manifest as a recipe says: what `gmail align` runs.
///
/// Owns the data's side of Algorithm 1 (which images are read, which features are cached) and hands batches to
/// `AlignmentTask`, which owns the model's side. `Training.TrainingLoop` drives it.
public final class AlignmentTrainer {
    public let recipe: AlignmentRecipe
    public let task: AlignmentTask
    public let manifest: PairsManifest
    public let validation: PairsManifest?

    private let modelFolder: String
    private let clip: CLIPModel
    private let processor: CLIPProcessor
    private let frozen: FrozenFeatures
    private let frozenValidation: FrozenFeatures?
    private let weightsHash: String
    private let note: (String) -> Void

    /// Where the data stands and how much of it a run may see.
    public struct Inputs {
        public var model: String
        public var pairs: String
        public var validation: String?
        /// Features of the frozen side; shared by runs.
        public var cache: String
        /// SHA-256 of the model's weights.
        public var weightsHash: String
        public var device: Device

        public init(
            model: String, pairs: String, validation: String?, cache: String, weightsHash: String, device: Device
        ) {
            self.model = model
            self.pairs = pairs
            self.validation = validation
            self.cache = cache
            self.weightsHash = weightsHash
            self.device = device
        }
    }

    /// Reads model and manifests and sets up towers, projections, loss and optimizer.
    /// - Parameter note: gets lines for the user: what is computed before the first step.
    /// - Throws: errors of the model's files, the manifests and the recipe.
    public init(_ recipe: AlignmentRecipe, _ inputs: Inputs, note: @escaping (String) -> Void = { _ in }) throws {
        self.recipe = recipe
        self.note = note
        modelFolder = inputs.model
        weightsHash = inputs.weightsHash
        manifest = try PairsManifest(path: inputs.pairs)
        validation = try inputs.validation.map { try PairsManifest(path: $0) }
        // Trained weights need memory of their own; a frozen trunk may stay where the file is mapped.
        let memory: WeightMemory = recipe.adapter.kind == .full ? .owned : .mapped
        clip = try CLIPModel(folder: inputs.model, dtype: .float32, device: inputs.device, memory: memory)
        processor = try CLIPProcessor(folder: inputs.model, configuration: clip.configuration)
        let precision = try Precision(recipe.training.precision, on: inputs.device)
        task = try AlignmentTask(trunk: clip, settings: AlignmentSettings(recipe, precision: precision))
        let (preprocessing, dimension, hash) = (
            processor.preprocessing, clip.configuration.projectionDimension, inputs.weightsHash
        )
        func features(_ manifest: PairsManifest) throws -> FrozenFeatures {
            try FrozenFeatures(
                manifest: manifest, folder: inputs.cache, weightsHash: hash, preprocessing: preprocessing,
                precision: precision,
                dimension: dimension)
        }
        frozen = try features(manifest)
        frozenValidation = try validation.map(features)
        guard manifest.count >= recipe.training.batchSize else {
            throw AlignmentError.invalidSetting(
                setting: "training.batchSize",
                expected: "at most \(manifest.count), the number of pairs in \(manifest.path)",
                got: "\(recipe.training.batchSize)")
        }
    }

    /// What the run folder's manifest records.
    public func runManifest(versions: [String: String]) throws -> RunManifest {
        var sources = [
            RunManifest.Source(role: "pairs", path: manifest.path, sha256: manifest.contentHash, count: manifest.count),
            RunManifest.Source(
                role: "model", path: modelFolder, sha256: weightsHash, count: clip.parameterCount().total),
        ]
        if let validation {
            sources.append(
                .init(
                    role: "validation", path: validation.path, sha256: validation.contentHash, count: validation.count))
        }
        let trained = task.optimizer.parameters.reduce(0) { $0 + $1.count }
        return RunManifest(
            sources: sources,
            parameterGroups: task.optimizer.groups.map {
                .init(
                    name: $0.name, tensors: $0.parameters.count, elements: $0.elementCount,
                    learningRate: $0.learningRate,
                    weightDecay: $0.weightDecay)
            },
            frozenElements: clip.parameterCount().total - (task.settings.tuning == .full ? trained : 0),
            seed: recipe.training.seed, device: "\(task.device)", dtype: task.settings.precision.rawValue,
            versions: versions, steps: recipe.totalSteps(pairCount: manifest.count))
    }

    /// Computes the frozen side's features for every pair that the run will see.
    public func prepare() throws {
        let total = recipe.totalSteps(pairCount: manifest.count)
        var indices = Set<Int>()
        var sampler = try sampler(SamplerPosition())
        // An epoch leaves out its incomplete batch, so a pair may first be met in a later one.
        for _ in 0..<total {
            guard indices.count < manifest.count, let batch = sampler.next() else { break }
            indices.formUnion(batch.indices)
        }
        try fill(frozen, indices.sorted())
        if let frozenValidation, let validation {
            try fill(frozenValidation, Array(0..<validation.count))
        }
    }

    private func fill(_ features: FrozenFeatures, _ indices: [Int]) throws {
        let loss = task.settings.loss
        if loss.needsReal && !loss.needsRealPixels {
            var lastShown = ContinuousClock.now
            try features.fillReal(
                indices, preprocessing: processor.preprocessing,
                progress: { done, total in
                    let now = ContinuousClock.now
                    guard done < total, now - lastShown > .seconds(2) else { return }
                    lastShown = now
                    note("features of real images (f_r): \(done)/\(total)")
                },
                encode: { pixels in
                    inferenceMode {
                        task.computing { clip.imageFeatures(pixels.to(task.device)) }.to(.float32)
                    }
                })
        }
        if loss.needsText {
            try features.fillText(indices) { captions in
                let (ids, truncated) = try processor.tokens(captions, folder: modelFolder)
                if !truncated.isEmpty {
                    note("\(truncated.count) of \(captions.count) captions cut to the context of the text encoder")
                }
                return inferenceMode { task.computing { clip.textFeatures(ids.to(task.device)) }.to(.float32) }
            }
        }
    }

    private func sampler(_ position: SamplerPosition) throws -> ShuffledSampler {
        try ShuffledSampler(
            count: manifest.count, batchSize: recipe.training.batchSize, seed: UInt64(recipe.training.seed),
            position: position)
    }

    /// The run's batches from a position on.
    public func batches(from position: SamplerPosition, skipped: [SkippedSample]) throws -> PiecewiseLoader {
        try loader(sampler(position), size: recipe.training.batchSize, manifest, frozen, skipped)
    }

    private func loader<Batches: IteratorProtocol & Sendable>(
        _ batches: Batches, size: Int, _ manifest: PairsManifest, _ features: FrozenFeatures, _ skipped: [SkippedSample]
    ) throws -> PiecewiseLoader where Batches.Element == SampledBatch {
        let needsRealPixels = task.settings.loss.needsRealPixels
        let needsReal = task.settings.loss.needsReal
        let trainsOnReal = recipe.data.images == .real
        // Who lacks features of the real image is asked for its pixels, so that the loader finds and counts what is broken.
        let unreadable = needsReal ? features.unreadable : []
        return try PiecewiseLoader(
            batches, batchSize: size, pieceSize: recipe.training.microBatchSize, sampleCount: manifest.count,
            streams: 2,
            usedStreams: needsRealPixels ? 2 : 1, preprocessing: processor.preprocessing,
            maximumSkippedShare: recipe.data.maximumSkippedShare, skipped: skipped
        ) { index in
            let pair = try manifest.pair(at: index)
            let real = pair.real.map { ImageSource.file(manifest.resolve($0)) }
            let first = trainsOnReal ? real : .file(manifest.resolve(pair.generated))
            let isUnreadable = pair.real.map(unreadable.contains) ?? false
            return ImageSample(id: pair.id, images: [first, needsRealPixels || isUnreadable ? real : nil])
        }
    }

    private func pieces(_ batch: PiecewiseBatch, _ manifest: PairsManifest, _ features: FrozenFeatures)
        -> AlignmentPieces
    {
        let (device, loss) = (task.device, task.settings.loss)
        func images<Tag: ModalityTag>(_ stream: Int, _ number: Int) throws -> ImageBatch<Tag>? {
            guard let piece = try batch.piece(number) else { return nil }
            guard let pixels = piece.pixels[stream].tensor() else {
                throw AlignmentError.missingInput(
                    what: "\(Tag.modality) images of '\(piece.ids[0])'", reason: "the loss compares with")
            }
            return ImageBatch<Tag>(pixels.to(device))
        }
        return AlignmentPieces(
            generated: { try images(0, $0) }, real: { try images(1, $0) },
            pairs: {
                let pairs = try batch.indices.map { try manifest.pair(at: $0) }
                return AlignmentPieces.Pairs(
                    ids: batch.ids, realIDs: pairs.map { $0.real ?? $0.id },
                    real: loss.needsReal && !loss.needsRealPixels ? try features.real(pairs) : nil,
                    text: loss.needsText ? try features.text(pairs) : nil)
            })
    }
}

extension AlignmentTrainer: TrainingTask {
    public typealias Batch = PiecewiseBatch

    public func step(_ batch: PiecewiseBatch, step: Int) throws -> Training.StepReport {
        task.step = step
        let report = try task.step(pieces(batch, manifest, frozen))
        var metrics = [Metric("gradient_norm", report.gradientNorm)]
        if let cosine = report.pairedCosine { metrics.append(Metric("paired_cosine", cosine)) }
        if report.terms.count > 1 { metrics += report.terms.map { Metric("loss/\($0.name)", $0.value) } }
        metrics += report.learningRates.map { Metric("learning_rate/\($0.name)", $0.value) }
        return Training.StepReport(loss: report.loss, metrics: metrics)
    }

    /// Loss, paired cosine and generated-to-real recall on the validation pairs; nothing without them.
    public func validate() throws -> [Metric] {
        guard let validation, let frozenValidation else { return [] }
        let size = min(recipe.training.batchSize, validation.count)
        let source = try loader(
            SequentialSampler(count: validation.count, batchSize: size), size: size, validation, frozenValidation, [])
        let report = try task.validate {
            while let batch = try source.next() {
                // A last batch of one pair has no negatives to be contrasted with.
                if try batch.piece(1) != nil || batch.count > 1 {
                    return self.pieces(batch, validation, frozenValidation)
                }
            }
            return nil
        }
        var metrics = [Metric("loss", report.loss)]
        if let cosine = report.pairedCosine { metrics.append(Metric("paired_cosine", cosine)) }
        metrics += report.recall.map { Metric("recall@\($0.k)", $0.value) }
        return metrics
    }

    public func save(to folder: String) throws {
        try task.save(to: folder, baseModel: modelFolder)
    }

    public func load(from folder: String) throws {
        try task.load(from: folder)
    }

    public var generatorStates: [String: [UInt8]] { ["dropout": [UInt8](task.progress.dropoutGenerator)] }

    public func restoreGenerators(_ states: [String: [UInt8]]) throws {
        guard let state = states["dropout"] else { return }
        task.progress = .init(step: task.step, dropoutGenerator: Data(state))
    }
}

extension Precision {
    /// - Throws: `TorchError` when libtorch cannot be asked what the CPU multiplies.
    public init(_ precision: AlignmentRecipe.TrainingSettings.Precision, on device: Device) throws {
        switch precision {
        case .float32: self = .float32
        case .bfloat16: self = .bfloat16
        case .auto: self = try device != .cpu || TorchRuntime.cpuMultipliesBFloat16() ? .bfloat16 : .float32
        }
    }
}
