// Everything that decides what a run of `gmail train captioner` computes, as one value. Numbers are ClipCap's where the
// authors' code has them (CLIP_prefix_caption, train.py); what GMAIL leaves open is marked "ours".

import Datasets
import Training

/// A captioner's settings; the default value is the recipe `gmail`.
public struct CaptionerRecipe: Sendable {
    public var name = "unnamed"
    public var description = ""
    public var paper = PaperReference()
    public var data = DataSettings()
    public var captions = CaptionSettings()
    public var captioner = CaptionerKind()
    public var languageModel = LanguageModelSettings()
    public var training = CaptionerRecipe.trainingDefaults
    public var generation = GenerationSettings()

    public init() {}

    public struct DataSettings: Sendable, Equatable {
        public var source = CaptionSource.gmail
        /// Which pairs are learned from; the other half is for the alignment (ours).
        public var half = PairsHalf.all
        /// Share of the samples that may be unreadable before the run stops, 0...1 (ours).
        public var maximumSkippedShare = 0.01

        public init() {}
    }

    public struct CaptionSettings: Sendable, Equatable {
        /// The end of a caption; the authors append nothing.
        public var ending = CaptionEnding.endOfText
        /// White space around captions is removed; the authors keep it.
        public var trim = true
        /// Padding is id 0, and the loss ignores that id, and with it "!", as the authors' does; otherwise only padding
        /// is ignored.
        public var ignoreTokenZero = false
        /// The most tokens of a caption without the end token; nil means the authors' rule: mean + 10 standard
        /// deviations of the training captions, at most the longest.
        public var maximumTokens: Int?

        public init() {}
    }

    /// The family of captioners, with its own settings.
    public struct CaptionerKind: Sendable {
        public var kind = ClipCapConfiguration.family
        /// Keyed by the name of their type.
        fileprivate var settings: [String: any CaptionerSettings] = [:]

        public init() {}
    }

    public struct LanguageModelSettings: Sendable, Equatable {
        /// Only the mapper is trained (the authors' `--only_prefix`).
        public var frozen = false
        /// Dropout of the language model while it is trained, according to its configuration; a frozen one never drops
        /// out.
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
        /// For either beam search.
        public var beams = 5
        /// The authors' `entry_length`.
        public var maximumTokens = 67
        /// For beam search as in transformers: scores are divided by length to this power.
        public var lengthPenalty = 1.0

        public init() {}
    }
}

extension CaptionerRecipe {
    /// The settings of a family, with defaults where the recipe says nothing.
    public func settings<Settings: CaptionerSettings>(_ type: Settings.Type) -> Settings {
        captioner.settings[String(reflecting: type)] as? Settings ?? Settings()
    }

    /// Changes the settings of a family.
    public mutating func change<Settings: CaptionerSettings>(_ body: (inout Settings) -> Void) {
        var settings = settings(Settings.self)
        body(&settings)
        captioner.settings[String(reflecting: Settings.self)] = settings
    }

    /// The family that the recipe names; every validated recipe has one.
    /// - Throws: `SettingError`.
    func family() throws(SettingError) -> CaptionerFamily {
        guard let family = CaptionerFamily.named(captioner.kind) else {
            throw SettingError(
                "captioner.kind", expected: "one of " + CaptionerFamily.all.map(\.name).joined(separator: ", "),
                got: captioner.kind)
        }
        return family
    }

    public func validate(source: String) throws {
        let check = RecipeCheck(source: source)
        try check(
            (0...1).contains(data.maximumSkippedShare), "data.maximumSkippedShare", "0...1", data.maximumSkippedShare)
        try check.range("captions.maximumTokens", captions.maximumTokens ?? 1, 1...1_000_000)
        guard let family = CaptionerFamily.named(captioner.kind) else {
            throw TrainingError.recipeValue(
                source: source, key: "captioner.kind",
                expected: "one of " + CaptionerFamily.all.map(\.name).sorted().joined(separator: ", "),
                got: captioner.kind)
        }
        try family.validate(self, check)
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
