import Files
import ModelFolders
import StrictJSON
import TorchNN

// The architecture of a GPT-2 model, read only from the `config.json` beside its weights.
// Reference: transformers 5 `configuration_gpt2.py`, whose defaults hold for keys that a file leaves out.

/// Sizes and choices of a GPT-2 (Radford et al. 2019); the defaults are those of GPT-2 small, 124 million parameters.
public struct GPT2Configuration: LanguageModelConfiguration, Hashable {
    public var vocabularySize = 50257  // vocab_size
    public var contextLength = 1024  // n_positions
    public var hiddenSize = 768  // n_embd
    public var layerCount = 12  // n_layer
    public var headCount = 12  // n_head
    /// Width of the feed-forward layers; nil is 4 · `hiddenSize`.
    public var innerSize: Int?  // n_inner
    public var activation = Activation.geluNew  // activation_function
    public var residualDropout = 0.1  // resid_pdrop
    public var embeddingDropout = 0.1  // embd_pdrop
    public var attentionDropout = 0.1  // attn_pdrop
    public var layerNormEps = 1e-5  // layer_norm_epsilon
    public var initializerRange = 0.02  // initializer_range
    /// Whether scores are divided by √(hidden size / heads).
    public var scalesAttention = true  // scale_attn_weights
    /// Whether scores of layer i are also divided by i + 1.
    public var scalesAttentionByLayer = false  // scale_attn_by_inverse_layer_idx
    /// Whether the output layer is the token embedding; otherwise files carry `lm_head.weight`.
    public var tiesHead = true  // tie_word_embeddings
    public var beginID: Int? = 50256  // bos_token_id
    public var endIDs = [50256]  // eos_token_id

    public init() {}

    public var embeddingSize: Int { hiddenSize }

    public func makeModel() -> any CausalLanguageModel { GPT2LanguageModel(self) }

    /// Width of the feed-forward layers.
    public var feedForwardSize: Int { innerSize ?? 4 * hiddenSize }
}

extension GPT2Configuration {
    /// Reads `config.json` in `folder`.
    ///
    /// Values of the wrong kind or out of range, sizes that do not divide, unknown activations, cross-attention and
    /// unknown keys are errors that name file and key.
    /// - Throws: `ModelFolderError`, `JSONFileError`, `FileError`.
    public init(folder: String) throws { try self.init(ModelFolder(folder)) }

    init(_ folder: ModelFolder) throws {
        guard let file = try folder.json("config.json") else {
            throw ModelFolderError.missing(path: folder.path, expected: "config.json")
        }
        try self.init(file)
    }

    init(_ file: JSONFile) throws(JSONFileError) {
        let type = try file.string("model_type") ?? "gpt2"
        guard type == "gpt2" else { throw file.invalid("model_type", expected: "\"gpt2\"") }
        try Self.refuseUnknown(file)
        let size = 1...10_000_000
        vocabularySize = try file.integer("vocab_size", in: size) ?? vocabularySize
        // If a file has both names of a size, transformers takes the general one.
        contextLength = try file.integer("max_position_embeddings", "n_positions", in: size) ?? contextLength
        hiddenSize = try file.integer("hidden_size", "n_embd", in: size) ?? hiddenSize
        layerCount = try file.integer("num_hidden_layers", "n_layer", in: 1...10_000) ?? layerCount
        headCount = try file.integer("num_attention_heads", "n_head", in: size) ?? headCount
        innerSize = try file.integer("n_inner", in: size)
        activation = try file.choice("activation_function") ?? activation
        residualDropout = try file.probability("resid_pdrop") ?? residualDropout
        embeddingDropout = try file.probability("embd_pdrop") ?? embeddingDropout
        attentionDropout = try file.probability("attn_pdrop") ?? attentionDropout
        layerNormEps = try file.positive("layer_norm_epsilon") ?? layerNormEps
        initializerRange = try file.positive("initializer_range") ?? initializerRange
        scalesAttention = try file.bool("scale_attn_weights") ?? scalesAttention
        scalesAttentionByLayer = try file.bool("scale_attn_by_inverse_layer_idx") ?? scalesAttentionByLayer
        tiesHead = try file.bool("tie_word_embeddings") ?? tiesHead
        // The default of a file without the key is out of range in small vocabularies.
        if let ids = try file.tokenIDs("bos_token_id") { beginID = ids.first }
        endIDs = try file.tokenIDs("eos_token_id") ?? endIDs
        guard hiddenSize % headCount == 0 else {
            let key = file.has("hidden_size") ? "hidden_size" : "n_embd"
            throw file.invalid(key, expected: "a multiple of n_head (\(headCount))")
        }
    }

    /// The keys that are read above.
    private static let readKeys: Set<String> = [
        "model_type", "vocab_size", "n_positions", "max_position_embeddings", "n_embd", "hidden_size", "n_layer",
        "num_hidden_layers", "n_head", "num_attention_heads", "n_inner", "activation_function", "resid_pdrop",
        "embd_pdrop",
        "attn_pdrop", "layer_norm_epsilon", "initializer_range", "scale_attn_weights",
        "scale_attn_by_inverse_layer_idx", "tie_word_embeddings", "bos_token_id", "eos_token_id",
    ]

    /// Keys that GPT-2's language model never uses.
    private static let harmlessKeys: Set<String> = [
        // The context again, in files of transformers before 4; n_positions counts.
        "n_ctx",
        // The same products, kept in float32 under mixed precision; transformers' usual attention does not use it
        // either.
        "reorder_and_upcast_attn",
        "use_cache", "gradient_checkpointing", "pad_token_id", "n_special", "predict_special_tokens",
        // Switches that are refused when they are on, and the split of a sequence in the feed-forward layers.
        "add_cross_attention", "is_decoder", "chunk_size_feed_forward",
        // A head that summarises texts for multiple choice.
        "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels", "summary_first_dropout",
    ]

    private static func refuseUnknown(_ file: JSONFile) throws(JSONFileError) {
        for (key, reason) in [
            ("add_cross_attention", "a decoder alone is read"), ("is_encoder_decoder", "a decoder alone is read"),
        ] where try file.bool(key) == true {
            throw file.unsupported(key, reason)
        }
        try file.refuseUnknown(readKeys, harmless: TransformersSettings.harmless.union(harmlessKeys))
    }

    /// The Hugging Face `config.json` of this architecture, for models that are written here.
    public var huggingFaceJSON: String {
        """
        {
          "activation_function": "\(activation.rawValue)",
          "architectures": ["GPT2LMHeadModel"],
          "attn_pdrop": \(attentionDropout),
          "bos_token_id": \(beginID.map(String.init) ?? "null"),
          "embd_pdrop": \(embeddingDropout),
          "eos_token_id": \(endIDs.count == 1 ? "\(endIDs[0])" : endIDs.isEmpty ? "null" : "\(endIDs)"),
          "initializer_range": \(initializerRange),
          "layer_norm_epsilon": \(layerNormEps),
          "model_type": "gpt2",
          "n_embd": \(hiddenSize),
          "n_head": \(headCount),
          "n_inner": \(innerSize.map(String.init) ?? "null"),
          "n_layer": \(layerCount),
          "n_positions": \(contextLength),
          "resid_pdrop": \(residualDropout),
          "scale_attn_by_inverse_layer_idx": \(scalesAttentionByLayer),
          "scale_attn_weights": \(scalesAttention),
          "tie_word_embeddings": \(tiesHead),
          "vocab_size": \(vocabularySize)
        }

        """
    }
}
