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
    public var training = CaptionerRecipe.trainingDefaults
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

    /// Table 12 gives the steps; the rest is ClipCap's (train.py) or ours.
    static let trainingDefaults: TrainingSettings = {
        var training = TrainingSettings(steps: 50_000, batchSize: 40, learningRate: 2e-5, schedule: .linear)
        training.warmupSteps = 5000
        training.validationEvery = 1000
        training.checkpointEvery = 1000
        return training
    }()

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
    public func validate(source: String) throws {
        let check = RecipeCheck(source: source)
        try check(
            (0...1).contains(data.maximumSkippedShare), "data.maximumSkippedShare", "0...1", data.maximumSkippedShare)
        try check.range("captions.maximumTokens", captions.maximumTokens ?? 1, 1...1_000_000)
        try check.range("mapper.prefixLength", mapper.prefixLength, 1...100_000)
        try check.range("mapper.clipLength", mapper.clipLength, 1...100_000)
        try check.range("mapper.layers", mapper.layers, 1...1000)
        try check.range("mapper.heads", mapper.heads, 1...10_000)
        try training.validate(check)
        try check(training.precision != .float16, "training.precision", "auto, float32 or bfloat16", "float16")
        try check.range("generation.beams", generation.beams, 1...CaptionDecoding.mostBeams)
        try check.range("generation.maximumTokens", generation.maximumTokens, 1...1_000_000)
        try check(
            generation.method != .sample, "generation.method",
            "greedy, beam or clipcapBeam (sampling is asked for by flags)", generation.method.rawValue)
        try check(
            generation.lengthPenalty.isFinite, "generation.lengthPenalty", "a number", generation.lengthPenalty)
    }
}
