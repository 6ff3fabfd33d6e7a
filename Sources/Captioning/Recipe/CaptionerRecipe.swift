// Everything that decides what a run of `gmail train captioner` computes, as one value. Numbers are ClipCap's where its
// authors' code gives them (CLIP_prefix_caption, train.py); what GMAIL leaves open is marked "ours".

import Training

/// A captioner's settings; the default value is the recipe `gmail`.
public struct CaptionerRecipe: Sendable, Equatable {
    public var name = "unnamed"
    public var description = ""
    public var paper = PaperReference()
    public var data = DataSettings()
    public var captions = CaptionSettings()
    public var mapper = MapperSettings()
    public var languageModel = LanguageModelSettings()
    public var training = TrainingSettings()
    public var generation = GenerationSettings()

    public init() {}

    public struct DataSettings: Sendable, Equatable {
        public var source = CaptionSource.gmail
        /// Share of the samples that may be unreadable before the run stops, 0...1 (ours).
        public var maximumSkippedShare = 0.01

        public init() {}
    }

    public struct CaptionSettings: Sendable, Equatable {
        /// What a caption ends with; the authors append nothing.
        public var ending = CaptionEnding.endOfText
        /// White space around captions is taken away; the authors keep it.
        public var trim = true
        /// Padding is id 0 and the loss ignores that id, "!" with it, as the authors' does; otherwise only padding is ignored.
        public var ignoreTokenZero = false
        /// Tokens of a caption, the end token not counted; nil is the authors' rule: mean + 10 standard deviations of the
        /// training captions, at most the longest.
        public var maximumTokens: Int?

        public init() {}
    }

    public struct MapperSettings: Sendable, Equatable {
        public var kind = ClipCapConfiguration.Mapper.mlp
        public var prefixLength = 10
        /// Of the transformer.
        public var clipLength = 10
        /// Of the transformer.
        public var layers = 8
        /// Of the transformer.
        public var heads = 8
        /// Alignment compares directions (cosines), so lengths may differ between the encoders; the authors' MLP does not (ours).
        public var normalizeFeatures = true

        public init() {}
    }

    public struct LanguageModelSettings: Sendable, Equatable {
        /// Only the mapper is trained (the authors' `--only_prefix`).
        public var frozen = false
        /// Dropout of the language model while it is trained, as its configuration says; a frozen one never drops out.
        public var dropout = true

        public init() {}
    }

    public struct TrainingSettings: Sendable, Equatable {
        public typealias Precision = AlignmentRecipe.TrainingSettings.Precision

        public enum Schedule: String, Sendable, CaseIterable {
            case constant
            /// Falls to 0 at the last step.
            case linear
            /// Falls to 0 at the last step.
            case cosine
        }
        /// Optimizer steps; nil when `epochs` says how long.
        public var steps: Int? = 50_000
        public var epochs: Int?
        /// Captions per step.
        public var batchSize = 40
        /// Captions in memory at once; nil for the whole batch. The gradient is that of the whole batch.
        public var microBatchSize: Int?
        public var learningRate = 2e-5
        public var weightDecay = 0.0
        /// AdamW's.
        public var epsilon = 1e-8
        public var schedule = Schedule.linear
        public var warmupSteps = 5000
        /// Upper limit of the gradient's norm; nil clips nothing, as the authors (ours).
        public var clipNorm: Double? = 1.0
        public var precision = Precision.auto
        public var seed = 0
        /// Steps between validations; 0 for none.
        public var validationEvery = 1000
        public var checkpointEvery = 1000
        public var logEvery = 10
        /// Checkpoints kept, the newest ones.
        public var keepCheckpoints = 2

        public init() {}
    }

    /// How captions are generated unless a command says otherwise.
    public struct GenerationSettings: Sendable, Equatable {
        public var method = CaptionDecoding.Method.beam
        /// Of either beam search.
        public var beams = 5
        /// The authors' `entry_length`.
        public var maximumTokens = 67
        /// Of beam search as transformers defines it: scores are divided by length to this power.
        public var lengthPenalty = 1.0

        public init() {}
    }
}

extension CaptionerRecipe {
    /// Optimizer steps for a set of this many samples; an epoch leaves out its last, incomplete batch.
    public func totalSteps(sampleCount: Int) -> Int {
        training.steps ?? (training.epochs ?? 0) * (sampleCount / training.batchSize)
    }

    public func validate(source: String) throws {
        func check(_ holds: Bool, _ key: String, _ expected: String, _ got: Any) throws {
            try require(holds, key, expected, got, source: source)
        }
        func positive(_ key: String, _ value: Int) throws { try check(value > 0, key, "at least 1", value) }
        try check(
            (0...1).contains(data.maximumSkippedShare), "data.maximumSkippedShare", "0...1", data.maximumSkippedShare)
        try positive("captions.maximumTokens", captions.maximumTokens ?? 1)
        try positive("mapper.prefixLength", mapper.prefixLength)
        try positive("mapper.clipLength", mapper.clipLength)
        try positive("mapper.layers", mapper.layers)
        try positive("mapper.heads", mapper.heads)
        try check(
            (training.steps == nil) != (training.epochs == nil), "training.steps",
            "exactly one of training.steps and training.epochs (set the other to null)",
            training.steps == nil ? "neither" : "both")
        try positive("training.steps", training.steps ?? 1)
        try positive("training.epochs", training.epochs ?? 1)
        try positive("training.batchSize", training.batchSize)
        let part = training.microBatchSize ?? training.batchSize
        try positive("training.microBatchSize", part)
        guard training.batchSize % part == 0 else {
            throw TrainingError.indivisible(
                what: "training.batchSize", total: training.batchSize, by: "training.microBatchSize", part: part)
        }
        try check(training.learningRate > 0, "training.learningRate", "a positive number", training.learningRate)
        try check(training.weightDecay >= 0, "training.weightDecay", "0 or more", training.weightDecay)
        try check(training.epsilon > 0, "training.epsilon", "a positive number", training.epsilon)
        try check(training.warmupSteps >= 0, "training.warmupSteps", "0 or more", training.warmupSteps)
        try check((training.clipNorm ?? 1) > 0, "training.clipNorm", "a positive number", training.clipNorm ?? 0)
        try check(training.seed >= 0, "training.seed", "0 or more", training.seed)
        try check(
            training.validationEvery >= 0, "training.validationEvery", "0 (never) or more", training.validationEvery)
        try positive("training.checkpointEvery", training.checkpointEvery)
        try positive("training.logEvery", training.logEvery)
        try positive("training.keepCheckpoints", training.keepCheckpoints)
        try positive("generation.beams", generation.beams)
        try positive("generation.maximumTokens", generation.maximumTokens)
        try check(
            generation.method != .sample, "generation.method",
            "greedy, beam or clipcapBeam (sampling is asked for by flags)",
            generation.method.rawValue)
        try check(
            generation.lengthPenalty.isFinite, "generation.lengthPenalty", "a number", generation.lengthPenalty)
    }
}
