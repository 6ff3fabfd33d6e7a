import Alignment
import Datasets
import Encoders
import Files
import Foundation
import Images
import LanguageModels
import ModelFolders
import Terminal
import Tokenizers
import Torch
import TorchNN
import Training

/// Trains a captioner on a pairs manifest according to a recipe, as `gmail train captioner` does.
///
/// It owns the data side (which images are read, by which encoder, which features are cached) and passes embeddings and
/// captions to `CaptionerTask`, which owns the model side. `Training.TrainingLoop` drives it.
public final class CaptionerTrainer {
    public let recipe: CaptionerRecipe
    public let task: CaptionerTask
    public let manifest: PairsManifest
    public let validation: PairsManifest?
    /// The samples from which the run draws: one per pair and trained kind of image.
    public var sampleCount: Int { samples.count }

    private let inputs: Inputs
    private let reader: ImageReader
    private let features: ImageFeatures
    private let tokenizer: CaptionTokenizer
    private let samples: CaptionSamples
    private let vocabularySize: Int
    private let language: LanguageModelFolder
    private let fingerprint: ModelFingerprint
    private let note: (String) -> Void
    /// Samples of the run with an unreadable image; known after `prepare()`.
    private var unreadable: [Int: SkippedSample] = [:]
    /// Before the first step of this process nobody expects a captioner to look at its images.
    private var hasTrained = false

    /// The paths of models and data.
    public struct Inputs {
        public var model: String
        /// An alignment run's folder.
        public var alignment: String?
        public var adapter: String?
        public var languageModel: String
        public var pairs: String
        public var validation: String?
        /// Cache for features of the frozen encoders; runs may share it.
        public var cache: String
        public var hashes: FileHashes
        public var device: Device

        /// - Parameter adapter: an adapter made elsewhere, instead of an alignment run.
        public init(
            model: String, alignment: String?, adapter: String? = nil, languageModel: String, pairs: String,
            validation: String?, cache: String, hashes: FileHashes = FileHashes(), device: Device
        ) {
            self.model = model
            self.alignment = alignment
            self.adapter = adapter
            self.languageModel = languageModel
            self.pairs = pairs
            self.validation = validation
            self.cache = cache
            self.hashes = hashes
            self.device = device
        }
    }

