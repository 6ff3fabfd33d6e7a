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
public struct CLIPTokenizer: TextTokenizer {
    /// Id of the token that starts every text (49406 in the published vocabulary).
    public let startID: Int?
    /// Id of the token that ends every text (49407).
    public let endID: Int
    /// Id that fills up rows: the model's pad token for Hugging Face folders, 0 in OpenAI's code.
    public let paddingID: Int?
    public let cleaning: CLIPCleaning
    /// Tokens per row unless the caller says otherwise: `model_max_length` of the folder, or 77 without one.
    public let contextLength: Int?

    private let vocabulary: BytePairVocabulary
    private let rows: RowFormat

    public var vocabularySize: Int { vocabulary.size }

    /// - Parameter limit: the most tokens that a row may have; nil for no limit.
    init(
        _ vocabulary: BytePairVocabulary, start: Int, end: Int, padding: Int, cleaning: CLIPCleaning,
        contextLength: Int, limit: Int?
    ) {
        self.vocabulary = vocabulary
        startID = start
        endID = end
        paddingID = padding
        self.cleaning = cleaning
        self.contextLength = contextLength
        rows = RowFormat(start: start, end: end, padding: padding, limit: limit)
    }

    public func encode(_ text: String) -> [Int32] {
        vocabulary.encoder.withCache { encode(text, &$0) }
    }

    private func encode(_ text: String, _ cache: inout WordCache) -> [Int32] {
        switch cleaning {
        case .huggingFace:
            return vocabulary.encode(text, &cache, clean: cleaning.clean) { huggingFaceWords($0, &$1, &$2) }
        case .openAI:
            var ids: [Int32] = []
            var text = text
            text.withUTF8 { utf8 in
                Self.separatingYpogegrammeni(cleaning.clean(utf8)).withUnsafeBufferPointer {
                    openAIWords($0, &cache, &ids)
                }
            }
            return ids
        }
    }

    /// Texts as rows of equal length: start, tokens, end, padding. A text that is cut still ends with the end token, as
    /// in both references.
    public func encode(
        _ texts: [String], contextLength: Int?, truncation: Truncation
    ) throws(TokenizerError) -> TokenBatch {
        let tokens = vocabulary.encoder.withCache { cache in texts.map { encode($0, &cache) } }
        return try rows.batch(
            tokens, texts: texts, contextLength: contextLength ?? self.contextLength, truncation: truncation)
    }

    /// The text of ids: `</w>` becomes a space, bytes that are no UTF-8 become U+FFFD.
    public func decode(_ ids: some Sequence<Int>, skippingSpecial: Bool) -> String {
        let bytes = spacedWords(vocabulary.bytes(of: ids, skippingSpecial: skippingSpecial))
        let scalars = String(decoding: bytes, as: UTF8.self).unicodeScalars.map(\.value)
        let kept = scalars.drop(while: PythonText.isSpace)
        let end = kept.lastIndex { !PythonText.isSpace($0) }.map { $0 + 1 } ?? kept.startIndex
        return String(decoding: utf8(Array(kept[..<end])), as: UTF8.self)
    }

    public func bytes(of id: Int) -> [UInt8] { vocabulary.bytes(of: id) }

    /// Replaces `</w>` by a space. It works on bytes, because a `String` would not find it before a combining mark.
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
                    ids.append(Int32(startID!))
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

    /// U+0345 as a space. The reference's pattern ignores case, and the other case of this mark is the letter iota, so
    /// no part of the pattern matches it: it ends a word and is lost.
    private static func separatingYpogegrammeni(_ text: [UInt8]) -> [UInt8] {
        guard text.contains(0xCD) else { return text }
        var text = text
        for i in 0..<max(text.count - 1, 0) where text[i] == 0xCD && text[i + 1] == 0x85 {
            text[i] = 0x20
            text[i + 1] = 0x20
        }
        return text
    }

    /// The same words, except that special tokens spelled out in the text, which get here in another case or after
    /// cleaning, are three words each, because the byte-level step of `tokenizers` splits them again.
    private func huggingFaceWords(_ text: UnsafeBufferPointer<UInt8>, _ cache: inout WordCache, _ ids: inout [Int32]) {
        let scanner = TextScanner(text: text)
        var i = 0
        while i < text.count {
            if text[i] == UInt8(ascii: "<"),
                let special = Self.huggingFaceSpecials.first(where: { scanner.hasPrefix($0, at: i) })
            {
                let end = i + special.count
                for range in [i..<i + 2, i + 2..<end - 2, end - 2..<end] {
                    vocabulary.encoder.encode(
                        word: UnsafeBufferPointer(rebasing: text[range]), cache: &cache, into: &ids)
                }
                i = end
                continue
            }
            i = word(scanner, from: i, foldsLongS: false, &cache, &ids)
        }
    }

    /// Appends the ids of the word at `i`, if one starts there; returns where to continue.
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
        vocabulary.encoder.encode(word: UnsafeBufferPointer(rebasing: scanner.text[i..<end]), cache: &cache, into: &ids)
        return end
    }
}
