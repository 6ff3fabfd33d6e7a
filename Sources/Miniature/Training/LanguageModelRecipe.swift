import Training

/// How the small GPT-2 is trained.
public struct LanguageModelRecipe: MiniatureRecipe {
    public struct Model: Sendable, Equatable {
        public var width = 128
        public var layers = 4
        public var heads = 4
        /// Positions, including the prefix of a captioner.
        public var contextLength = 96
        /// The most words in the vocabulary beyond bytes.
        public var mergeLimit = 1000

        public init() {}
    }

    public var name = "unnamed"
    public var description = ""
    public var paper = PaperReference()
    public var data = WorldSettings()
    public var model = Model()
    public var training = TrainingSettings.miniature
    public var export = ExportSettings()

    public init() {}

    public static let shipped: [String: [UInt8]] = ["language-model": PackageResources.language_model_yaml]

    public static var ownFields: [RecipeField<LanguageModelRecipe>] {
        [
            RecipeField("model.width", \.model.width),
            RecipeField("model.layers", \.model.layers),
            RecipeField("model.heads", \.model.heads),
            RecipeField("model.contextLength", \.model.contextLength),
            RecipeField("model.mergeLimit", \.model.mergeLimit),
        ]
    }

    public func validateOwn(source: String) throws {
        let check = RecipeCheck(source: source)
        try check(model.layers >= 1, "model.layers", "at least 1", model.layers)
        try check(model.heads >= 1, "model.heads", "at least 1", model.heads)
        try check(
            model.width >= 1 && model.width % model.heads == 0, "model.width",
            "a multiple of model.heads (\(model.heads))", model.width)
        try check(model.contextLength >= 8, "model.contextLength", "at least 8", model.contextLength)
        try check(model.mergeLimit >= 0, "model.mergeLimit", "0 or more", model.mergeLimit)
    }
}
