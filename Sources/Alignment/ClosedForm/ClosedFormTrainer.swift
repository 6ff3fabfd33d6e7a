import Datasets
import Encoders
import Files
import ModelFolders
import Terminal
import Torch
import TorchNN
import Training

/// Computes a closed form on cached features and keeps it in a run folder like a training's, so that everything that
/// takes an alignment takes it: `f_g` is `f_r` with a projection for generated images, real ones stay as they are.
public final class ClosedFormTrainer {
    public let recipe: AlignmentRecipe
    public let manifest: PairsManifest
    public let projection: DualProjection

    private let kind: ClosedFormMap.Kind
    private let validation: PairsManifest?
    private let encoder: OpenEncoder
    private let fingerprint: ModelFingerprint
    private let frozen: FrozenFeatures
    private let frozenValidation: FrozenFeatures?
    private let device: Device
    private let dtype: DType
    private let note: (String) -> Void
    private var pairs: FrozenFeatures.Originals?
    private var held: FrozenFeatures.Originals?

    /// - Parameter note: gets lines for the user.
    /// - Throws: errors of the model's files and the manifests; `SettingError` for a recipe without a closed form.
    public init(
        _ recipe: AlignmentRecipe, _ inputs: AlignmentTrainer.Inputs, note: @escaping (String) -> Void = { _ in }
    ) throws {
        guard let kind = recipe.loss.kind.closedForm else {
            throw SettingError(
                "loss.kind", expected: ClosedFormMap.Kind.allCases.map(\.rawValue).joined(separator: ", "),
                got: recipe.loss.kind.rawValue)
        }
        self.kind = kind
        self.recipe = recipe
        self.note = note
        device = inputs.device
        manifest = try PairsManifest(path: inputs.pairs, half: recipe.data.half)
        guard manifest.count > 1 else {
            throw AlignmentError.tooFewPairs(manifest: manifest.path, count: manifest.count, batchSize: 2)
        }
        validation = try inputs.validation.map { try PairsManifest(path: $0) }
        encoder = try EncoderFolder.open(inputs.model, dtype: .float32, device: device)
        encoder.notes.forEach(note)
        fingerprint = try encoder.fingerprint(inputs.hashes)
        dtype = try recipe.training.precision.dtype(on: device)
        projection = try DualProjection(
            ProjectionConfiguration(recipe.projection), input: encoder.image.embeddingDimension,
            generator: Generator(seed: 0), device: device)
        let reader = ImageReader(encoder: encoder, aligned: nil, dtype: dtype)
        let model = fingerprint
        func features(_ manifest: PairsManifest) throws -> FrozenFeatures {
            try FrozenFeatures(
                manifest: manifest, reader: reader, model: model, folder: inputs.cache, textDimension: nil)
        }
        frozen = try features(manifest)
        frozenValidation = try validation.map(features)
    }

    /// Takes over the formula's result.
    private func fit(_ pairs: FrozenFeatures.Originals) {
        let map = ClosedFormMap(kind, generated: pairs.generated, real: pairs.real)
        withoutGradients {
            let layer = projection.generatedHead.layers[0]
            layer.weight.copy(from: map.weight.to(.float32).to(device))
            layer.bias?.copy(from: map.bias.to(.float32).to(device))
        }
    }

    private func retrieval(_ pairs: FrozenFeatures.Originals) -> PairedRetrieval {
        withoutGradients {
            var retrieval = PairedRetrieval()
            retrieval.add(
                generated: projection(Embeddings<Generated>(pairs.generated.to(device))),
                real: projection(Embeddings<Real>(pairs.real.to(device))), realIDs: pairs.realIDs)
            return retrieval
        }
    }
}

extension ClosedFormTrainer: RunnableTrainer {
    /// All pairs, once.
    public struct Batch: TrainingBatch {
        public let ids: [String]
        public var count: Int { ids.count }
        public var next: SamplerPosition { SamplerPosition(epoch: 1) }
    }

