import StrictJSON

extension CLIPTokenizer {
    /// Which id fills rows up.
    public enum Padding: Sendable, Equatable {
        /// The folder's `pad_token`; the end token when the files name none, as `transformers` has it.
        case model
        /// Id 0, as OpenAI's and open_clip's code pads.
        case zero
    }

    /// Reads a Hugging Face folder: `tokenizer.json`, or `vocab.json` and `merges.txt`; special tokens from
    /// `tokenizer_config.json` and `special_tokens_map.json` where they are.
    /// - Throws: ``TokenizerError``. A pipeline in `tokenizer.json` that is not CLIP's is refused by name.
    public init(
        folder: String, cleaning: CLIPCleaning = .huggingFace, padding: Padding = .model
    ) throws(TokenizerError) {
        let files = try TokenizerFiles(folder: folder)
        if let pipeline = files.pipeline { try Self.check(pipeline, of: files) }
        let encoder = try BytePairEncoder(
            path: files.path, vocabulary: files.vocabulary, merges: files.merges, endOfWord: Array("</w>".utf8))

        func id(_ role: String, default content: String) throws(TokenizerError) -> (id: Int, content: [UInt8]) {
            let named = try files.specialToken(role) ?? (files.path, content)
            guard let id = encoder.id(of: Array(named.content.utf8)) else {
                throw .unknownToken(path: named.path, role: role, token: named.content)
            }
            return (Int(id), Array(named.content.utf8))
        }
        let start = try id("bos_token", default: "<|startoftext|>")
        let end = try id("eos_token", default: "<|endoftext|>")
        let pad = try id("pad_token", default: String(decoding: end.content, as: UTF8.self))
        var added = files.addedTokens
        // `transformers` makes the special tokens added tokens, found in the text as it stands.
        for (id, content) in [start, end, pad] where !added.contains(where: { $0.content == content }) {
            added.append(TokenizerFiles.AddedToken(content: content, id: id, normalized: false, special: true))
        }
        self.init(
            encoder: encoder, startID: start.id, endID: end.id, paddingID: padding == .zero ? 0 : pad.id,
            cleaning: cleaning, contextLength: files.modelMaxLength ?? 77, addedTokens: added)
    }

    /// Reads OpenAI's merges (`bpe_simple_vocab_16e6.txt`, unpacked); ids are in the order of OpenAI's code: bytes,
    /// bytes that end a word, merges, start, end.
    /// - Parameter mergeLimit: the file has more merges than the model's vocabulary; 48,894 are used.
    public init(
        openAIMerges path: String, cleaning: CLIPCleaning = .openAI, mergeLimit: Int = 48_894
    ) throws(TokenizerError) {
        let merges = try TokenizerFiles.merges(lines: try TokenizerFiles.bytes(path), path: path, limit: mergeLimit)
        let bytes = ByteAlphabet.vocabularyOrder.map(ByteAlphabet.token)
        var tokens = bytes + bytes.map { $0 + Array("</w>".utf8) }
        tokens.append(contentsOf: merges.map { $0.left + $0.right })
        let startID = tokens.count
        let special = ["<|startoftext|>", "<|endoftext|>"].map { Array($0.utf8) }
        tokens.append(contentsOf: special)
        let encoder = try BytePairEncoder(
            path: path, vocabulary: tokens.enumerated().map { ($1, $0) }, merges: merges, endOfWord: Array("</w>".utf8))
        self.init(
            encoder: encoder, startID: startID, endID: startID + 1, paddingID: 0, cleaning: cleaning, contextLength: 77,
            addedTokens: special.enumerated().map {
                TokenizerFiles.AddedToken(content: $1, id: startID + $0, normalized: false, special: true)
            })
    }

    private static let splitPattern =
        #"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"#

    /// `tokenizer.json` must describe exactly the pipeline that this type is.
    private static func check(_ pipeline: JSONValue, of files: TokenizerFiles) throws(TokenizerError) {
        let path = files.path
        func require(_ condition: Bool, _ field: String, _ supported: String, _ got: JSONValue?) throws(TokenizerError)
        {
            guard condition else {
                throw .unsupported(path: path, field: field, supported: supported, got: describe(got))
            }
        }
        let suffix = pipeline["model"]?["end_of_word_suffix"]
        try require(suffix?.string == "</w>", "model.end_of_word_suffix", "'</w>'", suffix)

        let normalizer = pipeline["normalizer"] ?? .null
        try files.requireType(normalizer, "normalizer", ["Sequence"])
        let steps = normalizer["normalizers"]?.array ?? []
        for step in steps { try files.requireType(step, "normalizer step", ["NFC", "Replace", "Lowercase"]) }
        try require(
            steps.map { $0["type"]?.string } == ["NFC", "Replace", "Lowercase"], "normalizer",
            "NFC, Replace, Lowercase in this order", normalizer)
        try require(
            steps[1]["pattern"]?["Regex"]?.string == #"\s+"# && steps[1]["content"]?.string == " ",
            "normalizer Replace",
            #"\s+ by one space"#, steps[1])

        let splitter = pipeline["pre_tokenizer"] ?? .null
        try files.requireType(splitter, "pre_tokenizer", ["Sequence"])
        let parts = splitter["pretokenizers"]?.array ?? []
        for part in parts { try files.requireType(part, "pre_tokenizer step", ["Split", "ByteLevel"]) }
        try require(
            parts.map { $0["type"]?.string } == ["Split", "ByteLevel"], "pre_tokenizer",
            "Split, ByteLevel in this order", splitter)
        try require(
            parts[0]["pattern"]?["Regex"]?.string == splitPattern, "pre_tokenizer Split pattern", splitPattern,
            parts[0]["pattern"]?["Regex"] ?? parts[0]["pattern"])
        try require(
            parts[0]["behavior"]?.string == "Removed" && parts[0]["invert"]?.bool == true, "pre_tokenizer Split",
            "behavior Removed, inverted", parts[0])
        try require(
            parts[1]["add_prefix_space"]?.bool == false && parts[1]["use_regex"]?.bool != false,
            "pre_tokenizer ByteLevel", "no prefix space, with its regular expression", parts[1])

        if let processor = pipeline["post_processor"], processor != .null {
            try files.requireType(processor, "post_processor", ["RobertaProcessing", "TemplateProcessing"])
        }
        if let decoder = pipeline["decoder"], decoder != .null {
            try files.requireType(decoder, "decoder", ["ByteLevel"])
        }
    }

    private static func describe(_ value: JSONValue?) -> String {
        switch value {
        case nil: "absent"
        case .string(let text)?: "'\(text)'"
        case let value?:
            if let steps = (value["normalizers"] ?? value["pretokenizers"])?.array {
                steps.map { $0["type"]?.string ?? $0.kind }.joined(separator: ", ")
            } else {
                "something else"
            }
        }
    }
}
