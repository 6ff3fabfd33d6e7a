import Training

/// How the small autoencoder is trained.
public struct AutoencoderRecipe: MiniatureRecipe {
    public struct Model: Sendable, Equatable {
        /// Channels at each resolution, the largest first; each resolution but the first halves the side.
        public var channels = [16, 16, 32, 64]
        public var layersPerBlock = 1
        public var latentChannels = 8
        public var normGroups = 8

        public init() {}
    }

    public struct Loss: Sendable, Equatable {
        /// Weight of the squared error beside the absolute one.
        public var squared = 0.5
        /// Weight of the KL divergence of the latents from a standard normal distribution, in nats per latent number.
        public var divergence = 1e-4
        /// Side of the part of a picture that the first `cropSteps` steps use: more parts for the same amount of work.
        public var cropSide = 32
        public var cropSteps = 0

        public init() {}
    }

    public var name = "unnamed"
    public var description = ""
    public var paper = PaperReference()
    public var data = WorldSettings()
    public var model = Model()
    public var loss = Loss()
    public var training = TrainingSettings.miniature
    public var export = ExportSettings()

    public init() {}

    public static let shipped: [String: [UInt8]] = ["autoencoder": PackageResources.autoencoder_yaml]

    public static var ownFields: [RecipeField<AutoencoderRecipe>] {
        [
            RecipeField("model.channels", \.model.channels),
            RecipeField("model.layersPerBlock", \.model.layersPerBlock),
            RecipeField("model.latentChannels", \.model.latentChannels),
            RecipeField("model.normGroups", \.model.normGroups),
            RecipeField("loss.squared", \.loss.squared),
            RecipeField("loss.divergence", \.loss.divergence),
            RecipeField("loss.cropSide", \.loss.cropSide),
            RecipeField("loss.cropSteps", \.loss.cropSteps),
        ]
    }

    public func validateOwn(source: String) throws {
        let check = RecipeCheck(source: source)
        try check(model.normGroups >= 1, "model.normGroups", "at least 1", model.normGroups)
        try check(
            (1...6).contains(model.channels.count)
                && model.channels.allSatisfy { $0 > 0 && $0 % model.normGroups == 0 },
            "model.channels", "1 to 6 multiples of model.normGroups (\(model.normGroups))", model.channels)
        try check(model.layersPerBlock >= 1, "model.layersPerBlock", "at least 1", model.layersPerBlock)
        try check(model.latentChannels >= 1, "model.latentChannels", "at least 1", model.latentChannels)
        try check(loss.squared >= 0, "loss.squared", "0 or more", loss.squared)
        try check(loss.divergence >= 0, "loss.divergence", "0 or more", loss.divergence)
        let (side, factor) = (MiniatureCLIP.imageSize, 1 << (model.channels.count - 1))
        try check(
            (factor...side).contains(loss.cropSide) && loss.cropSide % factor == 0, "loss.cropSide",
            "a multiple of \(factor), which a latent stands for, up to \(side)", loss.cropSide)
        try check(loss.cropSteps >= 0, "loss.cropSteps", "0 or more", loss.cropSteps)
    }
}
