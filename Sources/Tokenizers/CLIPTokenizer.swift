/// CLIP's tokenizer: lower-cased byte-level BPE with `</w>` at word ends (Radford et al. 2021).
///
/// ```swift
/// let tokenizer = try CLIPTokenizer(folder: "clip-vit-base-patch32")
/// let batch = try tokenizer.encode(["a photo of a cat", "two dogs"], truncation: .error)
/// // batch.ids: [2, 77], 49406 ... 49407, padding
/// ```
///
/// With ``CLIPCleaning/huggingFace`` the ids equal those of `transformers` 5, with ``CLIPCleaning/openAI`` those of
/// open_clip with ftfy.
public struct CLIPTokenizer: Sendable {
    /// Id of the token that starts every text (49406 in the published vocabulary).
    public let startID: Int
    /// Id of the token that ends every text (49407).
    public let endID: Int
    /// Id that fills rows up: the model's pad token for Hugging Face folders, 0 in OpenAI's code.
    public let paddingID: Int
    public let cleaning: CLIPCleaning
    /// Tokens per row when none is asked for: `model_max_length` of the folder, else 77.
    public let contextLength: Int

    let encoder: BytePairEncoder
    private let rawTokens: AddedTokens
    private let normalizedTokens: AddedTokens

    public var vocabularySize: Int { encoder.count }

    init(
        encoder: BytePairEncoder, startID: Int, endID: Int, paddingID: Int, cleaning: CLIPCleaning, contextLength: Int,
        addedTokens: [TokenizerFiles.AddedToken]
    ) {
        self.encoder = encoder
        self.startID = startID
        self.endID = endID
        self.paddingID = paddingID
        self.cleaning = cleaning
        self.contextLength = contextLength
        let pairs = addedTokens.map { (token: $0, id: Int32($0.id)) }
        switch cleaning {
        case .huggingFace:
            rawTokens = AddedTokens(pairs.filter { !$0.token.normalized }.map { ($0.token.content, $0.id) })
            normalizedTokens = AddedTokens(
                pairs.filter { $0.token.normalized }.map { pair in
                    (pair.token.content.withUnsafeBufferPointer { cleaning.clean($0) }, pair.id)
                })
        case .openAI:
            rawTokens = AddedTokens([])
            normalizedTokens = AddedTokens([])
        }
    }

    /// Ids of a text, without start, end and padding.
    public func tokens(_ text: String) -> [Int32] {
        encoder.withCache { tokens(text, &$0) }
    }

    private func tokens(_ text: String, _ cache: inout WordCache) -> [Int32] {
        var ids: [Int32] = []
        var text = text
        text.withUTF8 { utf8 in
            switch cleaning {
            case .openAI:
                Self.separatingYpogegrammeni(cleaning.clean(utf8)).withUnsafeBufferPointer { words in
                    openAIWords(words, &cache, &ids)
                }
            case .huggingFace:
                rawTokens.split(
                    utf8,
                    piece: { piece in
                        cleaning.clean(piece).withUnsafeBufferPointer { cleaned in
                            normalizedTokens.split(
                                cleaned, piece: { huggingFaceWords($0, &cache, &ids) }, token: { ids.append($0) })
                        }
                    }, token: { ids.append($0) })
            }
        }
        return ids
    }

    /// Texts as rows of equal length: start, tokens, end, padding.
    /// - Parameters:
    ///   - contextLength: tokens per row, start and end included; ``contextLength`` when nil.
    ///   - truncation: what happens to longer texts; when cut, the end token stays last as in both references.
    /// - Throws: ``TokenizerError/textTooLong(row:tokens:contextLength:text:)``,
    ///   ``TokenizerError/contextTooShort(contextLength:minimum:)``.
    public func encode(
        _ texts: [String], contextLength: Int? = nil, truncation: Truncation
    ) throws(TokenizerError) -> TokenBatch {
        let length = contextLength ?? self.contextLength
        guard length >= 2 else { throw .contextTooShort(contextLength: length, minimum: 2) }
        var builder = TokenBatchBuilder(rows: texts.count, contextLength: length, paddingID: paddingID)
        let rows = encoder.withCache { cache in texts.map { tokens($0, &cache) } }
        for (row, ids) in rows.enumerated() {
            if ids.count + 2 > length {
                guard truncation == .truncate else {
                    throw .textTooLong(
                        row: row, tokens: ids.count + 2, contextLength: length, text: excerpt(texts[row]))
                }
                builder.truncatedRows.append(row)
            }
            builder.append(start: startID, ids.prefix(length - 2), end: endID)
        }
        return builder.batch
    }

    /// The text of ids: `</w>` becomes a space, bytes that are no UTF-8 become U+FFFD.
    /// - Parameter skippingSpecial: leave out start and end (and padding that equals them).
    /// - Throws: ``TokenizerError/unknownID(id:vocabularySize:)``.
    public func decode(_ ids: some Sequence<Int>, skippingSpecial: Bool = true) throws(TokenizerError) -> String {
        var bytes: [UInt8] = []
        for id in ids where !(skippingSpecial && (id == startID || id == endID)) {
            bytes.append(contentsOf: try encoder.bytes(of: id))
        }
        let scalars = String(decoding: spacedWords(bytes), as: UTF8.self).unicodeScalars.map(\.value)
        let kept = scalars.drop(while: PythonText.isSpace)
        let end = kept.lastIndex { !PythonText.isSpace($0) }.map { $0 + 1 } ?? kept.startIndex
        return String(decoding: utf8(Array(kept[..<end])), as: UTF8.self)
    }

