// Mojibake: UTF-8 that was read in a single-byte encoding is decoded again correctly.

extension TextRepair {
    /// Undoes wrong decodings until none is left.
    static func fixEncoding(_ text: [UInt32]) -> [UInt32] {
        var text = text
        while true {
            let fixed = fixEncodingOnce(text)
            if fixed == text { return text }
            text = fixed
        }
    }

    private static func fixEncodingOnce(_ text: [UInt32]) -> [UInt32] {
        guard text.contains(where: { $0 >= 0x80 }), Badness.isBad(text) else { return text }
        for encoding in SingleByteEncoding.all {
            guard var bytes = encoding.encode(text) else { continue }
            if encoding.restoresSpaces { bytes = restoreA0(bytes) }
            if encoding.isSloppy { bytes = replaceLossySequences(bytes) }
            let variants = bytes.contains(0xED) || bytes.contains(0xC0)
            if let fixed = decodeUTF8(bytes, variants: variants) { return fixed }
        }
        let mended = fixInconsistentUTF8(text)
        if mended != text { return mended }
        // No consistent reading was found. Characters that are all Latin-1 may be Windows-1252 that was read as
        // Latin-1.
        if text.allSatisfy({ $0 <= 0xFF }) {
            let table = SingleByteEncoding.windows1252.decoded
            if text.allSatisfy({ !SingleByteEncoding.undefined1252.contains($0) }) {
                // Byte 1A means a lost character only in the sloppy reading.
                let decoded = text.map { $0 == 0x1A ? $0 : table[Int($0)] }
                if decoded != text { return decoded }
            }
        }
        return replaceC1Controls(text)
    }

    /// UTF-8 sequences within other text: each run that looks like mojibake is repaired on its own.
    private static func fixInconsistentUTF8(_ text: [UInt32]) -> [UInt32] {
        var output: [UInt32] = []
        output.reserveCapacity(text.count)
        var i = 0
        while i < text.count {
            let end = endOfUTF8Run(text, from: i)
            guard end > i else {
                output.append(text[i])
                i += 1
                continue
            }
            let run = Array(text[i..<end])
            // A run is shorter than the whole text, so the recursion ends.
            output.append(contentsOf: run.count < text.count && Badness.isBad(run) ? fixEncoding(run) : run)
            i = end
        }
        return output
    }

    private static func endOfUTF8Run(_ text: [UInt32], from start: Int) -> Int {
        let clues = UTF8Clues.shared
        // Within a longer garbled stretch a partial repair would only make things worse.
        if start > 0, clues.contains(text[start - 1], .strictContinuation) { return start }
        var i = start
        func continues(_ count: Int) -> Bool {
            i + count < text.count && (1...count).allSatisfy { clues.contains(text[i + $0], .continuation) }
        }
        while i < text.count {
            if clues.contains(text[i], .firstOfTwo), continues(1) {
                i += 2
            } else if clues.contains(text[i], .firstOfThree), continues(2) {
                i += 3
            } else if clues.contains(text[i], .firstOfFour), continues(3) {
                i += 4
            } else {
                break
            }
        }
        return i
    }

    /// Puts byte A0 back where a program took it for a space and wrote 20.
    private static func restoreA0(_ input: [UInt8]) -> [UInt8] {
        guard input.indices.contains(where: { alteredSequence(input, at: $0) > 0 }) else { return input }
        // "Ã " as a word of its own is "à", and the space stays beside the restored byte, except in the Portuguese "às"
        // and "àquele", "àquela", "àquilo".
        var bytes: [UInt8] = []
        var i = 0
        while i < input.count {
            if input[i] == 0xC3, i + 1 < input.count, input[i + 1] == 0x20, !startsPortugueseWord(input[(i + 2)...]) {
                bytes.append(contentsOf: [0xC3, 0xA0, 0x20])
                i += 2
            } else {
                bytes.append(input[i])
                i += 1
            }
        }
        i = 0
        while i < bytes.count {
            let length = alteredSequence(bytes, at: i)
            for k in i..<i + length where bytes[k] == 0x20 { bytes[k] = 0xA0 }
            i += max(length, 1)
        }
        return bytes
    }

    private static func startsPortugueseWord(_ rest: ArraySlice<UInt8>) -> Bool {
        [" ", "quele", "quela", "quilo", "s "].contains { rest.starts(with: $0.utf8) }
    }

