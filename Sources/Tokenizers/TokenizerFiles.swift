import Files
import ModelFolders
import StrictJSON

/// The tokenizer files of a model folder. Each is read once; whoever uses a file checks it.
package struct TokenizerFiles {
    package let folder: ModelFolder
    /// `tokenizer.json`.
    let whole: JSONFile?
    /// `tokenizer_config.json`.
    let configuration: JSONFile?
    /// `special_tokens_map.json`.
    let specialTokensMap: JSONFile?
    /// `added_tokens.json`.
    let addedTokens: JSONFile?
    /// `vocab.json`, if there is no `tokenizer.json` but a `merges.txt` beside it.
    let vocabulary: JSONFile?
    /// The class that the folder names, without the ending `Fast`; nil if it names none.
    package let className: String?

    /// - Throws: `FileError`, `JSONFileError`.
    package init(_ folder: ModelFolder) throws {
        self.folder = folder
        whole = try folder.json("tokenizer.json")
        configuration = try folder.json("tokenizer_config.json")
        specialTokensMap = try folder.json("special_tokens_map.json")
        addedTokens = try folder.json("added_tokens.json")
        vocabulary = whole == nil && folder.has("merges.txt") ? try folder.json("vocab.json") : nil
        let name = try configuration?.string("tokenizer_class") ?? folder.json("config.json")?.string("tokenizer_class")
        className = name.map { $0.hasSuffix("Fast") ? String($0.dropLast(4)) : $0 }
        if let files = try configuration?.strings("fast_tokenizer_files"), files != ["tokenizer.json"] {
            throw configuration!.unsupported(
                "fast_tokenizer_files", "a tokenizer.json for each version of the library is not read")
        }
    }

    /// Whether the folder names a class of no particular family, so that `tokenizer.json` alone decides, and the tokens
    /// in its `added_tokens` come first.
    var isGeneric: Bool {
        whole != nil && ["PreTrainedTokenizer", "TokenizersBackend"].contains(className)
    }

    /// The file that holds the vocabulary, for messages.
    var path: String { (whole ?? vocabulary)?.path ?? folder.path }

    /// `model_max_length`, unless it is the huge number that means no limit.
    func contextLength() throws(JSONFileError) -> Int? {
        let length = try configuration?.value("model_max_length", "max_len", expected: "a number above 0") { found in
            found.double.flatMap { $0 > 0 ? $0 : nil }
        }
        return length.flatMap { $0 < Double(1 << 30) ? Int($0) : nil }
    }

    /// `padding_side` or `truncation_side`: what tokenizer_config.json says, else what tokenizer.json does.
    /// - Parameter absent: of the tokenizer's class, where no file says.
    func side(_ key: String, default absent: Side = .right) throws(JSONFileError) -> Side {
        if let side = try configuration?.choice(key, of: Side.self) { return side }
        let part = try whole?.object(key.hasPrefix("padding") ? "padding" : "truncation")
        return try part?.string("direction").map { $0 == "Left" ? .left : .right } ?? absent
    }

    enum Side: String, CaseIterable {
        case left, right
    }

    /// Refuses a setting of tokenizer_config.json that would change ids or texts.
    /// - Throws: `JSONFileError.unsupported`.
    func refuse(_ key: String, _ reason: String) throws(JSONFileError) {
        if try configuration?.bool(key) == true { throw configuration!.unsupported(key, reason) }
    }

    /// Refuses settings that no tokenizer here implements.
    func refuseUnsupported() throws(JSONFileError) {
        try refuse("split_special_tokens", "special tokens that stand in a text are always found as such")
        if try configuration?.bool("clean_up_tokenization_spaces") == true {
            try refuse(
                "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
                "decoding removes no spaces before punctuation")
        }
    }
}
