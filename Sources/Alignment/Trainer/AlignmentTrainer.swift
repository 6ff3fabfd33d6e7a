import Datasets
import Encoders
import Files
import Foundation
import Images
import ModelFolders
import Terminal
import Torch
import TorchNN
import Training

/// Trains `f_g` on a pairs manifest according to a recipe, as `gmail align` does.
///
/// It owns the data side of Algorithm 1 (which images are read, which features are cached) and passes batches to
/// `AlignmentTask`, which owns the model side. `Training.TrainingLoop` drives it.
public final class AlignmentTrainer {
    public let recipe: AlignmentRecipe
    public let task: AlignmentTask
    public let manifest: PairsManifest
    public let validation: PairsManifest?

    private let encoder: OpenEncoder
    private let text: TextReader?
    let frozen: FrozenFeatures
    private let frozenValidation: FrozenFeatures?
    private let fingerprint: ModelFingerprint
    let note: (String) -> Void
    private var watch = PartingWatch()

    /// The paths of model and data.
    public struct Inputs {
        public var model: String
        public var pairs: String
        public var validation: String?
        /// Cache for features of the frozen side; runs may share it.
        public var cache: String
        public var hashes: FileHashes
        public var device: Device

        public init(
            model: String, pairs: String, validation: String?, cache: String, hashes: FileHashes = FileHashes(),
            device: Device
        ) {
            self.model = model
            self.pairs = pairs
            self.validation = validation
            self.cache = cache
            self.hashes = hashes
            self.device = device
        }
    }

    /// Reads model and manifests and sets up towers, projections, loss and optimizer.
    /// - Parameter note: gets lines for the user about what is computed before the first step.
    /// - Throws: errors of the model's files, the manifests and the recipe.
    public init(_ recipe: AlignmentRecipe, _ inputs: Inputs, note: @escaping (String) -> Void = { _ in }) throws {
        self.recipe = recipe
        self.note = note
        manifest = try PairsManifest(path: inputs.pairs, half: recipe.data.half)
        validation = try inputs.validation.map { try PairsManifest(path: $0) }
        guard manifest.count >= recipe.training.batchSize else {
            throw AlignmentError.tooFewPairs(
                manifest: manifest.path, count: manifest.count, batchSize: recipe.training.batchSize)
        }
        // Trained weights need memory of their own; a frozen trunk may stay in the mapped file.
        encoder = try EncoderFolder.open(
            inputs.model, dtype: .float32, device: inputs.device,
            memory: recipe.adapter.kind == .full ? .owned : .mapped)
        fingerprint = try encoder.fingerprint(inputs.hashes)
        encoder.notes.forEach(note)
        let dtype = try recipe.training.precision.dtype(on: inputs.device)
        var settings = AlignmentSettings(recipe, encoder: encoder.image, dtype: dtype)
        settings.schedule = recipe.training.schedule(
            totalSteps: recipe.training.totalSteps(sampleCount: manifest.count))
        task = try AlignmentTask(
            trunk: encoder.image, textDimension: encoder.text?.textEmbeddingDimension, settings: settings)
        text = settings.loss.needsText ? try encoder.textReader() : nil
        let reader = ImageReader(encoder: encoder, aligned: nil, dtype: dtype)
        let (model, textDimension) = (fingerprint, text?.encoder.textEmbeddingDimension)
        func features(_ manifest: PairsManifest) throws -> FrozenFeatures {
            try FrozenFeatures(
                manifest: manifest, reader: reader, model: model, folder: inputs.cache, textDimension: textDimension)
        }
        frozen = try features(manifest)
        frozenValidation = try validation.map(features)
    }

    /// What the run folder's manifest records.
    public func runManifest(versions: [String: String]) throws -> RunManifest {
        let trained = task.optimizer.parameters.reduce(0) { $0 + $1.count }
        return RunManifest(
            sources: AlignmentRole.sources(manifest, validation, encoder, fingerprint),
            parameterGroups: task.optimizer.groups.map(RunManifest.ParameterGroup.init),
            frozenElements: encoder.image.parameterCount().total - (task.settings.tuning == .full ? trained : 0),
            seed: recipe.training.seed, device: "\(task.device)", dtype: "\(task.settings.dtype)",
            versions: versions, steps: totalSteps)
    }

