import LanguageModels
import Training

/// Sizes and conventions of a ClipCap captioner (Mokady et al. 2021).
public struct ClipCapConfiguration: CaptionerArchitecture {
    public static let family = "clipcap"

    /// What turns an image embedding into a prefix of the language model.
    public enum Mapper: String, Sendable, Codable, CaseIterable {
        /// Two linear layers with tanh between them.
        case mlp
        /// A transformer over the projected embedding and learned constants.
        case transformer
    }

    public var mapper = Mapper.mlp
    /// P: positions of the language model that the prefix takes.
    public var prefixLength = 10
    /// Positions into which the image embedding is turned before the transformer; the MLP has none.
    public var clipLength = 10
    /// Layers of the transformer.
    public var layerCount = 8
    /// Heads of the transformer.
    public var headCount = 8
    /// d: length of an image embedding.
    public var featureSize = 512
    /// C: width of the language model.
    public var embeddingSize = 768
    /// V: vocabulary of the language model with which it was trained.
    public var vocabularySize = 50257
    /// Whether embeddings are scaled to length one before the mapper.
    public var normalizesFeatures = true
    /// What ends a caption.
    public var ending = CaptionEnding.endOfText

    public init() {}

    /// The captioner that a recipe describes.
    public init(_ settings: ClipCapSettings, _ surroundings: CaptionerSurroundings) {
        mapper = settings.mapper
        prefixLength = settings.prefixLength
        clipLength = settings.clipLength
        layerCount = settings.layers
        headCount = settings.heads
        normalizesFeatures = settings.normalizeFeatures
        featureSize = surroundings.featureSize
        embeddingSize = surroundings.languageModel.embeddingSize
        vocabularySize = surroundings.languageModel.vocabularySize
        ending = surroundings.ending
    }

    enum CodingKeys: String, CodingKey {
        case mapper = "mapping_type"
        case prefixLength = "prefix_length"
        case clipLength = "clip_length"
        case layerCount = "num_layers"
        case headCount = "num_heads"
        case featureSize = "prefix_size"
        case embeddingSize = "embedding_size"
        case vocabularySize = "vocab_size"
        case normalizesFeatures = "normalize_prefix"
        case ending
    }

    /// Width between the layers of the MLP; the authors' `C·P / 2`.
    public var hiddenSize: Int { embeddingSize * prefixLength / 2 }

    /// - Throws: `SettingError`.
    public func validate() throws {
        for (name, value) in [
            ("mapper.prefixLength", prefixLength), ("mapper.clipLength", clipLength), ("mapper.layers", layerCount),
            ("mapper.heads", headCount),
        ] { try SettingError.require(value > 0, name, "a whole number above 0", value) }
        guard mapper == .transformer else { return }
        try SettingError.require(
            embeddingSize % headCount == 0, "mapper.heads", "a divisor of the language model's width \(embeddingSize)",
            headCount)
    }

    public func model(_ languageModel: any CausalLanguageModel) -> any CaptionModel {
        ClipCapModel(mapper: PrefixMapper.make(self), languageModel: languageModel)
    }
}

/// What a recipe says about a ClipCap captioner.
public struct ClipCapSettings: CaptionerSettings {
    public var mapper = ClipCapConfiguration.Mapper.mlp
    public var prefixLength = 10
    /// For the transformer.
    public var clipLength = 10
    /// For the transformer.
    public var layers = 8
    /// For the transformer.
    public var heads = 8
    /// Whether embeddings are scaled to length one. Alignment compares directions (cosines), so lengths may differ
    /// between the encoders; the authors' MLP does not normalise (ours).
    public var normalizeFeatures = true

    public init() {}

    public static let fields: [CaptionerField<ClipCapSettings>] = [
        .choice("mapper.kind", \.mapper),
        .integer("mapper.prefixLength", \.prefixLength),
        .integer("mapper.clipLength", \.clipLength),
        .integer("mapper.layers", \.layers),
        .integer("mapper.heads", \.heads),
        .flag("mapper.normalizeFeatures", \.normalizeFeatures),
    ]

    public func validate(_ check: RecipeCheck) throws {
        try check.range("mapper.prefixLength", prefixLength, 1...100_000)
        try check.range("mapper.clipLength", clipLength, 1...100_000)
        try check.range("mapper.layers", layers, 1...1000)
        try check.range("mapper.heads", heads, 1...10_000)
    }
}

extension CaptionerRecipe {
    /// The settings of a ClipCap captioner.
    public var clipcap: ClipCapSettings {
        get { settings(ClipCapSettings.self) }
        set { change { $0 = newValue } }
    }
}