    /// Length of a UTF-8 sequence at `i` that would be complete if a 20 in it were an A0; 0 if there is none. First
    /// bytes and places are limited to those that give likely characters.
    private static func alteredSequence(_ bytes: [UInt8], at i: Int) -> Int {
        func byte(_ offset: Int) -> UInt8 { i + offset < bytes.count ? bytes[i + offset] : 0 }
        // Continuation bytes other than 85 and A0.
        func isClear(_ byte: UInt8) -> Bool { 0x80...0xBF ~= byte && byte != 0x85 && byte != 0xA0 }
        func isContinuation(_ byte: UInt8) -> Bool { 0x80...0xBF ~= byte }
        let lead = bytes[i]
        switch lead {
        case 0xC2, 0xC3, 0xC5, 0xCE, 0xD0, 0xD9: return byte(1) == 0x20 ? 2 : 0
        case 0xE0...0xE3:
            if lead >= 0xE2, byte(1) == 0x20, isClear(byte(2)) { return 3 }
            return isClear(byte(1)) && byte(2) == 0x20 ? 3 : 0
        case 0xF0:
            let rest = [byte(1), byte(2), byte(3)]
            let spaces = rest.filter { $0 == 0x20 }.count
            return spaces == 1 && rest.allSatisfy({ $0 == 0x20 || isContinuation($0) }) ? 4 : 0
        default: return 0
        }
    }

    /// Sequences with lost bytes, marked by 1A (once U+FFFD) or "?", become one U+FFFD.
    private static func replaceLossySequences(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.contains(0x1A) || bytes.contains(UInt8(ascii: "?")) else { return bytes }
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var i = 0
        while i < bytes.count {
            let length = lossySequence(bytes, at: i)
            if length > 0 {
                output.append(contentsOf: [0xEF, 0xBF, 0xBD])
                i += length
            } else {
                output.append(bytes[i])
                i += 1
            }
        }
        return output
    }

    private static func lossySequence(_ bytes: [UInt8], at i: Int) -> Int {
        func byte(_ offset: Int) -> UInt8 { i + offset < bytes.count ? bytes[i + offset] : 0 }
        func isLost(_ byte: UInt8) -> Bool { byte == 0x1A || byte == UInt8(ascii: "?") }
        // A continuation byte, or one marked as lost by 1A.
        func isSoft(_ byte: UInt8) -> Bool { byte == 0x1A || 0x80...0xBF ~= byte }
        /// One of the bytes after the first may be "?" and at least one is lost; the others are soft.
        func matches(_ count: Int) -> Bool {
            (1...count).contains { lost in
                isLost(byte(lost)) && (1...count).allSatisfy { $0 == lost || isSoft(byte($0)) }
            }
        }
        switch bytes[i] {
        case 0x1A: return 1
        case 0xC2...0xDF:
            if byte(1) == 0x1A { return 2 }
            return bytes[i] <= 0xC3 && byte(1) == UInt8(ascii: "?") ? 2 : 0
        case 0xE0...0xEF:
            // A surrogate pair written as two three-byte sequences with one of the last bytes lost.
            if bytes[i] == 0xED, 0xA0...0xAF ~= byte(1), byte(3) == 0xED, 0xB0...0xBF ~= byte(4) {
                let first = byte(2)
                let second = byte(5)
                func isAny(_ byte: UInt8) -> Bool { isLost(byte) || 0x80...0xBF ~= byte }
                if (isLost(first) && isAny(second)) || (isAny(first) && isLost(second)) { return 6 }
            }
            return matches(2) ? 3 : 0
        case 0xF0...0xF4: return matches(3) ? 4 : 0
        default: return 0
        }
    }