    public final class Source: BatchSource {
        private var batch: Batch?
        public let skipped: [SkippedSample]
        public var waited: Duration { .zero }

        init(_ batch: Batch?, skipped: [SkippedSample]) {
            self.batch = batch
            self.skipped = skipped
        }

        public func next() -> Batch? {
            defer { batch = nil }
            return batch
        }
    }

    public var loopSettings: LoopSettings { LoopSettings(recipe.training, sampleCount: manifest.count) }

    public func runManifest(versions: [String: String]) -> RunManifest {
        RunManifest(
            sources: AlignmentRole.sources(manifest, validation, encoder, fingerprint), parameterGroups: [],
            frozenElements: encoder.image.parameterCount().total, seed: recipe.training.seed, device: "\(device)",
            dtype: "\(dtype)", versions: versions, steps: 1)
    }

    /// - Throws: `DatasetError.tooManySkipped`.
    public func prepare(stop: StopSignal) throws {
        let progress = SlowNotes { [note] in note("features of images (f_r): \($0)/\($1)") }
        func originals(_ features: FrozenFeatures, _ count: Int) throws -> FrozenFeatures.Originals {
            try features.originals(Array(0..<count)) { done, total in
                try stop.check()
                progress.update(done, total)
            }
        }
        let all = try originals(frozen, manifest.count)
        if Double(all.skipped.count) > recipe.data.maximumSkippedShare * Double(manifest.count) {
            throw DatasetError.tooManySkipped(
                skipped: all.skipped.count, total: manifest.count, maximumShare: recipe.data.maximumSkippedShare,
                first: Array(all.skipped.prefix(10)))
        }
        guard all.ids.count > 1 else {
            throw AlignmentError.tooFewPairs(manifest: manifest.path, count: all.ids.count, batchSize: 2)
        }
        let size = encoder.image.embeddingDimension
        if kind != .meanShift, all.ids.count < size {
            note(
                "warning: \(all.ids.count) pairs for \(size) dimensions: \(kind.rawValue) fits what is particular to them. "
                    + "Look at held-out pairs (--validation)")
        }
        pairs = all
        held = try frozenValidation.map { try originals($0, validation?.count ?? 0) }
    }

    public func batches(from position: SamplerPosition, skipped: [SkippedSample]) throws -> Source {
        Source(
            position.epoch == 0 ? pairs.map { Batch(ids: $0.ids) } : nil, skipped: pairs?.skipped ?? skipped)
    }

    public func step(_ batch: Batch, step: Int) throws -> StepReport {
        guard let pairs else { preconditionFailure("prepare comes before the first step") }
        fit(pairs)
        let cosine = retrieval(pairs).meanCosine ?? 0
        return StepReport(loss: 1 - cosine, metrics: [Metric("paired_cosine", cosine)])
    }

    /// Paired cosine, centroid distance and generated-to-real recall on the validation pairs; empty without any.
    public func validate() throws -> [Metric] {
        guard let held else { return [] }
        let retrieval = retrieval(held)
        let cosine = retrieval.meanCosine ?? 0
        var metrics = [Metric("loss", 1 - cosine), Metric("paired_cosine", cosine)]
        if let distance = retrieval.centroidDistance { metrics.append(Metric("centroid_distance", distance)) }
        return metrics + retrieval.recall([1, 5, 10]).map { Metric("recall@\($0.k)", $0.value) }
    }

    public func save(to folder: String) throws {
        try projection.save(to: "\(folder)/\(AlignmentTask.Files.projections)", metadata: ["format": "pt"])
    }

    public func load(from folder: String) throws {
        try projection.overwrite(from: Weights(path: "\(folder)/\(AlignmentTask.Files.projections)"))
    }

    // Nothing is drawn.
    public var generatorStates: [String: [UInt8]] { [:] }
    public func restoreGenerators(_ states: [String: [UInt8]]) {}
}
