import Foundation
import TorchNN

// The architecture of a GPT-2 model, read from the `config.json` beside its weights and from nowhere else.
// Reference: transformers 5 `configuration_gpt2.py`, whose defaults hold for keys that a file leaves out.

/// Sizes and choices of a GPT-2 (Radford et al. 2019); the defaults are those of GPT-2 small, 124 million parameters.
public struct GPT2Configuration: Sendable, Hashable {
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
    /// Whether scores of layer i are divided by i + 1 besides.
    public var scalesAttentionByLayer = false  // scale_attn_by_inverse_layer_idx
    /// Whether the output layer is the token embedding; otherwise files carry `lm_head.weight`.
    public var tiesHead = true  // tie_word_embeddings
    public var beginID: Int? = 50256  // bos_token_id
    public var endIDs = [50256]  // eos_token_id

    public init() {}

    /// Width of the feed-forward layers.
    public var feedForwardSize: Int { innerSize ?? 4 * hiddenSize }
}

extension GPT2Configuration {
    /// Reads `config.json` in `folder`.
    ///
    /// Values of the wrong kind or out of range, sizes that do not divide, unknown activations and cross-attention are
    /// errors that name file and key.
    /// - Throws: `LanguageModelError`.
    public init(folder: String) throws(LanguageModelError) {
        let path = "\(folder)/config.json"
        guard FileManager.default.fileExists(atPath: path) else {
            throw .notAModelFolder(path: folder, expected: "config.json")
        }
        try self.init(ConfigurationFile(path))
    }

    init(_ file: ConfigurationFile) throws(LanguageModelError) {
        let type = try file.string("model_type") ?? "gpt2"
        guard type == "gpt2" else {
            throw .invalidValue(file: file.path, key: "model_type", expected: "\"gpt2\"", got: "\"\(type)\"")
        }
        let size = 1...10_000_000
        vocabularySize = try file.integer("vocab_size", in: size) ?? vocabularySize
        contextLength =
            try file.integer("n_positions", "max_position_embeddings", "n_ctx", in: size) ?? contextLength
        hiddenSize = try file.integer("n_embd", "hidden_size", in: size) ?? hiddenSize
        layerCount = try file.integer("n_layer", "num_hidden_layers", in: 1...10_000) ?? layerCount
        headCount = try file.integer("n_head", "num_attention_heads", in: size) ?? headCount
        innerSize = try file.integer("n_inner", in: size)
        let known = Activation.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
        activation =
            try file.value("activation_function", "one of \(known)") { found in
                found.string.flatMap(Activation.init(rawValue:))
            } ?? activation
        residualDropout = try file.probability("resid_pdrop") ?? residualDropout
        embeddingDropout = try file.probability("embd_pdrop") ?? embeddingDropout
        attentionDropout = try file.probability("attn_pdrop") ?? attentionDropout
        layerNormEps = try file.positive("layer_norm_epsilon") ?? layerNormEps
        initializerRange = try file.positive("initializer_range") ?? initializerRange
        scalesAttention = try file.bool("scale_attn_weights") ?? scalesAttention
        scalesAttentionByLayer = try file.bool("scale_attn_by_inverse_layer_idx") ?? scalesAttentionByLayer
        tiesHead = try file.bool("tie_word_embeddings") ?? tiesHead
        // A file without the key has the default, one with `null` has none; both come out of range in small vocabularies.
        beginID = try file.ids("bos_token_id")?.first ?? beginID
        endIDs = try file.ids("eos_token_id") ?? endIDs
        if try file.bool("add_cross_attention") == true {
            throw .invalidValue(
                file: file.path, key: "add_cross_attention", expected: "false (a decoder alone)", got: "true")
        }
        guard hiddenSize % headCount == 0 else {
            throw .invalidValue(
                file: file.path, key: "n_embd", expected: "a multiple of n_head (\(headCount))", got: "\(hiddenSize)")
        }
    }

    /// The Hugging Face `config.json` of this architecture, for models written by us.
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
