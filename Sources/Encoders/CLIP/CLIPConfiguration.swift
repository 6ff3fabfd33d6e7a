import StrictJSON
import TorchNN

// The architecture of a CLIP model, read only from the files beside its weights.
// Reference: transformers `configuration_clip.py`; open_clip `model_configs/*.json`.

/// Sizes and choices of both CLIP towers (Radford et al. 2021), as in Hugging Face's `config.json`.
public struct CLIPConfiguration: Sendable, Hashable {
    /// The text tower: a causal transformer over byte-pair tokens.
    public struct Text: Sendable, Hashable {
        public var vocabularySize = 49408  // vocab_size
        public var hiddenSize = 512  // hidden_size
        public var intermediateSize = 2048  // intermediate_size
        public var layerCount = 12  // num_hidden_layers
        public var headCount = 8  // num_attention_heads
        public var contextLength = 77  // max_position_embeddings
        public var activation = Activation.quickGELU  // hidden_act
        public var layerNormEps = 1e-5  // layer_norm_eps
        /// The token whose first occurrence is pooled; 2 (a legacy mistake) means the largest id instead.
        public var endOfTextID = 49407  // eos_token_id
        public var padID = 1  // pad_token_id
        /// The token that begins a text; nothing here reads it, but other programs do.
        public var startOfTextID = 49406  // bos_token_id
        /// Used by transformers in training; nothing here drops out, and a note says so when it is above 0.
        public var attentionDropout = 0.0  // attention_dropout

        public init() {}
    }

    /// The image tower: a vision transformer over square patches.
    public struct Vision: Sendable, Hashable {
        public var hiddenSize = 768  // hidden_size
        public var intermediateSize = 3072  // intermediate_size
        public var layerCount = 12  // num_hidden_layers
        public var headCount = 12  // num_attention_heads
        public var channelCount = 3  // num_channels
        public var imageSize = 224  // image_size
        public var patchSize = 32  // patch_size
        public var activation = Activation.quickGELU  // hidden_act
        public var layerNormEps = 1e-5  // layer_norm_eps
        /// Used by transformers in training; nothing here drops out, and a note says so when it is above 0.
        public var attentionDropout = 0.0  // attention_dropout

        public init() {}

        /// Patches along one side.
        public var gridSize: Int { imageSize / patchSize }
        /// Patches and the class token.
        public var positionCount: Int { gridSize * gridSize + 1 }
    }

    public var text = Text()
    public var vision = Vision()
    /// Dimension of the shared embedding space.
    public var projectionDimension = 512  // projection_dim

    public init() {}
}

extension CLIPConfiguration {
    /// Checks how the values fit together.
    /// - Parameter file: the name in messages.
    func validate(file: String) throws(JSONFileError) {
        func check(_ holds: Bool, _ key: String, _ expected: String, _ got: Int) throws(JSONFileError) {
            guard holds else {
                throw JSONFileError.invalidValue(file: file, key: key, expected: expected, got: "\(got)")
            }
        }
        let sizes = [
            ("projection_dim", projectionDimension), ("text_config.vocab_size", text.vocabularySize),
            ("text_config.hidden_size", text.hiddenSize), ("text_config.intermediate_size", text.intermediateSize),
            ("text_config.num_hidden_layers", text.layerCount), ("text_config.num_attention_heads", text.headCount),
            ("text_config.max_position_embeddings", text.contextLength),
            ("vision_config.hidden_size", vision.hiddenSize),
            ("vision_config.intermediate_size", vision.intermediateSize),
            ("vision_config.num_hidden_layers", vision.layerCount),
            ("vision_config.num_attention_heads", vision.headCount),
            ("vision_config.num_channels", vision.channelCount), ("vision_config.image_size", vision.imageSize),
            ("vision_config.patch_size", vision.patchSize),
        ]
        for (key, value) in sizes { try check((1...1_000_000).contains(value), key, "1 to 1000000", value) }
        try check(
            text.hiddenSize % text.headCount == 0, "text_config.hidden_size",
            "a multiple of num_attention_heads (\(text.headCount))", text.hiddenSize)
        try check(
            vision.hiddenSize % vision.headCount == 0, "vision_config.hidden_size",
            "a multiple of num_attention_heads (\(vision.headCount))", vision.hiddenSize)
        try check(
            vision.imageSize >= vision.patchSize, "vision_config.image_size",
            "at least patch_size (\(vision.patchSize))",
            vision.imageSize)
        try check(vision.channelCount == 3, "vision_config.num_channels", "3 (RGB)", vision.channelCount)
    }

    /// The Hugging Face `config.json` of this architecture, for models that are written here.
    public var huggingFaceJSON: String {
        """
        {
          "architectures": ["CLIPModel"],
          "model_type": "clip",
          "projection_dim": \(projectionDimension),
          "text_config": {
            "model_type": "clip_text_model",
            "vocab_size": \(text.vocabularySize),
            "hidden_size": \(text.hiddenSize),
            "intermediate_size": \(text.intermediateSize),
            "num_hidden_layers": \(text.layerCount),
            "num_attention_heads": \(text.headCount),
            "max_position_embeddings": \(text.contextLength),
            "projection_dim": \(projectionDimension),
            "hidden_act": "\(text.activation.rawValue)",
            "layer_norm_eps": \(text.layerNormEps),
            "attention_dropout": \(text.attentionDropout),
            "pad_token_id": \(text.padID),
            "bos_token_id": \(text.startOfTextID),
            "eos_token_id": \(text.endOfTextID)
          },
          "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": \(vision.hiddenSize),
            "intermediate_size": \(vision.intermediateSize),
            "num_hidden_layers": \(vision.layerCount),
            "num_attention_heads": \(vision.headCount),
            "num_channels": \(vision.channelCount),
            "image_size": \(vision.imageSize),
            "patch_size": \(vision.patchSize),
            "projection_dim": \(projectionDimension),
            "hidden_act": "\(vision.activation.rawValue)",
            "layer_norm_eps": \(vision.layerNormEps),
            "attention_dropout": \(vision.attentionDropout)
          },
          "logit_scale_init_value": 2.6592
        }

        """
    }
}
