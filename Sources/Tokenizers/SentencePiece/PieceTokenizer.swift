import Files
import ModelFolders

/// A tokenizer over SentencePiece's kind of vocabulary, where `▁` marks a space, read from `tokenizer.json`: Gemma's byte-pair
/// encoding (SigLIP 2), or Unigram. Ids equal those of `transformers` 5.
public struct PieceTokenizer: TextTokenizer {
    public let startID: Int?
    public let endID: Int
    public let paddingID: Int?
    public let contextLength: Int?

    private let normalizer: PieceNormalizer
    private let splitter: PieceSplitter?
    private let model: PieceModel
    private let added: AddedVocabulary
    private let rows: RowFormat
    /// Whether the space that stands before a text in its tokens is left out of it.
    private let dropsFirstSpace: Bool
    private let cleansSpaces: Bool

    public var vocabularySize: Int { max(model.limit, added.highestID + 1) }

    /// - Throws: ``TokenizerError``, `JSONFileError`, `FileError`. A setting that is not implemented is refused by name.
    public init(folder: String) throws { try self.init(TokenizerFiles(ModelFolder(folder))) }

    init(_ files: TokenizerFiles) throws {
        try files.refuseUnsupported()
        guard let whole = files.whole else { throw TokenizerError.noTokenizer(folder: files.folder.path) }
        let family = Family(files)
        let pipeline = try TokenizerPipeline(whole)
        normalizer = try family.normalizer ?? PieceNormalizer(pipeline.part("normalizer"))
        splitter = family == .file ? try PieceSplitter(pipeline.part("pre_tokenizer"), after: normalizer) : nil
        model = try PieceModel(pipeline, files, family)
        let declarations = try TokenDeclarations(files, defaults: family.specialTokens)
        let (model, normalizer) = (model, normalizer)
        let added = try AddedVocabulary(
            declarations, count: model.count, path: whole.path,
            normalize: { $0.withUnsafeBufferPointer { normalizer($0) } },
            id: { model.id(of: $0.string.utf8) })
        self.added = added
        func id(of content: ExactString, _ role: String) throws(TokenizerError) -> Int {
            guard let id = added.id(of: content) ?? model.id(of: content.string.utf8) else {
                throw .unknownToken(path: whole.path, role: role, token: content.string)
            }
            return Int(id)
        }
        func special(_ key: String) throws(TokenizerError) -> Int? {
            try declarations.content(of: ExactString(key)).map { content throws(TokenizerError) in
                try id(of: content, key)
            }
        }
        let (end, start) = (try special("eos_token"), try special("bos_token"))
        paddingID = try special("pad_token")
        var rows = RowFormat(
            padding: paddingID ?? end ?? 0, limit: try files.contextLength(),
            padsBefore: try files.side("padding_side", default: family == .file ? .right : .left) == .left,
            cutsFront: try files.side("truncation_side") == .left)
        // What stands around a text is the template's word: transformers reads no `add_bos_token` where it has one.
        if let processor = pipeline.part("post_processor") {
            try processor.requireType(["TemplateProcessing"])
            guard let template = processor.template, template.before.count <= 1, template.after.count <= 1 else {
                throw TokenizerError.unsupported(
                    path: whole.path, field: "post_processor",
                    supported: "at most one token before and one after a text",
                    got: processor.template.map { "\($0.before) before and \($0.after) after" } ?? "another form")
            }
            rows.start = try template.before.first.map { try id(of: ExactString($0), "post_processor") }
            rows.end = try template.after.first.map { try id(of: ExactString($0), "post_processor") }
        }
        guard let end = rows.end ?? end else {
            throw TokenizerError.missing(path: whole.path, field: "eos_token")
        }
        endID = end
        startID = rows.start ?? start
        contextLength = rows.limit
        self.rows = rows
        // transformers leaves the texts of byte-pair encodings alone, whatever the switch says.
        if case .unigram = model { cleansSpaces = try files.cleansSpaces() } else { cleansSpaces = false }
        dropsFirstSpace = family == .file ? try Self.dropsFirstSpace(pipeline) : false
    }

