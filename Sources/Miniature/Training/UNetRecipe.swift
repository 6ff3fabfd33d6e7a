import Diffusion
import Training

/// How the small denoiser is trained.
public struct UNetRecipe: MiniatureRecipe {
    public struct Model: Sendable, Equatable {
        /// Channels at each resolution, the largest first; each resolution but the first halves the side.
        public var channels = [96, 160]
        public var layersPerBlock = 1
        public var normGroups = 16
        /// Channels of an attention head.
        public var headWidth = 32
        /// Whether a resolution has transformers, which read the text.
        public var attention = [false, true]

        public init() {}
    }

    public struct Loss: Sendable, Equatable {
        public enum Prediction: String, Sendable, CaseIterable {
            case epsilon, velocity
        }

        public var prediction = Prediction.velocity
        /// Share of captions replaced by the empty one.
        public var captionDropout = 0.1

        public init() {}

        var type: PredictionType { prediction == .epsilon ? .epsilon : .velocity }
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

    public static let shipped: [String: [UInt8]] = ["unet": PackageResources.unet_yaml]

    public static var ownFields: [RecipeField<UNetRecipe>] {
        [
            RecipeField("model.channels", \.model.channels),
            RecipeField("model.layersPerBlock", \.model.layersPerBlock),
            RecipeField("model.normGroups", \.model.normGroups),
            RecipeField("model.headWidth", \.model.headWidth),
            RecipeField("model.attention", \.model.attention),
            RecipeField(choice: "loss.prediction", \.loss.prediction),
            RecipeField("loss.captionDropout", \.loss.captionDropout),
        ]
    }

    public func validateOwn(source: String) throws {
        let check = RecipeCheck(source: source)
        try check(model.normGroups >= 1, "model.normGroups", "at least 1", model.normGroups)
        try check(model.headWidth >= 1, "model.headWidth", "at least 1", model.headWidth)
        try check(
            !model.channels.isEmpty
                && model.channels.allSatisfy { $0 > 0 && $0 % model.normGroups == 0 && $0 % model.headWidth == 0 },
            "model.channels",
            "multiples of model.normGroups (\(model.normGroups)) and model.headWidth (\(model.headWidth))",
            model.channels)
        try check(
            model.attention.count == model.channels.count && model.attention.contains(true), "model.attention",
            "\(model.channels.count) values, as many as model.channels, one of them true", model.attention)
        try check(model.layersPerBlock >= 1, "model.layersPerBlock", "at least 1", model.layersPerBlock)
        try check(
            (0..<1).contains(loss.captionDropout), "loss.captionDropout", "0 up to but not 1", loss.captionDropout)
    }
}
