import Files
import ModelFolders
import StrictJSON

/// GPT-2's tokenizer: byte-level BPE on the unchanged text; spaces belong to the words after them (Radford et al.
/// 2019).
///
/// Ids equal those of `transformers` 5. `decode(encode(text))` is `text` for every text, unless added tokens take white
/// space.
public struct GPT2Tokenizer: TextTokenizer {
    /// Id of `<|endoftext|>` (50256), which starts, ends and separates texts.
    public let endID: Int
    public let startID: Int?
    /// The folder's pad token; nil in the published files.
    public let paddingID: Int?
    public let contextLength: Int?

    private let vocabulary: BytePairVocabulary
    private let rows: RowFormat

    public var vocabularySize: Int { vocabulary.size }

    /// Reads a Hugging Face folder: `tokenizer.json`, or `vocab.json` and `merges.txt`, and added and special tokens
    /// from every file that may declare some.
    /// - Throws: ``TokenizerError``, `JSONFileError`, `FileError`. A setting that is not GPT-2's is refused by name.
    public init(folder: String) throws { try self.init(TokenizerFiles(ModelFolder(folder))) }

    init(_ files: TokenizerFiles) throws {
        try files.refuseUnsupported()
        try files.refuse("add_prefix_space", "a text gets no space before it")
        if let whole = files.whole {
            try Self.check(TokenizerPipeline(whole, suffix: ""), isGeneric: files.isGeneric)
        } else {
            for key in ["add_bos_token", "add_eos_token"] { try files.refuse(key, "a text gets no tokens around it") }
        }
        let endOfText = "<|endoftext|>"
        vocabulary = try BytePairVocabulary(
            BytePairFiles(files),
            TokenDeclarations(
                files, defaults: ["bos_token": endOfText, "eos_token": endOfText, "unk_token": endOfText]),
            endOfWord: "", normalize: { $0 })
        endID = try vocabulary.id("eos_token", default: endOfText)
        startID = try vocabulary.id("bos_token", default: endOfText)
        paddingID = try vocabulary.id("pad_token")
        contextLength = try files.contextLength()
        rows = RowFormat(
            padding: paddingID ?? endID, limit: contextLength, padsBefore: try files.side("padding_side") == .left,
            cutsFront: try files.side("truncation_side") == .left)
    }

    public func encode(_ text: String) -> [Int32] {
        vocabulary.encoder.withCache { encode(text, &$0) }
    }

    /// Texts as rows of equal length. Only padding is added: the pad token, or the end token if there is none.
    public func encode(
        _ texts: [String], contextLength: Int?, truncation: Truncation
    ) throws(TokenizerError) -> TokenBatch {
        let tokens = vocabulary.encoder.withCache { cache in texts.map { encode($0, &cache) } }
        return try rows.batch(tokens, texts: texts, contextLength: contextLength, truncation: truncation)
    }

    public func decode(_ ids: some Sequence<Int>, skippingSpecial: Bool) -> String {
        String(decoding: vocabulary.bytes(of: ids, skippingSpecial: skippingSpecial), as: UTF8.self)
    }

    public func bytes(of id: Int) -> [UInt8] { vocabulary.bytes(of: id) }

    private func encode(_ text: String, _ cache: inout WordCache) -> [Int32] {
        vocabulary.encode(text, &cache, clean: nil) { words($0, &$1, &$2) }
    }

    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    private func words(_ text: UnsafeBufferPointer<UInt8>, _ cache: inout WordCache, _ ids: inout [Int32]) {
        let scanner = TextScanner(text: text)
        var i = 0
        while i < text.count {
            let end = scanner.endOfContraction(at: i) ?? endOfWord(scanner, from: i)
            vocabulary.encoder.encode(word: UnsafeBufferPointer(rebasing: text[i..<end]), cache: &cache, into: &ids)
            i = end
        }
    }

    @inline(__always)
    private func endOfWord(_ scanner: TextScanner, from i: Int) -> Int {
        let (kind, length) = scanner.character(at: i)
        guard kind == .space else { return scanner.endOfRun(kind, from: i + length) }
        // One plain space belongs to the word after it.
        if scanner.text[i] == 0x20, i + 1 < scanner.text.count {
            let (next, nextLength) = scanner.character(at: i + 1)
            if next != .space { return scanner.endOfRun(next, from: i + 1 + nextLength) }
        }
        // White space before a word leaves its last character to the word; at the end of the text it is one piece.
        var last = i
        var end = i
        while end < scanner.text.count {
            let (next, nextLength) = scanner.character(at: end)
            guard next == .space else { break }
            last = end
            end += nextLength
        }
        return end == scanner.text.count || last == i ? end : last
    }

    /// Checks that `tokenizer.json` describes exactly the pipeline that this type implements.
    private static func check(_ pipeline: TokenizerPipeline, isGeneric: Bool) throws(TokenizerError) {
        try pipeline.part("normalizer")?.requireType(["none"])
        guard let splitter = pipeline.part("pre_tokenizer") else {
            throw pipeline.missing("pre_tokenizer", supported: "ByteLevel")
        }
        try splitter.requireByteLevel()
        if let processor = pipeline.part("post_processor") {
            try processor.requireType(["ByteLevel", "TemplateProcessing"])
            // A template that adds tokens would change every id.
            guard let template = processor.template, template.before.isEmpty, template.after.isEmpty else {
                throw .unsupported(
                    path: processor.file.path, field: "post_processor", supported: "a template without added tokens",
                    got: "one that adds special tokens")
            }
        }
        if let decoder = pipeline.part("decoder") {
            try decoder.requireType(["ByteLevel"])
        } else if isGeneric {
            throw pipeline.missing("decoder", supported: "ByteLevel")
        }
    }
}

extension TokenizerFamily {
    /// Byte-level BPE with GPT-2's pattern.
    static let gpt2 = TokenizerFamily(
        name: "byte-level BPE (GPT-2)", classes: ["GPT2Tokenizer"],
        recognises: { files in
            guard let model = files.whole?.value["model"] else { return files.vocabulary != nil }
            return model["type"]?.string == "BPE" && files.whole?.value["pre_tokenizer"]?["type"]?.string == "ByteLevel"
        }, open: { try GPT2Tokenizer($0) })
}