    /// Which tokenizer the folder names. Some classes of transformers do what they do whatever `tokenizer.json` says.
    enum Family {
        case gemma
        /// Gemma's in lower case.
        case sigLIP2
        /// The file says it all.
        case file

        init(_ files: TokenizerFiles) {
            switch files.className {
            case "GemmaTokenizer": self = .gemma
            case "Siglip2Tokenizer": self = .sigLIP2
            default: self = .file
            }
        }

        fileprivate var normalizer: PieceNormalizer? {
            let marks = PieceNormalizer.Step.replace([0x20], [0x2581])
            switch self {
            case .gemma: return PieceNormalizer([marks])
            case .sigLIP2: return PieceNormalizer([.lowercase, marks])
            case .file: return nil
            }
        }

        fileprivate var specialTokens: [String: String] {
            self == .file
                ? [:]
                : [
                    "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>",
                    "mask_token": "<mask>",
                ]
        }
    }

    public func encode(_ text: String) -> [Int32] {
        var ids: [Int32] = []
        var isFirst = true
        let clean: (UnsafeBufferPointer<UInt8>) -> [UInt8] = { normalizer($0) }
        var text = text
        text.withUTF8 { utf8 in
            added.split(
                utf8, clean: clean,
                piece: { piece in
                    if let splitter {
                        splitter.words(piece, isFirst: isFirst) { model.encode($0, into: &ids) }
                    } else {
                        model.encode(piece, into: &ids)
                    }
                    isFirst = false
                },
                token: {
                    ids.append($0)
                    isFirst = false
                })
        }
        return ids
    }

    public func encode(
        _ texts: [String], contextLength: Int?, truncation: Truncation
    ) throws(TokenizerError) -> TokenBatch {
        try rows.batch(texts.map(encode), texts: texts, contextLength: contextLength, truncation: truncation)
    }

    public func decode(_ ids: some Sequence<Int>, skippingSpecial: Bool) -> String {
        var output: [UInt8] = []
        var bytes: [UInt8] = []
        var isFirst = true
        func flush() {
            // Bytes that are no text together are none by themselves either.
            output += String(validating: bytes, as: UTF8.self) != nil ? bytes : bytes.flatMap { _ in "\u{FFFD}".utf8 }
            bytes = []
        }
        for id in ids {
            guard let piece = added.text(of: id) ?? model.token(of: id) else { continue }
            if skippingSpecial, added.isSpecial(piece) { continue }
            if let byte = ByteToken.byte(piece), added.text(of: id) == nil {
                bytes.append(byte)
            } else {
                flush()
                let text = PieceBytes.of(piece)
                output += isFirst && dropsFirstSpace && text.first == 0x20 ? text.dropFirst() : text[...]
            }
            isFirst = false
        }
        flush()
        let text = String(decoding: output, as: UTF8.self)
        return cleansSpaces ? DecodedText.withoutSpacesBeforePunctuation(text) : text
    }

    public func bytes(of id: Int) -> [UInt8] {
        (added.text(of: id) ?? model.token(of: id)).map(PieceBytes.of) ?? []
    }

    /// - Throws: ``TokenizerError`` for a decoder that is not implemented.
    private static func dropsFirstSpace(_ pipeline: TokenizerPipeline) throws(TokenizerError) -> Bool {
        guard let decoder = pipeline.part("decoder") else { throw pipeline.missing("decoder", supported: "Metaspace") }
        try decoder.requireType(["Metaspace", "Sequence"])
        guard decoder.type == "Sequence" else {
            try decoder.require(
                ["replacement": [.string("▁")]],
                harmless: ["str_rep", "prepend_scheme", "add_prefix_space", "split"])
            return decoder.value["prepend_scheme"]?.string != "never"
        }
        let parts = decoder.sequence("decoders")
        let types = parts.map(\.type)
        guard types.starts(with: ["Replace", "ByteFallback", "Fuse"]), types.dropFirst(3).allSatisfy({ $0 == "Strip" })
        else {
            throw .unsupported(
                path: pipeline.path, field: "decoder", supported: "Metaspace, or Replace, ByteFallback, Fuse, Strip",
                got: types.joined(separator: ", "))
        }
        return types.count > 3
    }
}

