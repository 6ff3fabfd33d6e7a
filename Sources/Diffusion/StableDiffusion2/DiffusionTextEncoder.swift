import Encoders
import StrictJSON
import Torch
import TorchNN

// The text encoder of Stable Diffusion: a CLIP text tower whose states of all tokens go to the UNet.
// Reference: transformers `CLIPTextModel`; protocol: Stability-AI/stablediffusion `ldm/modules/encoders/modules.py`.

/// Prompts to text states.
///
/// Stable Diffusion 2 reads the *penultimate* layer of OpenCLIP's ViT-H, then the final norm. Its folders leave out the
/// last layer (23 of 24), so that the last state here is the penultimate one of the original tower.
public final class DiffusionTextEncoder: Module {
    @Child("text_model") public var tower: CLIPTextTower

    public var configuration: CLIPConfiguration.Text { tower.configuration }

    public init(_ configuration: CLIPConfiguration.Text) {
        super.init()
        tower = CLIPTextTower(configuration)
    }

    /// The text tower of a CLIP model without its last `skippedLayers` layers; the weights are copied.
    public convenience init(of clip: CLIPModel, skippingLayers skippedLayers: Int = 1) throws {
        var configuration = clip.configuration.text
        configuration.layerCount -= skippedLayers
        self.init(configuration)
        var entries: [String: Weights.Entry] = [:]
        for entry in clip.text.namedTensors() { entries[entry.key] = Weights.Entry(entry.tensor.detached()) }
        let weights = Weights(source: "the text tower", entries: entries)
        try tower.load(weights, memory: .owned) { key in
            (configuration.layerCount..<configuration.layerCount + skippedLayers).contains {
                key.hasPrefix("encoder.layers.\($0).")
            }
        }
    }

    /// - Parameter ids: int64 `[B, T]`, padded to the context length: Stable Diffusion attends to the padding too.
    /// - Returns: `[B, T, K]`.
    public func callAsFunction(_ ids: Tensor) -> Tensor { tower.hiddenState(ids) }
}

extension CLIPConfiguration.Text {
    /// Reads the `config.json` of a `CLIPTextModel`; absent settings have transformers' defaults, and unknown settings
    /// are refused by name.
    /// - Throws: `JSONFileError`, `FileError`.
    init(textEncoderFile path: String) throws {
        self.init()
        let file = try JSONFile(path)
        let type = try file.string("model_type") ?? "clip_text_model"
        guard type == "clip_text_model" else { throw file.invalid("model_type", expected: "\"clip_text_model\"") }
        let size = 1...10_000_000
        let ids = 0...10_000_000
        vocabularySize = try file.integer("vocab_size", in: size) ?? 49408
        hiddenSize = try file.integer("hidden_size", in: size) ?? 512
        intermediateSize = try file.integer("intermediate_size", in: size) ?? 2048
        layerCount = try file.integer("num_hidden_layers", in: 1...1000) ?? 12
        headCount = try file.integer("num_attention_heads", in: size) ?? 8
        contextLength = try file.integer("max_position_embeddings", in: size) ?? 77
        layerNormEps = try file.positive("layer_norm_eps") ?? 1e-5
        startOfTextID = try file.integer("bos_token_id", in: ids) ?? 49406
        endOfTextID = try file.integer("eos_token_id", in: ids) ?? 49407
        padID = try file.integer("pad_token_id", in: ids) ?? 1
        activation = try file.choice("hidden_act") ?? .quickGELU
        guard hiddenSize % headCount == 0 else {
            throw file.invalid("hidden_size", expected: "a multiple of num_attention_heads (\(headCount))")
        }
        // With it the padding would be masked, because Stable Diffusion's pipeline does so if the file asks for it.
        try file.requireOnly("use_attention_mask", .bool(false))
        _ = try file.value("pruned_heads", expected: "no pruned heads") { $0.members?.isEmpty == true ? true : nil }
        try file.refuseOthers(than: Self.read.union(Self.harmless))
    }

    private static let read: Set<String> = [
        "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "max_position_embeddings", "layer_norm_eps", "bos_token_id", "eos_token_id", "pad_token_id", "hidden_act",
        "use_attention_mask", "pruned_heads",
    ]

    /// Keys that some version of transformers writes beside these: for training, for other kinds of models, for the
    /// generation of text. None of them changes the states of a `CLIPTextModel`.
    private static let harmless: Set<String> = [
        "add_cross_attention", "architectures", "attention_dropout", "attn_implementation", "bad_words_ids",
        "begin_suppress_tokens", "chunk_size_feed_forward", "cross_attention_hidden_size", "decoder_start_token_id",
        "diversity_penalty", "do_sample", "dropout", "dtype", "early_stopping", "encoder_no_repeat_ngram_size",
        "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id",
        "gradient_checkpointing", "id2label", "initializer_factor", "initializer_range", "is_decoder",
        "is_encoder_decoder", "label2id", "length_penalty", "max_length", "min_length", "no_repeat_ngram_size",
        "num_beam_groups", "num_beams", "num_return_sequences", "output_attentions", "output_hidden_states",
        "output_scores", "prefix", "problem_type", "projection_dim", "remove_invalid_values", "repetition_penalty",
        "return_dict", "return_dict_in_generate", "sep_token_id", "suppress_tokens", "task_specific_params",
        "temperature", "tf_legacy_loss", "tie_encoder_decoder", "tie_word_embeddings", "tokenizer_class", "top_k",
        "top_p", "torch_dtype", "torchscript", "transformers_version", "typical_p", "use_bfloat16", "use_cache",
    ]

    /// The `config.json` of a `CLIPTextModel` of these sizes.
    var textEncoderJSON: String {
        """
        {
          "architectures": ["CLIPTextModel"],
          "bos_token_id": \(startOfTextID),
          "eos_token_id": \(endOfTextID),
          "hidden_act": "\(activation.rawValue)",
          "hidden_size": \(hiddenSize),
          "intermediate_size": \(intermediateSize),
          "layer_norm_eps": \(layerNormEps),
          "max_position_embeddings": \(contextLength),
          "model_type": "clip_text_model",
          "num_attention_heads": \(headCount),
          "num_hidden_layers": \(layerCount),
          "pad_token_id": \(padID),
          "vocab_size": \(vocabularySize)
        }

        """
    }
}
