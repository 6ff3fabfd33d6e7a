import StrictJSON

/// GPT-2's tokenizer: byte-level BPE on text as it stands, spaces part of the words after them (Radford et al. 2019).
///
/// Ids equal those of `transformers` 5. `decode(encode(text))` is `text` for every text.
public struct GPT2Tokenizer: Sendable {
    /// Id of `<|endoftext|>` (50256), which starts, ends and separates texts.
    public let endID: Int
    /// The folder's pad token; nil in the published files.
    public let paddingID: Int?

    private let encoder: BytePairEncoder
    private let addedTokens: AddedTokens
    private let specialIDs: Set<Int>

    public var vocabularySize: Int { encoder.count }

    /// Reads a Hugging Face folder: `tokenizer.json`, or `vocab.json` and `merges.txt`; special tokens from
    /// `tokenizer_config.json` and `special_tokens_map.json` where they are.
    /// - Throws: ``TokenizerError``. A pipeline in `tokenizer.json` that is not GPT-2's is refused by name.
    public init(folder: String) throws(TokenizerError) {
        let files = try TokenizerFiles(folder: folder)
        if let pipeline = files.pipeline { try Self.check(pipeline, of: files) }
        if files.flag("add_prefix_space") == true {
            throw .unsupported(path: files.path, field: "add_prefix_space", supported: "false", got: "true")
        }
        let encoder = try BytePairEncoder(
            path: files.path, vocabulary: files.vocabulary, merges: files.merges, endOfWord: [])
        let named = try files.specialToken("eos_token") ?? (files.path, "<|endoftext|>")
        guard let endID = encoder.id(of: Array(named.content.utf8)) else {
            throw .unknownToken(path: named.path, role: "eos_token", token: named.content)
        }
        if let pad = try files.specialToken("pad_token") {
            guard let id = encoder.id(of: Array(pad.content.utf8)) else {
                throw .unknownToken(path: pad.path, role: "pad_token", token: pad.content)
            }
            paddingID = Int(id)
        } else {
            paddingID = nil
        }
        var tokens = files.addedTokens.map { (content: $0.content, id: Int32($0.id)) }
        let end = Array(named.content.utf8)
        if !tokens.contains(where: { $0.content == end }) { tokens.append((end, endID)) }
        self.encoder = encoder
        self.endID = Int(endID)
        addedTokens = AddedTokens(tokens)
        specialIDs = Set(files.addedTokens.filter(\.special).map(\.id) + [Int(endID)] + (paddingID.map { [$0] } ?? []))
    }

    /// Ids of a text; `<|endoftext|>` in it is the special token.
    public func encode(_ text: String) -> [Int32] {
        encoder.withCache { encode(text, &$0) }
    }

    /// Texts as rows of equal length, padded at the end; nothing is added to them.
    /// - Parameters:
    ///   - contextLength: tokens per row; that of the longest text when nil.
    ///   - paddingID: what fills up rows; the attention mask is 0 there.
    /// - Throws: ``TokenizerError/textTooLong(row:tokens:contextLength:text:)``,
    ///   ``TokenizerError/contextTooShort(contextLength:minimum:)``.
    public func encode(
        _ texts: [String], contextLength: Int? = nil, paddingID: Int, truncation: Truncation
    ) throws(TokenizerError) -> TokenBatch {
        let rows = encoder.withCache { cache in texts.map { encode($0, &cache) } }
        let length = contextLength ?? rows.map(\.count).max() ?? 0
        guard contextLength == nil || length >= 1 else { throw .contextTooShort(contextLength: length, minimum: 1) }
        var builder = TokenBatchBuilder(rows: rows.count, contextLength: length, paddingID: paddingID)
        for (row, ids) in rows.enumerated() {
            if ids.count > length {
                guard truncation == .truncate else {
                    throw .textTooLong(row: row, tokens: ids.count, contextLength: length, text: excerpt(texts[row]))
                }
                builder.truncatedRows.append(row)
            }
            builder.append(start: nil, ids.prefix(length), end: nil)
        }
        return builder.batch
    }

    /// The text of ids; bytes that are no UTF-8 become U+FFFD.
    /// - Throws: ``TokenizerError/unknownID(id:vocabularySize:)``.
    public func decode(_ ids: some Sequence<Int>, skippingSpecial: Bool = false) throws(TokenizerError) -> String {
        var bytes: [UInt8] = []
        for id in ids where !(skippingSpecial && specialIDs.contains(id)) {
            bytes.append(contentsOf: try encoder.bytes(of: id))
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The bytes that a token stands for; of texts cut within a character they are no UTF-8 by themselves.
    /// - Throws: ``TokenizerError/unknownID(id:vocabularySize:)``.
    public func bytes(of id: Int) throws(TokenizerError) -> [UInt8] { try encoder.bytes(of: id) }

    private func encode(_ text: String, _ cache: inout WordCache) -> [Int32] {
        var ids: [Int32] = []
        var text = text
        text.withUTF8 { utf8 in
            addedTokens.split(utf8, piece: { words($0, &cache, &ids) }, token: { ids.append($0) })
        }
        return ids
    }

    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    private func words(_ text: UnsafeBufferPointer<UInt8>, _ cache: inout WordCache, _ ids: inout [Int32]) {
        let scanner = TextScanner(text: text)
        var i = 0
        while i < text.count {
            let end = scanner.endOfContraction(at: i) ?? endOfWord(scanner, from: i)
            encoder.encode(word: UnsafeBufferPointer(rebasing: text[i..<end]), cache: &cache, into: &ids)
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
        // White space before a word leaves its last character to it; at the end of the text it is one piece.
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

    /// `tokenizer.json` must describe exactly the pipeline that this type is.
    private static func check(_ pipeline: JSONValue, of files: TokenizerFiles) throws(TokenizerError) {
        if let suffix = pipeline["model"]?["end_of_word_suffix"]?.string, !suffix.isEmpty {
            throw .unsupported(
                path: files.path, field: "model.end_of_word_suffix", supported: "none", got: "'\(suffix)'")
        }
        if let normalizer = pipeline["normalizer"], normalizer != .null {
            try files.requireType(normalizer, "normalizer", ["none"])
        }
        let splitter = pipeline["pre_tokenizer"] ?? .null
        try files.requireType(splitter, "pre_tokenizer", ["ByteLevel"])
        if splitter["add_prefix_space"]?.bool == true {
            throw .unsupported(
                path: files.path, field: "pre_tokenizer.add_prefix_space", supported: "false", got: "true")
        }
        if splitter["use_regex"]?.bool == false {
            throw .unsupported(path: files.path, field: "pre_tokenizer.use_regex", supported: "true", got: "false")
        }
        if let processor = pipeline["post_processor"], processor != .null {
            try files.requireType(processor, "post_processor", ["ByteLevel", "TemplateProcessing"])
            // A template that adds tokens would change every id.
            let pieces = processor["single"]?.array ?? []
            if pieces.contains(where: { $0["SpecialToken"] != nil }) {
                throw .unsupported(
                    path: files.path, field: "post_processor", supported: "a template without added tokens",
                    got: "one that adds special tokens")
            }
        }
        if let decoder = pipeline["decoder"], decoder != .null {
            try files.requireType(decoder, "decoder", ["ByteLevel"])
        }
    }
}
