import Files
import ModelFolders
import StrictJSON
import TorchNN

// Reads the description of a CLIP model in Hugging Face's `config.json`. Reference: transformers
// `configuration_clip.py`.

extension CLIPConfiguration {
    /// Reads `config.json` (Hugging Face) or `open_clip_config.json` (open_clip) in `folder`.
    ///
    /// Keys that a Hugging Face file leaves out have transformers' defaults. Keys of the wrong kind, sizes that do not
    /// divide, unknown activations, and unknown settings that are not listed as harmless are errors that name file and
    /// key.
    /// - Throws: `JSONFileError`, `FileError`, `ModelFolderError`.
    public init(folder: String) throws {
        let folder = try ModelFolder(folder)
        if let file = try folder.json("config.json") {
            try self.init(huggingFace: file)
            try validate(file: file.path)
        } else if let file = try folder.json("open_clip_config.json") {
            try self.init(openCLIP: file)
            try validate(file: file.path)
        } else {
            throw ModelFolderError.missing(path: folder.path, expected: "config.json or open_clip_config.json")
        }
    }

    init(huggingFace file: JSONFile) throws {
        let type = try file.string("model_type") ?? "clip"
        guard type == "clip" else { throw file.invalid("model_type", expected: "\"clip\"") }
        try file.refuseUnknown(
            ["projection_dim", "text_config", "vision_config", "text_config_dict", "vision_config_dict"],
            harmless: Self.harmless)
        projectionDimension = try file.integer("projection_dim") ?? projectionDimension
        if let part = try Self.section("text", of: file) { text = try Text(huggingFace: part) }
        if let part = try Self.section("vision", of: file) { vision = try Vision(huggingFace: part) }
    }

    /// Files from before transformers 4.27 hold the settings of a tower twice. Where `*_dict` exists, it alone counts:
    /// keys that it leaves out have the class's default, whatever the other section says (`CLIPConfig.__post_init__`).
    private static func section(_ tower: String, of file: JSONFile) throws -> JSONFile? {
        try file.object("\(tower)_config_dict") ?? file.object("\(tower)_config")
    }

    /// Keys of CLIP's configurations that do not change what is computed here.
    static let harmless = TransformersSettings.harmless.union([
        // Keys of the old configuration classes, which the modelling code never read.
        "dropout", "is_decoder", "add_cross_attention", "chunk_size_feed_forward",
        // CLIP has no table to tie.
        "tie_word_embeddings",
        // A key of the whole model; a tower's own is read where the tower stands alone.
        "projection_dim",
    ])
}

extension CLIPConfiguration.Text {
    init(huggingFace part: JSONFile) throws {
        self.init()
        try part.refuseUnknown(
            [
                "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                "max_position_embeddings", "hidden_act", "layer_norm_eps", "eos_token_id", "pad_token_id",
                "bos_token_id",
                "attention_dropout",
            ], harmless: CLIPConfiguration.harmless)
        vocabularySize = try part.integer("vocab_size") ?? vocabularySize
        hiddenSize = try part.integer("hidden_size") ?? hiddenSize
        intermediateSize = try part.integer("intermediate_size") ?? intermediateSize
        layerCount = try part.integer("num_hidden_layers") ?? layerCount
        headCount = try part.integer("num_attention_heads") ?? headCount
        contextLength = try part.integer("max_position_embeddings") ?? contextLength
        activation = try part.choice("hidden_act") ?? activation
        layerNormEps = try part.double("layer_norm_eps") ?? layerNormEps
        endOfTextID = try part.integer("eos_token_id") ?? endOfTextID
        padID = try part.integer("pad_token_id") ?? padID
        startOfTextID = try part.integer("bos_token_id") ?? startOfTextID
        attentionDropout = try part.probability("attention_dropout") ?? attentionDropout
    }
}

extension CLIPConfiguration.Vision {
    init(huggingFace part: JSONFile) throws {
        self.init()
        try part.refuseUnknown(
            [
                "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_channels",
                "image_size", "patch_size", "hidden_act", "layer_norm_eps", "attention_dropout",
            ], harmless: CLIPConfiguration.harmless)
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

extension JSONFile {
    /// A side, or two equal ones.
    func square(_ key: String) throws(JSONFileError) -> Int? {
        try value(key, expected: "a whole number, or two equal ones (a square)") { found in
            if let side = found.integer { return side }
            guard let sides = found.array?.compactMap(\.integer), sides.count == 2, sides[0] == sides[1],
                found.array?.count == 2
            else { return nil }
            return sides[0]
        }
    }
}