/// How a normalised text becomes the words that the model splits, each by itself.
struct PieceSplitter: Sendable {
    private enum Prepending: String {
        case always, first, never
    }

    private let prepending: Prepending
    private let splitsAtMarks: Bool
    /// Whether white space ends words and is lost.
    private let splitsAtSpaces: Bool

    /// - Returns: nil for none.
    /// - Throws: ``TokenizerError`` for one that is not implemented.
    init?(_ part: TokenizerPipeline.Part?, after normalizer: PieceNormalizer) throws(TokenizerError) {
        guard let part else { return nil }
        var parts = part.sequence("pretokenizers")
        if parts.count == 1, parts[0].type == "Split" {
            // Gemma's, which finds nothing to split at: the normaliser has replaced the spaces.
            guard normalizer.replacesSpaces, parts[0].value["pattern"]?["String"]?.string == " " else {
                throw .unsupported(
                    path: part.file.path, field: "pre_tokenizer",
                    supported: "Split at spaces that the normalizer replaces",
                    got: "another Split")
            }
            return nil
        }
        splitsAtSpaces = parts.first?.type == "WhitespaceSplit"
        if splitsAtSpaces { parts.removeFirst() }
        guard parts.count == 1, parts[0].type == "Metaspace" else {
            throw .unsupported(
                path: part.file.path, field: "pre_tokenizer",
                supported: "Metaspace, with or without WhitespaceSplit before it",
                got: part.sequence("pretokenizers").map(\.type).joined(separator: ", "))
        }
        let metaspace = parts[0]
        try metaspace.require(
            ["replacement": [.string("▁")], "str_rep": [nil, .string("▁")]],
            harmless: ["prepend_scheme", "add_prefix_space", "split"])
        let scheme = metaspace.value["prepend_scheme"]?.string
        guard let found = scheme == nil ? Prepending.always : Prepending(rawValue: scheme!) else {
            throw .unsupported(
                path: part.file.path, field: "\(metaspace.place).prepend_scheme", supported: "always, first, never",
                got: "'\(scheme!)'")
        }
        // Files of before 2023 say it by a switch.
        prepending = metaspace.value["add_prefix_space"]?.bool == false ? .never : found
        splitsAtMarks = metaspace.value["split"]?.bool ?? true
    }

    /// Calls `body` for each word of a stretch of text.
    /// - Parameter isFirst: whether the stretch begins the text.
    func words(_ text: UnsafeBufferPointer<UInt8>, isFirst: Bool, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        guard splitsAtSpaces else { return marked(text, isFirst: isFirst, body) }
        let scanner = TextScanner(text: text)
        var i = 0
        while i < text.count {
            let start = i
            while i < text.count {
                let (kind, length) = scanner.character(at: i)
                if kind == .space { break }
                i += length
            }
            if i > start {
                marked(UnsafeBufferPointer(rebasing: text[start..<i]), isFirst: isFirst && start == 0, body)
            }
            while i < text.count {
                let (kind, length) = scanner.character(at: i)
                if kind != .space { break }
                i += length
            }
        }
    }

    private func marked(_ text: UnsafeBufferPointer<UInt8>, isFirst: Bool, _ body: (UnsafeBufferPointer<UInt8>) -> Void)
    {
        guard !text.isEmpty else { return }
        let mark = SentencePieceUnigram.space
        var output: [UInt8] = []
        output.reserveCapacity(text.count + 16)
        for byte in text { if byte == 0x20 { output += mark } else { output.append(byte) } }
        if prepending == .always || prepending == .first && isFirst, !output.starts(with: mark) {
            output.insert(contentsOf: mark, at: 0)
        }
        output.withUnsafeBufferPointer { output in
            guard splitsAtMarks else { return body(output) }
            var start = 0
            for i in 1..<output.count where output[i] == mark[0] && output[i...].starts(with: mark) {
                body(UnsafeBufferPointer(rebasing: output[start..<i]))
                start = i
            }
            body(UnsafeBufferPointer(rebasing: output[start...]))
        }
    }
}
