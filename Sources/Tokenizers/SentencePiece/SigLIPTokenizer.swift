import Files
import ModelFolders
import StrictJSON

/// SigLIP's tokenizer: texts in lower case without punctuation, split by SentencePiece's Unigram model, ended by `</s>` and
/// filled up with it. Reference: transformers 5 `SiglipTokenizer`, whose ids these are.
public struct SigLIPTokenizer: TextTokenizer {
    public let startID: Int? = nil
    public let endID: Int
    public let paddingID: Int?
    /// `model_max_length`, else 64.
    public let contextLength: Int?

    private let model: SentencePieceUnigram
    private let added: AddedVocabulary
    private let rows: RowFormat
    private let lowersCase: Bool
    private let cleansSpaces: Bool
    /// `<unk>`, and how many pieces it is split into. It is put before every text, so that a space that begins the text is
    /// no extra space to the normaliser, and its pieces are taken off again.
    private let guardText: [UInt8]
    private let guardCount: Int
    private let spaceID: Int32?

    public var vocabularySize: Int { max(model.count, added.highestID + 1) }

    /// Reads `spiece.model`; added and special tokens from every file that may hold some.
    /// - Throws: ``TokenizerError``, `JSONFileError`, `FileError`. A setting that is not implemented is refused by name.
    public init(folder: String) throws { try self.init(TokenizerFiles(ModelFolder(folder))) }

    init(_ files: TokenizerFiles) throws {
        try files.refuseUnsupported()
        if let settings = try files.configuration?.object("sp_model_kwargs"), let key = settings.keys.first {
            throw settings.unsupported(key, "SentencePiece is read as it is by default, without sampling")
        }
        lowersCase = try files.configuration?.bool("do_lower_case") ?? true
        cleansSpaces = try files.cleansSpaces()
        let model = try SentencePieceUnigram(SentencePieceFile(files.folder.file("spiece.model")))
        let declarations = try TokenDeclarations(
            files, defaults: ["eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"])
        let lowers = lowersCase
        let added = try AddedVocabulary(
            declarations, count: model.count, path: files.folder.file("spiece.model"),
            normalize: { lowers ? utf8(PythonText.lower($0.withUnsafeBufferPointer { scalars(ofUTF8: $0) })) : $0 },
            id: { model.id(of: Array($0.string.utf8)) })
        func id(_ key: String) throws(TokenizerError) -> Int? {
            guard let content = declarations.content(of: ExactString(key)) else { return nil }
            guard let id = added.id(of: content) ?? model.id(of: Array(content.string.utf8)) else {
                throw .unknownToken(path: files.folder.file("spiece.model"), role: key, token: content.string)
            }
            return Int(id)
        }
        guard let end = try id("eos_token") else {
            throw TokenizerError.missing(path: files.folder.file("tokenizer_config.json"), field: "eos_token")
        }
        endID = end
        paddingID = try id("pad_token")
        contextLength = try files.contextLength() ?? 64
        guardText = Array((declarations.content(of: ExactString("unk_token"))?.string ?? "<unk>").utf8)
        guardCount = model.encode(guardText).count
        spaceID = model.id(of: SentencePieceUnigram.space)
        rows = RowFormat(
            end: end, endsOnce: true, padding: paddingID ?? end, limit: contextLength,
            padsBefore: try files.side("padding_side") == .left, cutsFront: try files.side("truncation_side") == .left)
        self.model = model
        self.added = added
    }