    /// `</w>` replaced by a space. On bytes: a `String` would not find it before a combining mark.
    private func spacedWords(_ bytes: [UInt8]) -> [UInt8] {
        let mark = Array("</w>".utf8)
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var i = 0
        while i < bytes.count {
            if bytes[i] == mark[0], bytes[i...].starts(with: mark) {
                output.append(0x20)
                i += mark.count
            } else {
                output.append(bytes[i])
                i += 1
            }
        }
        return output
    }

    // MARK: words

    private static let openAISpecials = ["<start_of_text>", "<end_of_text>"].map { Array($0.utf8) }
    private static let huggingFaceSpecials = ["<|startoftext|>", "<|endoftext|>"].map { Array($0.utf8) }

    /// `<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+`, case ignored.
    private func openAIWords(_ text: UnsafeBufferPointer<UInt8>, _ cache: inout WordCache, _ ids: inout [Int32]) {
        let scanner = TextScanner(text: text)
        var i = 0
        while i < text.count {
            if text[i] == UInt8(ascii: "<") {
                if scanner.hasPrefix(Self.openAISpecials[0], at: i) {
                    ids.append(Int32(startID))
                    i += Self.openAISpecials[0].count
                    continue
                }
                if scanner.hasPrefix(Self.openAISpecials[1], at: i) {
                    ids.append(Int32(endID))
                    i += Self.openAISpecials[1].count
                    continue
                }
            }
            i = word(scanner, from: i, foldsLongS: true, &cache, &ids)
        }
    }

    /// U+0345 as a space. The reference's pattern ignores case, and this mark's other case is the letter iota: no part
    /// of the pattern takes it, so it ends a word and is lost.
    private static func separatingYpogegrammeni(_ text: [UInt8]) -> [UInt8] {
        guard text.contains(0xCD) else { return text }
        var text = text
        for i in 0..<max(text.count - 1, 0) where text[i] == 0xCD && text[i + 1] == 0x85 {
            text[i] = 0x20
            text[i + 1] = 0x20
        }
        return text
    }

    /// The same words; special tokens spelled in the text, which got here in another case or after cleaning, are three
    /// words each, since the byte-level step of `tokenizers` splits them again.
    private func huggingFaceWords(_ text: UnsafeBufferPointer<UInt8>, _ cache: inout WordCache, _ ids: inout [Int32]) {
        let scanner = TextScanner(text: text)
        var i = 0
        while i < text.count {
            if text[i] == UInt8(ascii: "<"),
                let special = Self.huggingFaceSpecials.first(where: { scanner.hasPrefix($0, at: i) })
            {
                let end = i + special.count
                for range in [i..<i + 2, i + 2..<end - 2, end - 2..<end] {
                    encoder.encode(word: UnsafeBufferPointer(rebasing: text[range]), cache: &cache, into: &ids)
                }
                i = end
                continue
            }
            i = word(scanner, from: i, foldsLongS: false, &cache, &ids)
        }
    }

    /// Appends the ids of the word at `i`, if one starts there; returns where to go on.
    @inline(__always)
    private func word(
        _ scanner: TextScanner, from i: Int, foldsLongS: Bool, _ cache: inout WordCache, _ ids: inout [Int32]
    ) -> Int {
        let end: Int
        if let contraction = scanner.endOfContraction(at: i, foldsLongS: foldsLongS) {
            end = contraction
        } else {
            let (kind, length) = scanner.character(at: i)
            switch kind {
            case .space: return i + length
            case .number: end = i + length
            case .letter, .other: end = scanner.endOfRun(kind, from: i + length)
            }
        }
        encoder.encode(word: UnsafeBufferPointer(rebasing: scanner.text[i..<end]), cache: &cache, into: &ids)
        return end
    }
}

/// Rows of a batch as they come.
struct TokenBatchBuilder {
    let contextLength: Int
    let paddingID: Int
    var truncatedRows: [Int] = []
    private var ids: [Int64] = []
    private var mask: [Int64] = []
    private var rows = 0

    init(rows: Int, contextLength: Int, paddingID: Int) {
        self.contextLength = contextLength
        self.paddingID = paddingID
        ids.reserveCapacity(rows * contextLength)
        mask.reserveCapacity(rows * contextLength)
    }

    mutating func append(start: Int?, _ tokens: ArraySlice<Int32>, end: Int?) {
        let from = ids.count
        if let start { ids.append(Int64(start)) }
        for token in tokens { ids.append(Int64(token)) }
        if let end { ids.append(Int64(end)) }
        let used = ids.count - from
        ids.append(contentsOf: repeatElement(Int64(paddingID), count: contextLength - used))
        mask.append(contentsOf: repeatElement(1, count: used))
        mask.append(contentsOf: repeatElement(0, count: contextLength - used))
        rows += 1
    }

    var batch: TokenBatch {
        TokenBatch(
            ids: ids, attentionMask: mask, rowCount: rows, contextLength: contextLength, truncatedRows: truncatedRows)
    }
}

/// The start of a text, for messages.
func excerpt(_ text: String) -> String {
    let scalars = text.unicodeScalars
    guard scalars.count > 60 else { return text }
    return String(String.UnicodeScalarView(scalars.prefix(57))) + "..."
}