    /// Strict UTF-8; nil for all other bytes.
    /// - Parameter variants: also accept surrogate pairs as two three-byte sequences (CESU-8), and C0 80 as U+0000
    ///   (Java).
    static func decodeUTF8(_ bytes: [UInt8], variants: Bool) -> [UInt32]? {
        var output: [UInt32] = []
        output.reserveCapacity(bytes.count)
        var i = 0
        func continuation(_ offset: Int) -> UInt32? {
            guard i + offset < bytes.count, bytes[i + offset] & 0xC0 == 0x80 else { return nil }
            return UInt32(bytes[i + offset] & 0x3F)
        }
        while i < bytes.count {
            let lead = bytes[i]
            switch lead {
            case 0..<0x80:
                output.append(UInt32(lead))
                i += 1
            case 0xC0:
                guard variants, i + 1 < bytes.count, bytes[i + 1] == 0x80 else { return nil }
                output.append(0)
                i += 2
            case 0xC2...0xDF:
                guard let a = continuation(1) else { return nil }
                output.append(UInt32(lead & 0x1F) << 6 | a)
                i += 2
            case 0xE0...0xEF:
                guard let a = continuation(1), let b = continuation(2) else { return nil }
                let value = UInt32(lead & 0x0F) << 12 | a << 6 | b
                guard value >= 0x800 else { return nil }
                if 0xD800...0xDFFF ~= value {
                    guard variants, value < 0xDC00, i + 3 < bytes.count, bytes[i + 3] == 0xED, let c = continuation(4),
                        let d = continuation(5), c >= 0x30
                    else { return nil }
                    output.append(0x10000 + (value & 0x3FF) << 10 + (c & 0x0F) << 6 + d)
                    i += 6
                } else {
                    output.append(value)
                    i += 3
                }
            case 0xF0...0xF4:
                guard let a = continuation(1), let b = continuation(2), let c = continuation(3) else { return nil }
                let value = UInt32(lead & 0x07) << 18 | a << 12 | b << 6 | c
                guard 0x10000...0x10FFFF ~= value else { return nil }
                output.append(value)
                i += 4
            default: return nil
            }
        }
        return output
    }
}

/// One of the encodings as which UTF-8 is commonly misread.
struct SingleByteEncoding: Sendable {
    /// The scalar of each byte.
    let decoded: [UInt32]
    private let encoded: [UInt32: UInt8]
    /// Byte 1A stands for U+FFFD: a character that was lost.
    let isSloppy: Bool
    /// Whether A0 is a space in this encoding, so that it may have been turned into 20.
    let restoresSpaces: Bool

    private init(_ table: StaticString, sloppy: Bool, restoresSpaces: Bool = true) {
        var decoded = (0..<0x80).map { UInt32($0) } + TableReader.numbers(table)
        if sloppy { decoded[0x1A] = 0xFFFD }
        self.decoded = decoded
        encoded = Dictionary(uniqueKeysWithValues: decoded.enumerated().map { ($1, UInt8($0)) })
        isSloppy = sloppy
        self.restoresSpaces = restoresSpaces
    }

    /// The bytes that this encoding reads as `text`; nil if there are none.
    func encode(_ text: [UInt32]) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        for scalar in text {
            guard let byte = encoded[scalar] else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    static let windows1252 = SingleByteEncoding(MojibakeTable.windows1252, sloppy: true)

    /// In the order in which ftfy tries them.
    static let all = [
        SingleByteEncoding(MojibakeTable.latin1, sloppy: false), windows1252,
        SingleByteEncoding(MojibakeTable.windows1251, sloppy: true),
        SingleByteEncoding(MojibakeTable.windows1250, sloppy: true),
        SingleByteEncoding(MojibakeTable.windows1253, sloppy: true),
        SingleByteEncoding(MojibakeTable.windows1254, sloppy: true),
        SingleByteEncoding(MojibakeTable.windows1257, sloppy: true),
        SingleByteEncoding(MojibakeTable.iso88592, sloppy: false),
        SingleByteEncoding(MojibakeTable.macroman, sloppy: false, restoresSpaces: false),
        SingleByteEncoding(MojibakeTable.cp437, sloppy: false),
    ]

    static let undefined1252 = Set(TableReader.numbers(MojibakeTable.undefined1252))
}

/// Which places of a UTF-8 sequence a character may hold when it is misread in one of the encodings.
struct UTF8Clues: Sendable {
    struct Role: OptionSet {
        let rawValue: UInt8
        static let firstOfTwo = Role(rawValue: 1)
        static let firstOfThree = Role(rawValue: 2)
        static let firstOfFour = Role(rawValue: 4)
        static let continuation = Role(rawValue: 8)
        static let strictContinuation = Role(rawValue: 16)
    }

    static let shared = UTF8Clues()

    private var roles: [UInt32: UInt8] = [:]

    private init() {
        let names: [String: Role] = [
            "utf8_first_of_2": .firstOfTwo, "utf8_first_of_3": .firstOfThree, "utf8_first_of_4": .firstOfFour,
            "utf8_continuation": .continuation, "utf8_continuation_strict": .strictContinuation,
        ]
        for (name, ranges) in TableReader.groups(MojibakeTable.clues) {
            guard let role = names[name] else { continue }
            for range in ranges { for scalar in range { roles[scalar, default: 0] |= role.rawValue } }
        }
    }

    func contains(_ scalar: UInt32, _ role: Role) -> Bool { (roles[scalar] ?? 0) & role.rawValue != 0 }
}
