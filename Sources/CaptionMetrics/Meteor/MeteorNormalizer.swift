/// METEOR's `-norm` for English: splits punctuation from words, then lower-cases.
///
/// A pipeline of rewrites in the manner of the Moses tokenizer. Each is applied to the whole line from left to right
/// without overlap, so the order of the passes and the characters that each of them consumes are part of the definition
/// (`1-2-3` becomes `1 2-3`, because the first hyphen uses up the `2`). Captions from the PTB tokenizer are mostly
/// letters, digits and blanks; those take a short cut.
///
/// There is one difference: METEOR marks runs of dots with the word `DOTMULTI` inside its pipeline, and so turns that
/// very word, typed by a user in capitals, into a dot. That is not reproduced. Lower case is Unicode's in this version
/// of Swift; older or newer versions of Java may differ on scripts that were added since.
struct MeteorNormalizer {
    /// What the list of non-breaking prefixes says about a word before a final dot.
    enum Prefix: Sendable {
        case none
        case always
        case beforeNumbers
    }

    /// Looks a word up in the list of prefixes; without data there is no such list.
    let prefix: ([UInt8]) -> Prefix

    /// The lower-cased tokens of a line, UTF-8.
    func tokens(_ line: String) -> [[UInt8]] {
        var line = line
        return line.withUTF8 { bytes in
            bytes.allSatisfy(Self.isPlain) ? Self.split(bytes) : tokensOfAnyLine(String(decoding: bytes, as: UTF8.self))
        }
    }

    /// Normalised text before lower-casing, tokens joined by one blank.
    func normalized(_ line: String) -> String {
        var text = String.UnicodeScalarView()
        for (i, word) in words(line).enumerated() {
            if i > 0 { text.append(" ") }
            for value in word { text.append(Unicode.Scalar(value)!) }
        }
        return String(text)
    }

    // MARK: - Plain lines

    private static func isPlain(_ byte: UInt8) -> Bool {
        byte == 0x20 || (byte >= 0x61 && byte <= 0x7A) || (byte >= 0x30 && byte <= 0x39)
    }

    private static func split(_ bytes: UnsafeBufferPointer<UInt8>) -> [[UInt8]] {
        var tokens: [[UInt8]] = []
        var start = 0
        for i in 0...bytes.count where i == bytes.count || bytes[i] == 0x20 {
            if i > start { tokens.append(Array(bytes[start..<i])) }
            start = i + 1
        }
        return tokens
    }

    // MARK: - All others

    /// Scalar values; arrays of them are easier to rewrite than strings.
    private typealias Text = [UInt32]

    private func tokensOfAnyLine(_ line: String) -> [[UInt8]] {
        words(line).map { word in
            var bytes: [UInt8] = []
            bytes.reserveCapacity(word.count)
            for value in word {
                if value < 0x80 {
                    bytes.append(UInt8(value >= 0x41 && value <= 0x5A ? value + 0x20 : value))
                } else {
                    bytes += Array(Unicode.Scalar(value)!.properties.lowercaseMapping.utf8)
                }
            }
            return bytes
        }
    }

    private func words(_ line: String) -> [[UInt32]] {
        var text: Text = [Mark.blank]
        text += line.unicodeScalars.lazy.map(\.value)
        text.append(Mark.blank)
        text = Self.separateSymbols(text)
        text = Self.separateDotRuns(text)
        text = Self.separateCommas(text)
        text = Self.unifyQuotesAndDashes(text)
        text = Self.openHyphens(text)
        text = Self.separateApostrophes(text)
        return Self.trimmed(finalDots(text))
    }

    private enum Mark {
        static let blank: UInt32 = 0x20
        static let quote: UInt32 = 0x22
        static let apostrophe: UInt32 = 0x27
        static let comma: UInt32 = 0x2C
        static let hyphen: UInt32 = 0x2D
        static let dot: UInt32 = 0x2E
    }

    private static func isDigit(_ c: UInt32) -> Bool { c >= 0x30 && c <= 0x39 }

    /// Latin and Cyrillic blocks that METEOR treats as letters; every other script is split into single characters.
    private static func isLetter(_ c: UInt32) -> Bool {
        switch c {
        case 0x41...0x5A, 0x61...0x7A, 0xC0...0xD6, 0xD8...0xF6, 0xF8...0x17E, 0x400...0x527, 0x1D00...0x1D7F,
            0xA640...0xA66E, 0xA67E...0xA697:
            true
        default: false
        }
    }

    private static func isAlphanumeric(_ c: UInt32) -> Bool { isLetter(c) || isDigit(c) }

    /// Rewrites `before` + `mark` + `after`, where both neighbours pass their test, consuming all three.
    private static func rewrite(
        _ text: Text, _ mark: UInt32, as replacement: Text, before: (UInt32) -> Bool, after: (UInt32) -> Bool
    ) -> Text {
        guard text.contains(mark) else { return text }
        var out: Text = []
        out.reserveCapacity(text.count + 8)
        var i = 0
        while i < text.count {
            if i + 2 < text.count, text[i + 1] == mark, before(text[i]), after(text[i + 2]) {
                out.append(text[i])
                out += replacement
                out.append(text[i + 2])
                i += 3
            } else {
                out.append(text[i])
                i += 1
            }
        }
        return out
    }