    /// Reads models and manifests and sets up mapper, loss and optimizer.
    /// - Parameter note: gets lines for the user.
    /// - Throws: errors of the models' files, the manifests and the recipe. What does not fit is found before anything
    ///   slow begins.
    public init(_ recipe: CaptionerRecipe, _ inputs: Inputs, note: @escaping (String) -> Void = { _ in }) throws {
        self.recipe = recipe
        self.inputs = inputs
        self.note = note
        let source = recipe.data.source
        let isAligned = inputs.alignment != nil || inputs.adapter != nil
        try source.checkAlignment(isGiven: isAligned)
        // The real image decides to which half a pair belongs.
        let needsReal = source.trainedModalities.contains(.real) || recipe.data.half != .all
        manifest = try PairsManifest(
            path: inputs.pairs, real: needsReal ? .required : .optional, half: recipe.data.half)
        validation = try inputs.validation.map { try PairsManifest(path: $0, real: .optional) }
        samples = try CaptionSamples(
            manifest, source, modalities: source.trainedModalities, isAligned: isAligned)
        guard samples.count >= recipe.training.batchSize else {
            throw SettingError(
                "training.batchSize", expected: "at most \(samples.count), the samples that \(manifest.path) gives",
                got: "\(recipe.training.batchSize)")
        }

        let family = try recipe.family()
        language = try LanguageModelFolder(inputs.languageModel)
        let words = try language.tokenizer()
        vocabularySize = words.vocabularySize
        let dtype = try recipe.training.precision.dtype(on: inputs.device)
        let encoder = try EncoderFolder.open(inputs.model, dtype: .float32, device: inputs.device)
        encoder.notes.forEach(note)
        fingerprint = try encoder.fingerprint(inputs.hashes)
        var aligned: AlignedModel?
        if let run = inputs.alignment {
            aligned = try AlignedModel(run: run, encoder: encoder.image, fingerprint: fingerprint)
        } else if let adapter = inputs.adapter {
            aligned = try AlignedModel(adapter: adapter, encoder: encoder.image)
        }
        if let aligned { try Self.check(recipe.data.half, aligned) }
        reader = ImageReader(encoder: encoder, aligned: aligned, dtype: dtype)
        let input = family.input(recipe)
        let architecture = family.architecture(
            recipe,
            CaptionerSurroundings(
                featureSize: reader.featureSize(of: input), languageModel: language.configuration,
                ending: recipe.captions.ending))
        try architecture.check(language.configuration, folder: inputs.languageModel, source: "the recipe")

        features = try ImageFeatures(
            reader: reader, model: fingerprint,
            routes: Set(
                try Modality.allCases.compactMap { modality in
                    // Generated images of the validation set need an encoder only if the source has one.
                    modality == .generated && source == .real && !isAligned
                        ? nil : try source.route(of: modality, isAligned: isAligned)
                }), input: input, folder: inputs.cache)
        let (manifest, trim) = (self.manifest, recipe.captions)
        tokenizer = try CaptionTokenizer(
            words, trim, room: language.contextLength - architecture.prefixLength + 1,
            count: manifest.count
        ) { try manifest.pair(at: $0).caption }

        let memory: WeightMemory = recipe.languageModel.frozen ? .mapped : .owned
        let model = architecture.model(
            try language.model(dtype: .float32, device: inputs.device, memory: memory))
        model.initialize(generator: Generator(seed: UInt64(recipe.training.seed)))
        for part in model.parts { part.module.to(device: inputs.device) }
        task = try CaptionerTask(
            model: model,
            recipe: recipe, dtype: dtype,
            totalSteps: recipe.training.totalSteps(sampleCount: samples.count))
        let lengths = tokenizer.statistics
        note(
            "captions: \(manifest.count), \(String(format: "%.1f", lengths.mean)) tokens on average, the longest "
                + "\(lengths.longest); \(tokenizer.cutCount()) are cut to \(tokenizer.limit)")
    }

    /// What the run folder's manifest records; captioning finds there what it needs.
    public func runManifest(versions: [String: String]) throws -> RunManifest {
        var sources = [
            RunManifest.Source(role: "pairs", path: manifest.path, sha256: manifest.contentHash, count: manifest.count),
            RunManifest.Source(
                role: CaptionerRun.Role.model, path: inputs.model, sha256: fingerprint.sha256,
                count: reader.encoder.image.parameterCount().total),
            RunManifest.Source(
                role: CaptionerRun.Role.languageModel, path: inputs.languageModel,
                sha256: try language.fingerprint(inputs.hashes).sha256,
                count: task.model.languageModel.parameterCount().total),
            RunManifest.Source(
                role: CaptionerRun.Role.tokenizer, path: inputs.languageModel,
                sha256: try language.tokenizerFingerprint(inputs.hashes).sha256, count: vocabularySize),
        ]
        if let aligned = reader.aligned {
            sources.append(
                .init(
                    role: inputs.alignment == nil ? CaptionerRun.Role.adapter : CaptionerRun.Role.alignment,
                    path: aligned.path, sha256: aligned.identity, count: aligned.step))
        }
        if let validation {
            sources.append(
                .init(
                    role: "validation", path: validation.path, sha256: validation.contentHash, count: validation.count))
        }
        return RunManifest(
            sources: sources,
            parameterGroups: task.optimizer.groups.map(RunManifest.ParameterGroup.init),
            frozenElements: reader.encoder.image.parameterCount().total
                + (recipe.languageModel.frozen ? task.model.languageModel.parameterCount().total : 0),
            seed: recipe.training.seed, device: "\(inputs.device)", dtype: "\(reader.dtype)",
            versions: versions,
            steps: recipe.training.totalSteps(sampleCount: samples.count))
    }

