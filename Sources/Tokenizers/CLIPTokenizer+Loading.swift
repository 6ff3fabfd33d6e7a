import Files
import ModelFolders
import StrictJSON

extension CLIPTokenizer {
    /// Which id fills up rows.
    public enum Padding: Sendable, Equatable {
        /// The folder's `pad_token`; the end token if the files name none, as in `transformers`.
        case model
        /// Id 0, as in OpenAI's and open_clip's code.
        case zero
    }

    private static let startOfText = "<|startoftext|>"
    private static let endOfText = "<|endoftext|>"

    /// Reads a Hugging Face folder: `tokenizer.json`, or `vocab.json` and `merges.txt`, and added and special tokens
    /// from every file that may declare some.
    /// - Throws: ``TokenizerError``, `JSONFileError`, `FileError`. A setting that is not CLIP's is refused by name.
    public init(folder: String, cleaning: CLIPCleaning = .huggingFace, padding: Padding = .model) throws {
        try self.init(files: TokenizerFiles(ModelFolder(folder)), cleaning: cleaning, padding: padding)
    }

    /// - Parameter contextLength: nil is the folder's `model_max_length`, or 77 without one.
    init(
        files: TokenizerFiles, cleaning: CLIPCleaning, padding: Padding, contextLength: Int? = nil
    ) throws {
        let declarations = try TokenDeclarations(
            files,
            defaults: [
                "bos_token": Self.startOfText, "eos_token": Self.endOfText, "unk_token": Self.endOfText,
                "pad_token": Self.endOfText,
            ])
        if cleaning == .huggingFace { try Self.checkSettings(files) }
        let template = try files.whole.flatMap {
            try Self.template(TokenizerPipeline($0, suffix: "</w>"), isGeneric: files.isGeneric)
        }
        let vocabulary = try BytePairVocabulary(BytePairFiles(files), declarations, endOfWord: "</w>") {
            $0.withUnsafeBufferPointer(cleaning.clean)
        }
        let start: Int
        let end: Int
        if let template {
            start = try vocabulary.id(of: template.start, "post_processor")
            end = try vocabulary.id(of: template.end, "post_processor")
        } else {
            start = try vocabulary.id("bos_token", default: Self.startOfText)
            end = try vocabulary.id("eos_token", default: Self.endOfText)
        }
        let pad = try vocabulary.id("pad_token")
        let limit = cleaning == .huggingFace ? try files.contextLength() : nil
        self.init(
            vocabulary, start: start, end: end, padding: padding == .zero ? 0 : pad ?? end, cleaning: cleaning,
            contextLength: try contextLength ?? files.contextLength() ?? 77, limit: limit)
    }

    /// Reads OpenAI's merges (`bpe_simple_vocab_16e6.txt`, unpacked). Ids are in the order of OpenAI's code: bytes,
    /// bytes that end a word, merges, start, end.
    /// - Parameter mergeLimit: how many merges are used; the file has more than the 48,894 of the model's vocabulary.
    /// - Throws: ``TokenizerError``, `FileError`.
    public init(openAIMerges path: String, cleaning: CLIPCleaning = .openAI, mergeLimit: Int = 48_894) throws {
        let merges = try BytePairFiles.openAIMerges(path, limit: mergeLimit)
        let bytes = ByteAlphabet.vocabularyOrder.map(ByteAlphabet.token)
        let tokens =
            bytes + bytes.map { $0 + Array("</w>".utf8) } + merges.map { $0.left + $0.right }
            + [Array(Self.startOfText.utf8), Array(Self.endOfText.utf8)]
        let vocabulary = try BytePairVocabulary(
            BytePairFiles(path: path, vocabulary: tokens.enumerated().map { ($1, $0) }, merges: merges),
            TokenDeclarations(special: ["bos_token": Self.startOfText, "eos_token": Self.endOfText]), endOfWord: "</w>",
            normalize: { $0 })
        self.init(
            vocabulary, start: tokens.count - 2, end: tokens.count - 1, padding: 0, cleaning: cleaning,
            contextLength: 77, limit: nil)
    }

    private static let splitPattern =
        #"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"#

