import Foundation
import Safetensors
import StrictJSON
import TorchNN

// The architecture of a CLIP model, read from the files beside its weights and from nowhere else.
// Reference: transformers `configuration_clip.py`; open_clip `model_configs/*.json`.

/// Sizes and choices of both CLIP towers (Radford et al. 2021), as Hugging Face's `config.json` states them.
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
        /// The token whose position is pooled: its first occurrence; 2 (a legacy mistake) means the largest id instead.
        public var endOfTextID = 49407  // eos_token_id
        public var padID = 1  // pad_token_id
        /// The token that begins a text; nothing here reads it, other programs do.
        public var startOfTextID = 49406  // bos_token_id

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
    /// Reads `config.json` (Hugging Face) or `open_clip_config.json` (open_clip) in `folder`.
    ///
    /// Keys that a Hugging Face file leaves out have transformers' defaults, as there; keys of the wrong kind, sizes that
    /// do not divide, and unknown activations are errors that name file and key.
    /// - Throws: `ModelFileError`.
    public init(folder: String) throws {
        let file = "\(folder)/config.json"
        let openCLIP = "\(folder)/open_clip_config.json"
        let manager = FileManager.default
        if manager.fileExists(atPath: file) {
            try self.init(huggingFace: JSONFile(file))
        } else if manager.fileExists(atPath: openCLIP) {
            try self.init(openCLIP: JSONFile(openCLIP))
        } else {
            throw ModelFileError.notAModelFolder(path: folder, expected: "config.json or open_clip_config.json")
        }
        try validate(file: manager.fileExists(atPath: file) ? file : openCLIP)
    }

    private init(huggingFace file: JSONFile) throws {
        let type = try file.string("model_type") ?? "clip"
        guard type == "clip" else {
            throw ModelFileError.invalidValue(
                file: file.path, key: "model_type", expected: "\"clip\"", got: "\"\(type)\"")
        }
        projectionDimension = try file.integer("projection_dim") ?? projectionDimension
        // Files from before transformers 4.27 hold the same settings twice; where both stand, transformers lets `*_dict` win.
        for section in ["text_config", "text_config_dict"] {
            guard let part = try file.object(section) else { continue }
            text.vocabularySize = try part.integer("vocab_size") ?? text.vocabularySize
            text.hiddenSize = try part.integer("hidden_size") ?? text.hiddenSize
            text.intermediateSize = try part.integer("intermediate_size") ?? text.intermediateSize
            text.layerCount = try part.integer("num_hidden_layers") ?? text.layerCount
            text.headCount = try part.integer("num_attention_heads") ?? text.headCount
            text.contextLength = try part.integer("max_position_embeddings") ?? text.contextLength
            text.activation = try part.activation("hidden_act") ?? text.activation
            text.layerNormEps = try part.double("layer_norm_eps") ?? text.layerNormEps
            text.endOfTextID = try part.integer("eos_token_id") ?? text.endOfTextID
            text.padID = try part.integer("pad_token_id") ?? text.padID
            text.startOfTextID = try part.integer("bos_token_id") ?? text.startOfTextID
        }
        for section in ["vision_config", "vision_config_dict"] {
            guard let part = try file.object(section) else { continue }
            vision.hiddenSize = try part.integer("hidden_size") ?? vision.hiddenSize
            vision.intermediateSize = try part.integer("intermediate_size") ?? vision.intermediateSize
            vision.layerCount = try part.integer("num_hidden_layers") ?? vision.layerCount
            vision.headCount = try part.integer("num_attention_heads") ?? vision.headCount
            vision.channelCount = try part.integer("num_channels") ?? vision.channelCount
            vision.imageSize = try part.integer("image_size") ?? vision.imageSize
            vision.patchSize = try part.integer("patch_size") ?? vision.patchSize
            vision.activation = try part.activation("hidden_act") ?? vision.activation
            vision.layerNormEps = try part.double("layer_norm_eps") ?? vision.layerNormEps
        }
    }

    private init(openCLIP file: JSONFile) throws {
        guard let model = try file.object("model_cfg"), let vision = try model.object("vision_cfg"),
            let text = try model.object("text_cfg")
        else {
            throw ModelFileError.invalidValue(
                file: file.path, key: "model_cfg", expected: "an object with vision_cfg and text_cfg", got: "none")
        }
        for key in ["timm_model_name", "hf_model_name"] {
            if let name = try (key == "timm_model_name" ? vision : text).string(key) {
                throw ModelFileError.invalidValue(
                    file: file.path, key: key, expected: "a CLIP tower of open_clip's own", got: "\"\(name)\"")
            }
        }
        let activation: Activation = try model.bool("quick_gelu") == true ? .quickGELU : .gelu
        projectionDimension = try model.integer("embed_dim") ?? projectionDimension

        self.vision.hiddenSize = try vision.integer("width") ?? 768
        self.vision.layerCount = try vision.integer("layers") ?? 12
        self.vision.imageSize = try vision.integer("image_size") ?? 224
        self.vision.patchSize = try vision.integer("patch_size") ?? 16
        self.vision.headCount = self.vision.hiddenSize / max(1, try vision.integer("head_width") ?? 64)
        let ratio = try vision.double("mlp_ratio") ?? 4
        self.vision.intermediateSize = Int(Double(self.vision.hiddenSize) * ratio)
        self.vision.activation = activation

        self.text.vocabularySize = try text.integer("vocab_size") ?? 49408
        self.text.contextLength = try text.integer("context_length") ?? 77
        self.text.hiddenSize = try text.integer("width") ?? 512
        self.text.headCount = try text.integer("heads") ?? 8
        self.text.layerCount = try text.integer("layers") ?? 12
        let textRatio = try text.double("mlp_ratio") ?? 4
        self.text.intermediateSize = Int(Double(self.text.hiddenSize) * textRatio)
        self.text.activation = activation
        self.text.endOfTextID = 2  // open_clip pools at the largest id
        self.text.padID = 0
    }

    private func validate(file: String) throws {
        func check(_ holds: Bool, _ key: String, _ expected: String, _ got: Int) throws {
            guard holds else {
                throw ModelFileError.invalidValue(file: file, key: key, expected: expected, got: "\(got)")
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

    /// The Hugging Face `config.json` of this architecture, for models written by us.
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
            "layer_norm_eps": \(vision.layerNormEps)
          },
          "logit_scale_init_value": 2.6592
        }

        """
    }
}