    private var totalSteps: Int { recipe.training.totalSteps(sampleCount: manifest.count) }

    /// Computes the features of the frozen side for every pair that the run will see.
    public func prepare(stop: StopSignal = StopSignal()) throws {
        var indices = Set<Int>()
        var sampler = try sampler(SamplerPosition())
        // An epoch leaves out its incomplete batch, so a pair may appear first in a later one.
        for _ in 0..<totalSteps {
            guard indices.count < manifest.count, let batch = sampler.next() else { break }
            indices.formUnion(batch.indices)
        }
        try fill(frozen, manifest, indices.sorted(), stop)
        if let frozenValidation, let validation {
            try fill(frozenValidation, validation, Array(0..<validation.count), stop)
        }
        if recipe.loss.temperature == .calibrated { try calibrateTemperature() }
    }

    private func fill(
        _ features: FrozenFeatures, _ manifest: PairsManifest, _ indices: [Int], _ stop: StopSignal
    ) throws {
        let loss = task.settings.loss
        if loss.needsReal && !loss.needsRealPixels {
            let progress = SlowNotes { [note] in note("features of real images (f_r): \($0)/\($1)") }
            try features.fillReal(indices) { done, total in
                try stop.check()
                progress.update(done, total)
            }
        }
        guard let text else { return }
        var truncatedCount = 0
        if task.text != nil {
            // Trained positions leave nothing to compute ahead; what they cannot hold is counted all the same.
            for index in indices {
                truncatedCount += try text.tokens([manifest.pair(at: index).caption]).truncatedRows.count
            }
            if truncatedCount > 0 { note("\(truncatedCount) captions are cut to the context of the text encoder") }
            return
        }
        try features.fillText(indices, withShort: loss.needsShortText) { captions in
            try stop.check()
            return try inferenceMode {
                let (features, truncated) = try computing(in: task.settings.dtype, on: task.device) {
                    try text.features(captions)
                }
                truncatedCount += truncated.count
                return features.to(.float32)
            }
        }
        if truncatedCount > 0 { note("\(truncatedCount) captions were cut to the context of the text encoder") }
    }

    func sampler(_ position: SamplerPosition) throws -> ShuffledSampler {
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
        // The loader reads the pixels of real images without features, so that it finds and counts broken files.
        let unreadable = needsReal ? features.unreadableImages : []
        return try PiecewiseLoader(
            batches, batchSize: size, pieceSize: recipe.training.microBatchSize, sampleCount: manifest.count,
            streams: 2,
            usedStreams: needsRealPixels ? 2 : 1, preprocessing: encoder.preprocessing,
            maximumSkippedShare: recipe.data.maximumSkippedShare, skipped: skipped
        ) { index in
            let pair = try manifest.pair(at: index)
            let real = pair.real.map { ImageSource.file(manifest.resolve($0)) }
            let first = trainsOnReal ? real : .file(manifest.resolve(pair.generated))
            let isUnreadable = pair.real.map { unreadable.contains(ExactString(manifest.resolve($0))) } ?? false
            return ImageSample(id: pair.id, images: [first, needsRealPixels || isUnreadable ? real : nil])
        }
    }