    /// Computes the features of every image that the run will see.
    /// - Throws: `DatasetError.tooManySkipped`, `CaptioningError.missingReal`.
    public func prepare(stop: StopSignal = StopSignal()) throws {
        var indices = Set<Int>()
        var sampler = try sampler(SamplerPosition())
        // An epoch leaves out its incomplete batch, so a sample may appear first in a later one.
        for _ in 0..<recipe.training.totalSteps(sampleCount: samples.count) {
            guard indices.count < samples.count, let batch = sampler.next() else { break }
            indices.formUnion(batch.indices)
        }
        let wanted = indices.sorted()
        try prepare(wanted.map { try samples[$0].image }, stop)
        for index in wanted {
            let sample = try samples[index]
            guard let reason = features.failures[sample.image] else { continue }
            unreadable[index] = SkippedSample(index: index, id: sample.id, reason: reason)
        }
        let skipped = skippedSamples
        guard skipped.count < wanted.count || wanted.isEmpty else {
            throw CaptioningError.nothingToTrainOn(manifest: manifest.path)
        }
        if Double(skipped.count) > recipe.data.maximumSkippedShare * Double(samples.count) {
            throw DatasetError.tooManySkipped(
                skipped: skipped.count, total: samples.count, maximumShare: recipe.data.maximumSkippedShare,
                first: Array(skipped.prefix(10)))
        }
        for (_, set) in try validationSets() {
            try prepare((0..<set.count).map { try set[$0].image }, stop)
        }
    }

    /// A captioner that takes one half of the pairs wants an alignment that has seen the other.
    private static func check(_ half: PairsHalf, _ aligned: AlignedModel) throws {
        guard half != .all else { return }
        let seen = aligned.recipe?.data.half
        let other: PairsHalf = half == .first ? .second : .first
        try SettingError.require(
            seen == other, "data.half",
            "all, or an alignment of the \(other.rawValue) half: '\(aligned.path)' has seen "
                + (seen.map { $0 == .all ? "all pairs" : "the \($0.rawValue) half" } ?? "nobody knows which pairs"),
            half.rawValue)
    }

    private func prepare(_ images: [RoutedImage], _ stop: StopSignal) throws {
        let progress = SlowNotes { [note] in note("features of images: \($0)/\($1)") }
        try features.prepare(images) { done, total in
            try stop.check()
            progress.update(done, total)
        }
    }

    private var skippedSamples: [SkippedSample] { unreadable.values.sorted { $0.index < $1.index } }

    private func sampler(_ position: SamplerPosition) throws -> ShuffledSampler {
        try ShuffledSampler(
            count: samples.count, batchSize: recipe.training.batchSize, seed: UInt64(recipe.training.seed),
            position: position)
    }

    /// The run's batches from a position on. The features tell which images cannot be read, whatever was skipped before
    /// a resume.
    public func batches(from position: SamplerPosition, skipped: [SkippedSample] = []) throws -> CaptionBatches {
        CaptionBatches(
            sampler: try sampler(position), skipped: skippedSamples, isReadable: { self.unreadable[$0] == nil },
            id: { try self.samples[$0].id })
    }

    /// - Parameter shown: samples whose images are shown instead; nil shows each caption its own.
    private func batch(
        _ set: CaptionSamples, _ indices: [Int], shown: [Int]? = nil
    ) throws -> CaptionerTask.Batch {
        let rows = try indices.map { try set[$0] }
        let images = try shown?.map { try set[$0].image } ?? rows.map(\.image)
        let captions = rows.map(\.caption)
        let tokenizer = tokenizer
        return CaptionerTask.Batch(
            ids: rows.map(\.id), features: try features(images),
            tokens: { tokenizer(Array(captions[$0])) })
    }

    /// The sets on which validation loss is measured: real images, read as they are captioned later, and generated ones
    /// if the captioner is trained on them.
    private func validationSets() throws -> [(suffix: String, samples: CaptionSamples)] {
        guard let validation else { return [] }
        let isAligned = reader.aligned != nil
        let source = recipe.data.source
        let hasReal = try (0..<validation.count).allSatisfy { try validation.pair(at: $0).real != nil }
        let trainsGenerated = source.trainedModalities.contains(.generated)
        guard hasReal || trainsGenerated else {
            // The error says which pair lacks its real image.
            let real = try CaptionSamples(validation, source, modalities: [.real], isAligned: isAligned)
            for index in 0..<real.count { _ = try real[index] }
            return []
        }
        var modalities: [Modality] = hasReal ? [.real] : []
        if trainsGenerated { modalities.append(.generated) }
        return try modalities.enumerated().map { index, modality in
            (
                index == 0 ? "" : "_\(modality.rawValue)",
                try CaptionSamples(validation, source, modalities: [modality], isAligned: isAligned)
            )
        }
    }
}

