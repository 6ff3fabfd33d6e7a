import StrictJSON
import Tokenizers

// Byte-pair encoding (Gage 1994; Sennrich et al. 2016) in the two forms that the models here read. The learned merges
// are written as the files of their tokenizers.

/// Learns a vocabulary from texts.
public struct BPETraining: Sendable {
    /// How a text is split into words, and words into symbols.
    public enum Style: Sendable {
        /// Lower case; words of letters, single digits, runs of other signs; `</w>` at word ends; `<|startoftext|>` and
        /// `<|endoftext|>`.
        case clip
        /// The text as written; words of letters, of digits, of other signs, each with the space before it;
        /// `<|endoftext|>` is the only special token.
        case gpt2
    }

    public let style: Style
    /// Pairs in the order in which they were merged; a token is a sequence of the byte alphabet's characters.
    public let merges: [(left: String, right: String)]
    /// Tokens in the order of their ids: 256 bytes, for CLIP 256 bytes that end a word, merges, then start (CLIP) and end.
    public let vocabulary: [String]

    /// - Parameters:
    ///   - texts: as they will be tokenized. White space and words are recognised as in English; letters outside ASCII
    ///     count as letters.
    ///   - mergeLimit: number of new tokens; fewer if every word is one token before that.
    ///
    /// The most frequent pair is merged first. Of equally frequent pairs, the first by bytes comes first, so that the
    /// result depends only on the texts.
    public init(texts: some Sequence<String>, mergeLimit: Int = 1000, style: Style = .clip) {
        self.style = style
        let ending = style == .clip ? "</w>" : ""
        var counts: [[UInt8]: Int] = [:]
        for text in texts { Self.words(Array(text.utf8), style) { counts[Array($0), default: 0] += 1 } }
        var words = counts.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { word, count in
            (
                symbols: word.enumerated().map { index, byte in
                    String(decoding: ByteAlphabet.token(byte), as: UTF8.self) + (index == word.count - 1 ? ending : "")
                }, count: count
            )
        }
        var merges: [(left: String, right: String)] = []
        while merges.count < mergeLimit {
            var pairs: [Pair: Int] = [:]
            for word in words where word.symbols.count > 1 {
                for index in 1..<word.symbols.count {
                    pairs[Pair(left: word.symbols[index - 1], right: word.symbols[index]), default: 0] += word.count
                }
            }
            let best = pairs.max { a, b in a.value != b.value ? a.value < b.value : b.key.precedes(a.key) }
            guard let best else { break }
            let (left, right) = (best.key.left, best.key.right)
            merges.append((left, right))
            for index in words.indices { Self.merge(left, right, in: &words[index].symbols) }
        }
        self.merges = merges
        let bytes = ByteAlphabet.vocabularyOrder.map { String(decoding: ByteAlphabet.token($0), as: UTF8.self) }
        let merged = merges.map { $0.left + $0.right }
        vocabulary =
            switch style {
            case .clip: bytes + bytes.map { $0 + ending } + merged + ["<|startoftext|>", "<|endoftext|>"]
            case .gpt2: bytes + merged + ["<|endoftext|>"]
            }
    }

    public var startID: Int { style == .clip ? vocabulary.count - 2 : endID }
    public var endID: Int { vocabulary.count - 1 }

    /// `vocab.json`: token to id, in the order of ids.
    public var vocabularyJSON: [UInt8] {
        var json: [UInt8] = Array("{".utf8)
        for (id, token) in vocabulary.enumerated() {
            if id > 0 { json.append(contentsOf: ", ".utf8) }
            StrictJSON.append(string: token, to: &json)
            json.append(contentsOf: ": \(id)".utf8)
        }
        return json + Array("}\n".utf8)
    }

    /// `merges.txt`: a version line, then one pair per line.
    public var mergesText: String {
        "#version: 0.2\n" + merges.map { "\($0.left) \($0.right)\n" }.joined()
    }

    private struct Pair: Hashable {
        let left: String
        let right: String

        func precedes(_ other: Pair) -> Bool {
            left == other.left
                ? right.utf8.lexicographicallyPrecedes(other.right.utf8)
                : left.utf8.lexicographicallyPrecedes(other.left.utf8)
        }
    }

    private static func merge(_ left: String, _ right: String, in symbols: inout [String]) {
        guard symbols.count > 1 else { return }
        var index = 0
        while index + 1 < symbols.count {
            if symbols[index] == left, symbols[index + 1] == right {
                symbols[index] = left + right
                symbols.remove(at: index + 1)
            }
            index += 1
        }
    }

    /// The words of a text.
    private static func words(_ text: [UInt8], _ style: Style, _ body: (ArraySlice<UInt8>) -> Void) {
        enum Kind { case space, letter, digit, other }
        func kind(_ byte: UInt8) -> Kind {
            switch byte {
            case 0x09...0x0D, 0x20: .space
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), 0x80...: .letter
            case UInt8(ascii: "0")...UInt8(ascii: "9"): .digit
            default: .other
            }
        }
        let isCLIP = style == .clip
        let text = isCLIP ? text.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 + 32 : $0 } : text
        var start = 0
        while start < text.count {
            // GPT-2's words include the plain space before them.
            let leads = !isCLIP && text[start] == 0x20 && start + 1 < text.count && kind(text[start + 1]) != .space
            let first = kind(text[leads ? start + 1 : start])
            var end = start + (leads ? 2 : 1)
            if first != .digit || !isCLIP { while end < text.count, kind(text[end]) == first { end += 1 } }
            if first != .space { body(text[start..<end]) }
            start = end
        }
    }
}
