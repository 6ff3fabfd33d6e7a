import Training

/// How the small CLIP is trained.
public struct CLIPRecipe: MiniatureRecipe {
    public var name = "unnamed"
    public var description = ""
    public var paper = PaperReference()
    public var data = WorldSettings()
    public var model = MiniatureCLIP.Sizes()
    /// The most words in the vocabulary beyond bytes.
    public var mergeLimit = 1000
    public var training = TrainingSettings.miniature
    public var export = ExportSettings()

    public init() {}

    public static let shipped: [String: [UInt8]] = ["clip": PackageResources.clip_yaml]

    public static var ownFields: [RecipeField<CLIPRecipe>] {
        [
            RecipeField("model.projection", \.model.projection),
            RecipeField("model.patchSize", \.model.patchSize),
            RecipeField("model.imageWidth", \.model.imageWidth),
            RecipeField("model.imageLayers", \.model.imageLayers),
            RecipeField("model.imageHeads", \.model.imageHeads),
            RecipeField("model.textWidth", \.model.textWidth),
            RecipeField("model.textLayers", \.model.textLayers),
            RecipeField("model.textHeads", \.model.textHeads),
            RecipeField("model.mergeLimit", \.mergeLimit),
        ]
    }

    public func validateOwn(source: String) throws {
        let check = RecipeCheck(source: source)
        let side = MiniatureCLIP.imageSize
        try check(model.projection >= 1, "model.projection", "at least 1", model.projection)
        try check(
            model.patchSize >= 1 && side % model.patchSize == 0, "model.patchSize", "a divisor of \(side)",
            model.patchSize)
        try check(model.imageLayers >= 1, "model.imageLayers", "at least 1", model.imageLayers)
        try check(
            model.textLayers >= 2, "model.textLayers", "at least 2: the diffusion model reads the last but one",
            model.textLayers)
        for (name, width, heads) in [
            ("image", model.imageWidth, model.imageHeads), ("text", model.textWidth, model.textHeads),
        ] {
            try check(heads >= 1, "model.\(name)Heads", "at least 1", heads)
            try check(
                width >= 1 && width % heads == 0, "model.\(name)Width", "a multiple of model.\(name)Heads (\(heads))",
                width)
        }
        try check(mergeLimit >= 0, "model.mergeLimit", "0 or more", mergeLimit)
        try check(
            training.batchSize >= 2, "training.batchSize", "at least 2: the other pairs are the negatives",
            training.batchSize)
    }
}
