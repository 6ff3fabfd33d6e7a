import Files
import ModelFolders
import StrictJSON
import TorchNN

// The architecture of a SigLIP model, read from `config.json` beside its weights. Reference: transformers
// `configuration_siglip.py`, whose defaults hold for keys that a file leaves out.

/// Sizes and choices of both SigLIP towers (Zhai et al. 2023); SigLIP 2 of a fixed resolution is the same architecture
/// (Tschannen et al. 2025).
public struct SigLIPConfiguration: Sendable, Hashable {
    /// The text tower: a transformer whose tokens all see each other.
    public struct Text: Sendable, Hashable {
        public var vocabularySize = 32000  // vocab_size
        public var hiddenSize = 768  // hidden_size
        public var intermediateSize = 3072  // intermediate_size
        public var layerCount = 12  // num_hidden_layers
        public var headCount = 12  // num_attention_heads
        public var contextLength = 64  // max_position_embeddings
        public var activation = Activation.geluTanh  // hidden_act
        public var layerNormEps = 1e-6  // layer_norm_eps
        /// Dimension of the embedding.
        public var projectionDimension = 768  // projection_size
        /// Of training in transformers; nothing here drops out, which is said when it is above 0.
        public var attentionDropout = 0.0  // attention_dropout

        public init() {}
    }

    /// The image tower: a vision transformer over square patches, without a class token.
    public struct Vision: Sendable, Hashable {
        public var hiddenSize = 768  // hidden_size
        public var intermediateSize = 3072  // intermediate_size
        public var layerCount = 12  // num_hidden_layers
        public var headCount = 12  // num_attention_heads
        public var channelCount = 3  // num_channels
        public var imageSize = 224  // image_size
        public var patchSize = 16  // patch_size
        public var activation = Activation.geluTanh  // hidden_act
        public var layerNormEps = 1e-6  // layer_norm_eps
        /// Of training in transformers; nothing here drops out, which is said when it is above 0.
        public var attentionDropout = 0.0  // attention_dropout

        public init() {}

        /// Patches along one side.
        public var gridSize: Int { imageSize / patchSize }
        /// One for each patch.
        public var positionCount: Int { gridSize * gridSize }
    }

    public var text = Text()
    public var vision = Vision()

    public init() {}

    /// - Throws: `JSONFileError`, `FileError`, `ModelFolderError`.
    public init(folder: String) throws {
        guard let file = try ModelFolder(folder).json("config.json") else {
            throw ModelFolderError.missing(path: folder, expected: "config.json")
        }
        guard try file.string("model_type") == "siglip" else {
            throw file.invalid("model_type", expected: "\"siglip\"")
        }
        try file.refuseUnknown(["text_config", "vision_config"], harmless: Self.harmless)
        if let part = try file.object("text_config") { text = try Text(part) }
        if let part = try file.object("vision_config") { vision = try Vision(part) }
        try validate(file: file.path)
    }

    /// Keys of SigLIP's configurations that change nothing that is computed here.
    fileprivate static let harmless = TransformersSettings.harmless.union([
        // Written by Python's classes of old; the modelling code reads none of them.
        "tie_word_embeddings", "add_cross_attention", "is_decoder", "chunk_size_feed_forward", "initializer_factor",
        // Texts are pooled at their last position, whatever token stands there.
        "bos_token_id", "eos_token_id", "pad_token_id",
    ])
}

extension SigLIPConfiguration.Text {
    fileprivate init(_ part: JSONFile) throws {
        self.init()
        try part.refuseUnknown(
            [
                "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                "max_position_embeddings", "hidden_act", "layer_norm_eps", "projection_size", "attention_dropout",
            ], harmless: SigLIPConfiguration.harmless)
        vocabularySize = try part.integer("vocab_size") ?? vocabularySize
        hiddenSize = try part.integer("hidden_size") ?? hiddenSize
        intermediateSize = try part.integer("intermediate_size") ?? intermediateSize
        layerCount = try part.integer("num_hidden_layers") ?? layerCount
        headCount = try part.integer("num_attention_heads") ?? headCount
        contextLength = try part.integer("max_position_embeddings") ?? contextLength
        activation = try part.choice("hidden_act") ?? activation
        layerNormEps = try part.double("layer_norm_eps") ?? layerNormEps
        projectionDimension = try part.integer("projection_size") ?? hiddenSize
        attentionDropout = try part.probability("attention_dropout") ?? attentionDropout
    }
}