    /// The text encoders read rows from their start and take no mask, so padding on the left would be seen.
    private static func checkSettings(_ files: TokenizerFiles) throws {
        try files.refuseUnsupported()
        for key in ["padding_side", "truncation_side"] where try files.side(key) == .left {
            throw TokenizerError.unsupported(path: files.path, field: key, supported: "right", got: "left")
        }
    }

    /// Checks that `tokenizer.json` describes exactly the pipeline that this type implements.
    /// - Returns: what the file puts around a text; nil where CLIP's own class does it, whatever the file says.
    private static func template(
        _ pipeline: TokenizerPipeline, isGeneric: Bool
    ) throws(TokenizerError) -> (start: ExactString, end: ExactString)? {
        guard let normalizer = pipeline.part("normalizer") else {
            throw pipeline.missing("normalizer", supported: "NFC, Replace, Lowercase in this order")
        }
        let steps = try normalizer.steps("normalizers", types: ["NFC", "Replace", "Lowercase"])
        try steps[0].require([:])
        try steps[1].require(["pattern": [.regex(#"\s+"#)], "content": [.string(" ")]])
        try steps[2].require([:])

        guard let splitter = pipeline.part("pre_tokenizer") else {
            throw pipeline.missing("pre_tokenizer", supported: "Split, ByteLevel in this order")
        }
        let parts = try splitter.steps("pretokenizers", types: ["Split", "ByteLevel"])
        try parts[0].require([
            "pattern": [.regex(splitPattern)], "behavior": [.string("Removed")], "invert": [.bool(true)],
        ])
        try parts[1].requireByteLevel()

        let processor = pipeline.part("post_processor")
        try processor?.requireType(["RobertaProcessing", "TemplateProcessing"])
        let decoder = pipeline.part("decoder")
        try decoder?.requireType(["ByteLevel"])
        guard isGeneric else { return nil }
        guard decoder != nil else { throw pipeline.missing("decoder", supported: "ByteLevel") }
        guard let template = processor?.template, template.before.count == 1, template.after.count == 1 else {
            throw .unsupported(
                path: pipeline.path, field: "post_processor", supported: "one token before and one after a text",
                got: processor?.template.map { "\($0.before) before and \($0.after) after" } ?? processor?.type
                    ?? "none")
        }
        return (ExactString(template.before[0]), ExactString(template.after[0]))
    }
}

extension JSONValue {
    /// A pattern as `tokenizer.json` writes it.
    fileprivate static func regex(_ pattern: String) -> JSONValue {
        .object([JSONMember(key: "Regex", value: .string(pattern))])
    }
}

extension TokenizerFamily {
    /// CLIP's byte-level BPE in a Hugging Face folder.
    static let clip = TokenizerFamily(
        name: "CLIP BPE", classes: ["CLIPTokenizer"],
        recognises: { files in
            if let model = files.whole?.value["model"] {
                return model["type"]?.string == "BPE" && model["end_of_word_suffix"]?.string == "</w>"
            }
            // A CLIP vocabulary marks the ends of words, so every byte has a second token.
            return files.vocabulary?.value["!</w>"] != nil
        }, open: { try CLIPTokenizer(files: $0, cleaning: .huggingFace, padding: .model) })

    /// The tokenizer of open_clip's folders, which cleans texts in another way and reads no file but the vocabulary.
    static let openCLIP = TokenizerFamily(
        name: "CLIP BPE (open_clip)", classes: [],
        recognises: { $0.folder.has("open_clip_config.json") && !$0.folder.has("config.json") },
        open: { files in
            let text = try files.folder.json("open_clip_config.json")?.object("model_cfg")?.object("text_cfg")
            if let text, try text.string("hf_tokenizer_name")?.isEmpty == false {
                throw text.unsupported("hf_tokenizer_name", "open_clip's own tokenizer alone is read")
            }
            if let settings = try text?.object("tokenizer_kwargs") {
                for key in settings.keys where key != "clean" || settings.value[key]?.string != "lower" {
                    throw settings.unsupported(key, "open_clip's tokenizer is read as it is by default")
                }
            }
            return try CLIPTokenizer(
                files: files, cleaning: .openAI, padding: .zero,
                contextLength: text?.integer("context_length", in: 2...1_000_000))
        })
}
