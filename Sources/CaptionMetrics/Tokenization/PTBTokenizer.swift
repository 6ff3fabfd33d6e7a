/// The Penn Treebank tokenizer with which COCO caption scores are computed (coco-caption's `PTBTokenizer`, which runs
/// CoreNLP 3.4.1 with `-preserveLines -lowerCase` over all captions at once and then drops punctuation).
///
/// The captions of one call are one text to the lexer: as in the reference, what follows a caption can change its last
/// token. It differs from the reference on input that no caption set holds. Line breaks other than `\n` inside a
/// caption (`\r`, U+2028 …) are blanks here; they make coco-caption assign all later captions to the wrong images.
/// `docs/ptb-tokenizer.md` lists the other differences.
public struct PTBTokenizer: Sendable {
    /// The name in protocol tags.
    public static let protocolName = "ptb-coco"

    /// The tokens that coco-caption drops. They are compared after lower-casing, so the four bracket names never occur.
    public static let punctuation: Set<String> = [
        "''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";",
    ]

    /// The members of `punctuation` as their bytes packed into one number.
    private static let packedPunctuation = Set(
        punctuation.filter { $0.utf8.count <= 3 }.map { packed(Array($0.utf8)[...]) })

    private static func packed(_ token: ArraySlice<UInt8>) -> UInt32 {
        token.reduce(0) { $0 << 8 | UInt32($1) }
    }

    public init() {}

    /// The tokens of each caption, joined by blanks, lower-cased and without punctuation.
    ///
    /// - Parameter captions: the captions of one run, in order: references in one call, candidates in another.
    /// - Returns: one line per caption; a caption of nothing but punctuation gives an empty one.
    public func tokenize(_ captions: [String]) -> [String] {
        var units: [UInt16] = []
        units.reserveCapacity(captions.reduce(captions.count) { $0 + $1.utf8.count })
        var starts: [Int] = []
        starts.reserveCapacity(captions.count + 1)
        for (index, caption) in captions.enumerated() {
            starts.append(units.count)
            for unit in caption.utf16 { units.append(Self.isLineBreak(unit) ? 0x20 : unit) }
            if index + 1 < captions.count { units.append(0x0A) }
        }
        starts.append(Int.max)

        var lines = [String](repeating: "", count: captions.count)
        var line: [UInt8] = []
        var current = 0
        var lexer = Lexer()
        units.withUnsafeBufferPointer { text in
            lexer.scan(text) { offset, event in
                while offset >= starts[current + 1] {
                    lines[current] = String(decoding: line, as: UTF8.self)
                    line.removeAll(keepingCapacity: true)
                    current += 1
                }
                let lineLength = line.count
                if lineLength > 0 { line.append(0x20) }
                let tokenStart = line.count
                switch event {
                case .token(let range): Self.appendLowercased(text[range], to: &line)
                case .rewritten(let units): units.withUnsafeBufferPointer { Self.appendLowercased($0[...], to: &line) }
                case .lineEnd: break
                }
                let length = line.count - tokenStart
                if length == 0 || length <= 3 && Self.packedPunctuation.contains(Self.packed(line[tokenStart...])) {
                    line.removeSubrange(lineLength...)
                }
            }
        }
        if current < captions.count { lines[current] = String(decoding: line, as: UTF8.self) }
        return lines
    }

    /// What the reference program prints for `text`: the tokens of each of its lines, punctuation included.
    func lines(of text: String, lowercased: Bool = true) -> [[String]] {
        var lines: [[String]] = [[]]
        var lexer = Lexer()
        func append(_ units: Slice<UnsafeBufferPointer<UInt16>>) {
            var bytes: [UInt8] = []
            if lowercased {
                Self.appendLowercased(units, to: &bytes)
            } else {
                bytes.append(contentsOf: String(decoding: units, as: UTF16.self).utf8)
            }
            lines[lines.count - 1].append(String(decoding: bytes, as: UTF8.self))
        }
        Array(text.utf16).withUnsafeBufferPointer { text in
            lexer.scan(text) { _, event in
                switch event {
                case .lineEnd: lines.append([])
                case .token(let range): append(text[range])
                case .rewritten(let units): units.withUnsafeBufferPointer { append($0[...]) }
                }
            }
        }
        return lines
    }

    private static func isLineBreak(_ unit: UInt16) -> Bool {
        (0x0A...0x0D).contains(unit) || unit == 0x2028 || unit == 0x2029
    }

    /// Lower-cases as Java's `String.toLowerCase(Locale.ENGLISH)` does: full Unicode mappings, and a capital sigma that
    /// ends a word becomes a final one.
    static func appendLowercased(_ units: Slice<UnsafeBufferPointer<UInt16>>, to bytes: inout [UInt8]) {
        for unit in units {
            if unit > 0x7F { return appendLowercasedUnicode(units, to: &bytes) }
        }
        for unit in units {
            let byte = UInt8(truncatingIfNeeded: unit)
            bytes.append((0x41...0x5A).contains(byte) ? byte | 0x20 : byte)
        }
    }

    private static func appendLowercasedUnicode(_ units: Slice<UnsafeBufferPointer<UInt16>>, to bytes: inout [UInt8]) {
        let scalars = Array(String(decoding: units, as: UTF16.self).unicodeScalars)
        for (index, scalar) in scalars.enumerated() {
            if scalar == "\u{03A3}" {
                let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
                let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
                let isFinal = before?.properties.isCased == true && after?.properties.isCased != true
                bytes.append(contentsOf: (isFinal ? "\u{03C2}" : "\u{03C3}").utf8)
            } else {
                bytes.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
            }
        }
    }
}