extension SigLIPConfiguration.Vision {
    fileprivate init(_ part: JSONFile) throws {
        self.init()
        try part.refuseUnknown(
            [
                "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_channels",
                "image_size", "patch_size", "hidden_act", "layer_norm_eps", "attention_dropout", "vision_use_head",
            ], harmless: SigLIPConfiguration.harmless)
        guard try part.bool("vision_use_head") ?? true else {
            throw part.unsupported("vision_use_head", "without its head the image tower has no embedding")
        }
        hiddenSize = try part.integer("hidden_size") ?? hiddenSize
        intermediateSize = try part.integer("intermediate_size") ?? intermediateSize
        layerCount = try part.integer("num_hidden_layers") ?? layerCount
        headCount = try part.integer("num_attention_heads") ?? headCount
        channelCount = try part.integer("num_channels") ?? channelCount
        imageSize = try part.square("image_size") ?? imageSize
        patchSize = try part.square("patch_size") ?? patchSize
        activation = try part.choice("hidden_act") ?? activation
        layerNormEps = try part.double("layer_norm_eps") ?? layerNormEps
        attentionDropout = try part.probability("attention_dropout") ?? attentionDropout
    }
}

extension SigLIPConfiguration {
    /// Checks what single values cannot tell by themselves.
    /// - Parameter file: what messages name.
    func validate(file: String) throws(JSONFileError) {
        func check(_ holds: Bool, _ key: String, _ expected: String, _ got: Int) throws(JSONFileError) {
            guard holds else {
                throw JSONFileError.invalidValue(file: file, key: key, expected: expected, got: "\(got)")
            }
        }
        for (key, value) in [
            ("text_config.vocab_size", text.vocabularySize), ("text_config.hidden_size", text.hiddenSize),
            ("text_config.intermediate_size", text.intermediateSize),
            ("text_config.num_hidden_layers", text.layerCount), ("text_config.num_attention_heads", text.headCount),
            ("text_config.max_position_embeddings", text.contextLength),
            ("text_config.projection_size", text.projectionDimension),
            ("vision_config.hidden_size", vision.hiddenSize),
            ("vision_config.intermediate_size", vision.intermediateSize),
            ("vision_config.num_hidden_layers", vision.layerCount),
            ("vision_config.num_attention_heads", vision.headCount),
            ("vision_config.num_channels", vision.channelCount), ("vision_config.image_size", vision.imageSize),
            ("vision_config.patch_size", vision.patchSize),
        ] { try check((1...1_000_000).contains(value), key, "1 to 1000000", value) }
        try check(
            text.hiddenSize % text.headCount == 0, "text_config.hidden_size",
            "a multiple of num_attention_heads (\(text.headCount))", text.hiddenSize)
        try check(
            vision.hiddenSize % vision.headCount == 0, "vision_config.hidden_size",
            "a multiple of num_attention_heads (\(vision.headCount))", vision.hiddenSize)
        try check(
            vision.imageSize >= vision.patchSize, "vision_config.image_size",
            "at least patch_size (\(vision.patchSize))", vision.imageSize)
        try check(vision.channelCount == 3, "vision_config.num_channels", "3 (RGB)", vision.channelCount)
        try check(
            text.projectionDimension == vision.hiddenSize, "text_config.projection_size",
            "\(vision.hiddenSize), the image embedding's dimension (vision_config.hidden_size)",
            text.projectionDimension)
    }

    /// The Hugging Face `config.json` of this architecture, for models written by us.
    public var huggingFaceJSON: String {
        """
        {
          "architectures": ["SiglipModel"],
          "model_type": "siglip",
          "text_config": {
            "model_type": "siglip_text_model",
            "vocab_size": \(text.vocabularySize),
            "hidden_size": \(text.hiddenSize),
            "intermediate_size": \(text.intermediateSize),
            "num_hidden_layers": \(text.layerCount),
            "num_attention_heads": \(text.headCount),
            "max_position_embeddings": \(text.contextLength),
            "projection_size": \(text.projectionDimension),
            "hidden_act": "\(text.activation.rawValue)",
            "layer_norm_eps": \(text.layerNormEps),
            "attention_dropout": \(text.attentionDropout)
          },
          "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": \(vision.hiddenSize),
            "intermediate_size": \(vision.intermediateSize),
            "num_hidden_layers": \(vision.layerCount),
            "num_attention_heads": \(vision.headCount),
            "num_channels": \(vision.channelCount),
            "image_size": \(vision.imageSize),
            "patch_size": \(vision.patchSize),
            "hidden_act": "\(vision.activation.rawValue)",
            "layer_norm_eps": \(vision.layerNormEps),
            "attention_dropout": \(vision.attentionDropout)
          }
        }

        """
    }
}