    private func pieces(_ batch: PiecewiseBatch, _ manifest: PairsManifest, _ features: FrozenFeatures)
        -> AlignmentPieces
    {
        let (device, loss) = (task.device, task.settings.loss)
        let readsTokens = task.text != nil
        func tokens(_ number: Int, _ caption: (Pair) -> String) throws -> Tensor? {
            let size = recipe.training.microBatchSize ?? recipe.training.batchSize
            let indices = batch.indices.dropFirst(number * size).prefix(size)
            guard let text, !indices.isEmpty else { return nil }
            return try text.tokens(indices.map { caption(try manifest.pair(at: $0)) }).ids
        }
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
            text: { try tokens($0, \.caption) }, shortText: { try tokens($0, \.shortCaption) },
            pairs: {
                let pairs = try batch.indices.map { try manifest.pair(at: $0) }
                return AlignmentPieces.Pairs(
                    ids: batch.ids, realIDs: pairs.map { ExactString($0.real ?? $0.id) },
                    real: loss.needsReal && !loss.needsRealPixels ? try features.real(pairs) : nil,
                    text: loss.needsText && !readsTokens ? try features.text(pairs) : nil,
                    shortText: loss.needsShortText && !readsTokens ? try features.shortText(pairs) : nil)
            })
    }
}

extension AlignmentTrainer: RunnableTrainer {
    public typealias Batch = PiecewiseBatch

    public var loopSettings: LoopSettings { LoopSettings(recipe.training, sampleCount: manifest.count) }

    public func step(_ batch: PiecewiseBatch, step: Int) throws -> StepReport {
        task.step = step
        var report = try task.step(pieces(batch, manifest, frozen))
        if recipe.loss.temperature == .calibrated {
            report.metrics.append(Metric("temperature", task.settings.loss.temperature))
        }
        return report
    }

    /// Loss, paired cosine, centroid distance and generated-to-real recall on the validation pairs; empty without
    /// validation pairs.
    public func validate() throws -> [Metric] {
        guard let validation, let frozenValidation else { return [] }
        let size = min(recipe.training.batchSize, validation.count)
        let source = try loader(
            SequentialSampler(count: validation.count, batchSize: size), size: size, validation, frozenValidation, [])
        let report = try task.validate {
            while let batch = try source.next() {
                // A last batch of a single pair has no negatives.
                if try batch.piece(1) != nil || batch.count > 1 {
                    return self.pieces(batch, validation, frozenValidation)
                }
            }
            return nil
        }
        var metrics = [Metric("loss", report.loss)]
        if let cosine = report.pairedCosine { metrics.append(Metric("paired_cosine", cosine)) }
        if let distance = report.centroidDistance { metrics.append(Metric("centroid_distance", distance)) }
        if let cosine = report.pairedCosine, let distance = report.centroidDistance,
            let warning = watch.warning(cosine: cosine, distance: distance)
        {
            note(warning)
        }
        metrics += report.recall.map { Metric("recall@\($0.k)", $0.value) }
        return metrics
    }

    public func save(to folder: String) throws {
        try task.save(to: folder, baseModel: encoder.folder.path)
        try saveTemperature(to: folder)
    }

    public func load(from folder: String) throws {
        try task.load(from: folder)
        try loadTemperature(from: folder)
    }

    public var generatorStates: [String: [UInt8]] { ["dropout": [UInt8](task.progress.dropoutGenerator)] }

    public func restoreGenerators(_ states: [String: [UInt8]]) throws {
        guard let state = states["dropout"] else { return }
        task.progress = .init(step: task.step, dropoutGenerator: Data(state))
    }
}

extension RunManifest {
    /// The manifest of an alignment that trains nothing: it says which encoder reads which images, for the steps that
    /// follow.
    public static func untrained(
        _ recipe: AlignmentRecipe, _ inputs: AlignmentTrainer.Inputs, versions: [String: String]
    ) throws -> RunManifest {
        let pairs = try PairsManifest(path: inputs.pairs, half: recipe.data.half)
        return RunManifest(
            sources: [
                .init(role: AlignmentRole.pairs, path: pairs.path, sha256: pairs.contentHash, count: pairs.count),
                .init(
                    role: AlignmentRole.model, path: inputs.model,
                    sha256: try EncoderFolder.fingerprint(inputs.model, hashes: inputs.hashes).sha256),
            ], parameterGroups: [], frozenElements: 0, seed: recipe.training.seed, device: "\(inputs.device)",
            dtype: "float32", versions: versions, steps: 0)
    }
}
