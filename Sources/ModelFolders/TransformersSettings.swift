/// Keys that every configuration of Hugging Face's transformers may hold and that do not change what a forward pass
/// computes: bookkeeping, labels, defaults of text generation (in every `config.json` before transformers 4.40), and
/// how Python should return or store things. Reference: transformers `PreTrainedConfig` and `GenerationConfig`.
public enum TransformersSettings {
    public static let harmless: Set<String> = [
        // What made the file.
        "_name_or_path", "_commit_hash", "transformers_version", "architectures", "auto_map", "model_type",
        "name_or_path",
        "torch_dtype", "dtype", "_attn_implementation", "_attn_implementation_autoset", "attn_implementation",
        "use_cache", "gradient_checkpointing", "torchscript", "tf_legacy_loss", "use_bfloat16", "tokenizer_class",
        "is_composition", "processor_class",
        // What Python returns.
        "return_dict", "output_hidden_states", "output_attentions", "output_scores", "return_dict_in_generate",
        // Labels and tasks.
        "id2label", "label2id", "num_labels", "_num_labels", "finetuning_task", "problem_type", "task_specific_params",
        "prefix",
        "language", "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels",
        "summary_first_dropout",
        // Initial weights, which a file replaces.
        "initializer_range", "initializer_factor", "logit_scale_init_value",
        // Generation.
        "max_length", "min_length", "max_new_tokens", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
        "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty",
        "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences",
        "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty",
        "suppress_tokens", "begin_suppress_tokens", "decoder_start_token_id", "sep_token_id",
        // Of encoder-decoder models.
        "tie_encoder_decoder", "cross_attention_hidden_size", "is_encoder_decoder",
    ]
}
