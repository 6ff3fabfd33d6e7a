import StrictJSON

extension JSONFile {
    /// One id or an array of ids.
    func tokenIDs(_ key: String) throws(JSONFileError) -> [Int]? {
        try value(key, expected: "a token id or an array of them") { found in
            if let id = found.integer { return [id] }
            guard let values = found.array else { return nil }
            let ids = values.compactMap(\.integer)
            return ids.count == values.count ? ids : nil
        }
    }

    /// Refuses settings of a `config.json` that may change what is computed: every key that has a value and is neither among
    /// `known` nor one of those that transformers writes for any model and that say nothing of the computation.
    /// - Parameter family: what messages call the model.
    func refuseKeys(except known: Set<String>, of family: String) throws(JSONFileError) {
        for key in keys where has(key) && !known.contains(key) && !Self.commonKeys.contains(key) {
            throw unsupported(
                key,
                "no setting that \(family) is known to have, and it may change what is computed; remove it if it does not"
            )
        }
    }

    /// Keys that any model's `config.json` may have. What generation does is asked for by settings of its own here, and
    /// never read from a model's folder.
    private static let commonKeys: Set<String> = [
        // Names, versions and storage.
        "architectures", "auto_map", "_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "dtype",
        "torch_dtype", "use_bfloat16", "torchscript", "tf_legacy_loss", "_attn_implementation",
        "_attn_implementation_autoset", "attn_implementation", "tokenizer_class", "prefix", "is_decoder",
        "is_encoder_decoder", "add_cross_attention", "return_dict", "output_attentions", "output_hidden_states",
        "chunk_size_feed_forward", "finetuning_task", "task_specific_params", "sep_token_id", "decoder_start_token_id",
        // Classifiers.
        "id2label", "label2id", "num_labels", "_num_labels", "problem_type",
        // Generation.
        "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty",
        "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
        "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "output_scores",
        "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
        "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens",
    ]
}