    public func encode(_ text: String) -> [Int32] {
        // Every text begins with a space.
        var given = SentencePieceUnigram.space
        for scalar in text.unicodeScalars {
            if scalar == "\u{2581}" { given.append(0x20) } else { given.append(contentsOf: UTF8.encode(scalar)!) }
        }
        var ids: [Int32] = []
        var firstToken: Int?
        given.withUnsafeBufferPointer { given in
            added.split(
                given, clean: nil,
                piece: { piece in
                    let all = model.encode(guardText + canonical(piece))
                    ids += all.count >= guardCount ? all.dropFirst(guardCount) : all[...]
                },
                token: {
                    firstToken = firstToken ?? ids.count
                    ids.append($0)
                })
        }
        // The space that was put before the text stands alone where a special token begins it.
        if firstToken == 1, ids[0] == spaceID, let text = added.text(of: Int(ids[1])), added.isSpecial(text) {
            ids.removeFirst()
        }
        return ids
    }

    /// Lower case, no ASCII punctuation, single spaces, none at the ends.
    private func canonical(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        let scalars = scalars(ofUTF8: text)
        let lower = lowersCase ? PythonText.lower(scalars) : scalars
        return utf8(PythonText.collapseSpaces(lower.filter { !Self.isPunctuation($0) }))
    }

    /// Python's `string.punctuation`.
    private static func isPunctuation(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
        default: false
        }
    }

    public func encode(
        _ texts: [String], contextLength: Int?, truncation: Truncation
    ) throws(TokenizerError) -> TokenBatch {
        try rows.batch(
            texts.map(encode), texts: texts, contextLength: contextLength ?? self.contextLength, truncation: truncation)
    }

    /// The text of ids, without white space around it; special tokens get a space before them.
    public func decode(_ ids: some Sequence<Int>, skippingSpecial: Bool) -> String {
        var output: [UInt8] = []
        var run: [UInt8] = []
        var isAfterSpecial = false
        var isLeading = true
        func flush() {
            output += run
            run = []
            isLeading = true
        }
        for id in ids {
            guard let piece = added.text(of: id) ?? model.piece(id) else { continue }
            if added.isSpecial(piece) {
                if skippingSpecial { continue }
                if !isAfterSpecial { output.append(0x20) }
                flush()
                output += piece
                isAfterSpecial = true
            } else {
                // Of each run the spaces that begin it go, those of pieces that are nothing else included.
                let text = bytes(of: id)
                let kept = isLeading && text.first == 0x20 ? text.dropFirst() : text[...]
                isLeading = isLeading && kept.isEmpty && model.removesExtraSpaces
                run += kept
                isAfterSpecial = false
            }
        }
        flush()
        let scalars = String(decoding: output, as: UTF8.self).unicodeScalars.map(\.value)
        let kept = scalars.drop(while: PythonText.isSpace)
        let end = kept.lastIndex { !PythonText.isSpace($0) }.map { $0 + 1 } ?? kept.startIndex
        let text = String(decoding: utf8(Array(kept[..<end])), as: UTF8.self)
        return cleansSpaces ? DecodedText.withoutSpacesBeforePunctuation(text) : text
    }

    public func bytes(of id: Int) -> [UInt8] {
        if let text = added.text(of: id) { return text }
        return model.piece(id).map(PieceBytes.of) ?? []
    }
}

/// What a piece stands for in a text.
enum PieceBytes {
    /// Its byte, or its text with spaces for the marks of them.
    static func of(_ piece: [UInt8]) -> [UInt8] {
        if let byte = ByteToken.byte(piece) { return [byte] }
        let mark = SentencePieceUnigram.space
        var output: [UInt8] = []
        var i = 0
        while i < piece.count {
            if piece[i] == mark[0], piece[i...].starts(with: mark) {
                output.append(0x20)
                i += mark.count
            } else {
                output.append(piece[i])
                i += 1
            }
        }
        return output
    }
}

extension TokenizerFamily {
    /// SigLIP's, with SentencePiece's own file.
    static let sigLIP = TokenizerFamily(
        name: "SentencePiece Unigram (SigLIP)", classes: [],
        recognises: { files in
            guard files.folder.has("spiece.model") else { return false }
            return try files.className == "SiglipTokenizer"
                || files.className == nil && files.folder.modelType() == "siglip"
        }, open: { try SigLIPTokenizer($0) })
}