    /// Replaces each pair of one character, from left to right.
    private static func replacePairs(of c: UInt32, in text: Text, by replacement: Text) -> Text {
        var out: Text = []
        out.reserveCapacity(text.count)
        var i = 0
        while i < text.count {
            if text[i] == c, i + 1 < text.count, text[i + 1] == c {
                out += replacement
                i += 2
            } else {
                out.append(text[i])
                i += 1
            }
        }
        return out
    }

    private static func separateSymbols(_ text: Text) -> Text {
        var out: Text = []
        out.reserveCapacity(text.count * 2)
        for c in text {
            switch c {
            case 0x09...0x0D, 0x20, Mark.dot, Mark.apostrophe, 0x60, Mark.comma, Mark.hyphen, 0x2018, 0x2019:
                out.append(c)
            default:
                if isAlphanumeric(c) { out.append(c) } else { out += [Mark.blank, c, Mark.blank] }
            }
        }
        return out
    }

    private static func separateDotRuns(_ text: Text) -> Text {
        var out: Text = []
        out.reserveCapacity(text.count + 8)
        var i = 0
        while i < text.count {
            var end = i
            while end < text.count, text[end] == Mark.dot { end += 1 }
            if end - i >= 2 {
                out.append(Mark.blank)
                out += text[i..<end]
                out.append(Mark.blank)
                i = end
            } else {
                out.append(text[i])
                i += 1
            }
        }
        return out
    }

    /// A comma between two digits belongs to the number.
    private static func separateCommas(_ text: Text) -> Text {
        let apart = [Mark.blank, Mark.comma, Mark.blank]
        var text = rewrite(text, Mark.comma, as: apart, before: { !isDigit($0) }, after: { !isDigit($0) })
        text = rewrite(text, Mark.comma, as: apart, before: isDigit, after: { !isDigit($0) })
        return rewrite(text, Mark.comma, as: apart, before: { !isDigit($0) }, after: isDigit)
    }

    private static func unifyQuotesAndDashes(_ text: Text) -> Text {
        var out: Text = text.map { $0 == 0x60 || $0 == 0x2018 || $0 == 0x2019 ? Mark.apostrophe : $0 }
        out = replacePairs(of: Mark.apostrophe, in: out, by: [Mark.blank, Mark.quote, Mark.blank])
        for i in out.indices {
            switch out[i] {
            case 0x201C, 0x201D: out[i] = Mark.quote
            case 0x2013: out[i] = Mark.hyphen
            default: break
            }
        }
        return replacePairs(of: Mark.hyphen, in: out, by: [Mark.hyphen])
    }

    private static func openHyphens(_ text: Text) -> Text {
        rewrite(
            text, Mark.hyphen, as: [Mark.blank], before: { isAlphanumeric($0) || $0 == Mark.dot },
            after: isAlphanumeric)
    }

    /// `dog's` becomes `dog 's`; an apostrophe that is not between two letters stands alone.
    private static func separateApostrophes(_ text: Text) -> Text {
        let mark = Mark.apostrophe
        let apart = [Mark.blank, mark, Mark.blank]
        let right = [Mark.blank, mark]
        var text = rewrite(text, mark, as: apart, before: { !isLetter($0) }, after: { !isLetter($0) })
        text = rewrite(text, mark, as: apart, before: { !isAlphanumeric($0) }, after: isLetter)
        text = rewrite(text, mark, as: apart, before: isLetter, after: { !isLetter($0) })
        text = rewrite(text, mark, as: right, before: isLetter, after: isLetter)
        return rewrite(text, mark, as: right, before: isDigit, after: { $0 == 0x73 })  // 1990's
    }

    /// Splits a final dot from its word, unless the word is an acronym (which loses its dots), is on the prefix list, or
    /// is followed by a word in lower case.
    private func finalDots(_ text: Text) -> Text {
        // A vertical tab does not separate words here, although it is a blank in the pass over symbols.
        let words = text.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0C || $0 == 0x0D }
        var out: Text = []
        out.reserveCapacity(text.count)
        for (i, word) in words.enumerated() {
            if i > 0 { out.append(Mark.blank) }
            guard word.count > 1, word.last == Mark.dot, word[word.endIndex - 2] != Mark.dot else {
                out += word
                continue
            }
            let stem = word.dropLast()
            let next = i + 1 < words.count ? words[i + 1].first! : 0
            if stem.contains(Mark.dot), stem.contains(where: Self.isLetter) {
                out += stem.filter { $0 != Mark.dot }
            } else if (next >= 0x61 && next <= 0x7A) || keepsDot(stem, next: next) {
                out += word
            } else {
                out += stem
                out += [Mark.blank, Mark.dot]
            }
        }
        return out
    }

    private func keepsDot(_ stem: ArraySlice<UInt32>, next: UInt32) -> Bool {
        guard stem.allSatisfy({ $0 < 0x80 }) else { return false }  // the list is ASCII
        switch prefix(stem.map { UInt8($0) }) {
        case .none: return false
        case .always: return true
        case .beforeNumbers: return Self.isDigit(next)
        }
    }

    /// Turns Unicode blanks into plain ones, removes control characters from both ends, and splits into words.
    private static func trimmed(_ text: Text) -> [[UInt32]] {
        let blanked = text.map { c -> UInt32 in
            switch c {
            case 0xA0, 0x2000...0x200A, 0x202F, 0x205F, 0x3000: Mark.blank
            default: c
            }
        }
        guard let first = blanked.firstIndex(where: { $0 > Mark.blank }),
            let last = blanked.lastIndex(where: { $0 > Mark.blank })
        else { return [] }
        return blanked[first...last].split(separator: Mark.blank).map(Array.init)
    }
}