extension CaptionerTrainer: RunnableTrainer {
    public typealias Batch = CaptionBatch

    public var loopSettings: LoopSettings { LoopSettings(recipe.training, sampleCount: sampleCount) }

    public func step(_ batch: CaptionBatch, step: Int) throws -> StepReport {
        hasTrained = true
        return try task.step(self.batch(samples, batch.indices), step: step)
    }

    /// On the validation pairs: `loss` and `image_gain` on their real images, and `loss_generated` and
    /// `image_gain_generated` on the generated ones if the captioner is trained on such; empty without validation pairs.
    public func validate() throws -> [Metric] {
        var metrics: [Metric] = []
        for (suffix, set) in try validationSets() {
            let readable = try (0..<set.count).filter { features.contains(try set[$0].image) }
            guard !readable.isEmpty else { throw CaptioningError.nothingToTrainOn(manifest: set.manifest.path) }
            let loss = try meanLoss(set, readable, shown: nil)
            metrics.append(Metric("loss\(suffix)", loss))
            if let partners = ImageGain.partners(try readable.map { try set[$0].image }) {
                let gain = try meanLoss(set, readable, shown: partners.map { readable[$0] }) - loss
                metrics.append(Metric("image_gain\(suffix)", gain))
                if hasTrained, gain < ImageGain.least { warn(gain, suffix) }
            }
        }
        return metrics
    }

    private func warn(_ gain: Double, _ suffix: String) {
        note(
            "warning: image_gain\(suffix) is \(String(format: "%.3f", gain)) nats a token, below \(ImageGain.least): "
                + "captions hardly depend on the image. Train on more captions, for more steps, or at a higher rate")
    }

    /// Mean loss over the tokens of samples.
    /// - Parameter shown: for each of `indices`, the sample whose image is shown instead; nil for its own.
    private func meanLoss(_ set: CaptionSamples, _ indices: [Int], shown: [Int]?) throws -> Double {
        let size = recipe.training.microBatchSize ?? recipe.training.batchSize
        let ranges = stride(from: 0, to: indices.count, by: size).map { $0..<min($0 + size, indices.count) }
        var failure: (any Error)?
        let loss = task.meanLoss(
            ranges.lazy.compactMap { range -> CaptionerTask.Batch? in
                do {
                    return try self.batch(set, Array(indices[range]), shown: shown.map { Array($0[range]) })
                } catch {
                    failure = failure ?? error
                    return nil
                }
            })
        if let failure { throw failure }
        return loss
    }

    public func save(to folder: String) throws { try task.save(to: folder) }
    public func load(from folder: String) throws { try task.load(from: folder) }
    public var generatorStates: [String: [UInt8]] { task.generatorStates }
    public func restoreGenerators(_ states: [String: [UInt8]]) throws { task.restoreGenerators(states) }
}

/// Which samples a step uses.
public struct CaptionBatch: TrainingBatch {
    public let indices: [Int]
    public let ids: [String]
    public let next: SamplerPosition
    public var count: Int { indices.count }
}

/// A run's batches: the sampler's, without samples whose image cannot be read.
public final class CaptionBatches: BatchSource {
    private var sampler: ShuffledSampler
    private let isReadable: (Int) -> Bool
    private let id: (Int) throws -> String
    public let skipped: [SkippedSample]
    /// Features are computed before the first step.
    public var waited: Duration { .zero }

    init(
        sampler: ShuffledSampler, skipped: [SkippedSample], isReadable: @escaping (Int) -> Bool,
        id: @escaping (Int) throws -> String
    ) {
        self.sampler = sampler
        self.skipped = skipped
        self.isReadable = isReadable
        self.id = id
    }

    public func next() throws -> CaptionBatch? {
        while let batch = sampler.next() {
            let indices = batch.indices.filter(isReadable)
            if indices.isEmpty { continue }
            return CaptionBatch(indices: indices, ids: try indices.map(id), next: batch.next)
        }
        return nil
    }
}
