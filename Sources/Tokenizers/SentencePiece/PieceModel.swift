import StrictJSON

/// `model` of a `tokenizer.json`: what splits a word into tokens.
enum PieceModel: Sendable {
    case pairs(CharacterPairs)
    case unigram(UnigramPieces)

    /// - Throws: ``TokenizerError``, `JSONFileError`.
    init(_ pipeline: TokenizerPipeline, _ files: TokenizerFiles, _ family: PieceTokenizer.Family) throws {
        let model = try pipeline.model(family == .file ? ["BPE", "Unigram"] : ["BPE"])
        guard model.type == "BPE" else {
            self = .unigram(try UnigramPieces(model))
            return
        }
        try model.require(
            [
                "dropout": [nil, .null, .number("0"), .number("0.0")],
                "continuing_subword_prefix": [nil, .null, .string("")],
                "end_of_word_suffix": [nil, .null, .string("")], "ignore_merges": [nil, .null, .bool(false)],
            ], harmless: ["vocab", "merges", "unk_token", "fuse_unk", "byte_fallback"])
        // Gemma's class sets these itself.
        let isFile = family == .file
        self = .pairs(
            try CharacterPairs(
                BytePairFiles(files), unknown: isFile ? model.value["unk_token"]?.string : "<unk>",
                fusesUnknown: isFile ? model.value["fuse_unk"]?.bool ?? false : true,
                fallsBackToBytes: isFile ? model.value["byte_fallback"]?.bool ?? false : true))
    }

    /// Entries of the vocabulary.
    var count: Int {
        switch self {
        case .pairs(let pairs): pairs.count
        case .unigram(let pieces): pieces.count
        }
    }

    /// Ids lie below this.
    var limit: Int {
        switch self {
        case .pairs(let pairs): pairs.limit
        case .unigram(let pieces): pieces.count
        }
    }

    func id(of token: some Collection<UInt8>) -> Int32? {
        switch self {
        case .pairs(let pairs): pairs.id(of: token)
        case .unigram(let pieces): pieces.id(of: token)
        }
    }

    func token(of id: Int) -> [UInt8]? {
        switch self {
        case .pairs(let pairs): pairs.token(of: id)
        case .unigram(let pieces): pieces.token(of: id)
        }
    }

    func encode(_ text: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        switch self {
        case .pairs(let pairs): pairs.encode(text, into: &ids)
        case .unigram(let pieces): pieces.encode(text, into: &ids)
        }
    }
}

/// The Unigram model of the `tokenizers` library.
struct UnigramPieces: Sendable {
    private let model: Unigram<Double>
    private let trie: PieceTrie
    private let pieces: [[UInt8]]
    private let byteIDs: [Int32?]

    /// - Throws: ``TokenizerError``.
    init(_ part: TokenizerPipeline.Part) throws(TokenizerError) {
        try part.require([:], harmless: ["vocab", "unk_id", "byte_fallback"])
        func bad(_ field: String, _ expected: String, _ got: String) -> TokenizerError {
            .badField(path: part.file.path, field: "model.\(field)", expected: expected, got: got)
        }
        guard let vocabulary = part.value["vocab"]?.array, !vocabulary.isEmpty else {
            throw bad("vocab", "a list of pieces with scores", part.value["vocab"]?.words ?? "absent")
        }
        var pieces: [[UInt8]] = []
        var scores: [Double] = []
        for (id, entry) in vocabulary.enumerated() {
            guard let pair = entry.array, pair.count == 2, let text = pair[0].string, let score = pair[1].double,
                score.isFinite
            else { throw bad("vocab[\(id)]", "[piece, score]", entry.words) }
            pieces.append(Array(text.utf8))
            scores.append(score)
        }
        guard let unknown = part.value["unk_id"]?.integer, pieces.indices.contains(unknown) else {
            throw bad("unk_id", "an id below \(pieces.count)", part.value["unk_id"]?.words ?? "absent")
        }
        self.pieces = pieces
        // Of a piece that stands twice the later one counts.
        let entries = pieces.enumerated().filter { !$0.element.isEmpty }.map { ($0.element, Int32($0.offset)) }
        let trie = PieceTrie(entries)
        self.trie = trie
        model = Unigram(pieces: entries, scores: scores, lowest: scores.min()!, unknownID: Int32(unknown))
        byteIDs =
            part.value["byte_fallback"]?.bool == true
            ? (0...255).map { trie.value(of: ByteToken.text(UInt8($0))) } : Array(repeating: nil, count: 256)
    }

    var count: Int { pieces.count }

    func id(of token: some Collection<UInt8>) -> Int32? { trie.value(of: token) }

    func token(of id: Int) -> [UInt8]? { pieces.indices.contains(id) ? pieces[id] : nil }

    func encode(_ text: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        // Neighbouring unknown characters are one text, which is looked up once more: as bytes, or as one unknown token.
        var unknown: Range<Int>?
        func flush() {
            guard let range = unknown else { return }
            unknown = nil
            let whole = UnsafeBufferPointer(rebasing: text[range])
            if let id = trie.value(of: whole) { return ids.append(id) }
            let bytes = whole.compactMap { byteIDs[Int($0)] }
            if bytes.count == whole.count { ids += bytes } else { ids.append(model.unknownID) }
        }
        var start = 0
        for (id, end) in model.split(text) {
            if id == model.unknownID {
                unknown = (unknown?.lowerBound ?? start)..<end
            } else {
                flush()
                ids.append(id)
            }
            start = end
        }
        flush()
    }
}

extension TokenizerFamily {
    /// Tokenizers over SentencePiece's kind of vocabulary, by `tokenizer.json`.
    static let pieces = TokenizerFamily(
        name: "SentencePiece in tokenizer.json (Gemma, Unigram)",
        classes: ["GemmaTokenizer", "Siglip2Tokenizer", "SiglipTokenizer"],
        recognises: { files in
            guard let model = files.whole?.value["model"] else { return false }
            switch model["type"]?.string {
            case "Unigram": return true
            case "BPE":
                return model["byte_fallback"]?.bool == true
                    && files.whole?.value["pre_tokenizer"]?["type"]?.string != "ByteLevel"
            default: return false
            }
        }, open: { try PieceTokenizer($0) })
}
