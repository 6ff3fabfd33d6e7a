/// Reads JSON front to back from its bytes, without building a tree: a million captions cost their text and no more.
///
/// The caller asks for what it expects; anything else is an error that names line and column.
struct JSONReader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private let path: String
    private(set) var position = 0
    private var depth = 0

    /// Deeper nesting than any caption file has is refused before it can exhaust the stack.
    private static let maximumDepth = 128

    init(_ bytes: UnsafeBufferPointer<UInt8>, path: String) {
        self.bytes = bytes
        self.path = path
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { position = 3 }  // byte order mark
    }

    /// The first byte of the next value, past blanks; 0 at the end.
    mutating func peek() -> UInt8 {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return bytes[position]
            }
        }
        return 0
    }

    func error(expected: String, at offset: Int? = nil) -> CaptionDataError {
        let offset = min(offset ?? position, bytes.count)
        var line = 1
        var column = 1
        for byte in bytes[..<offset] {
            if byte == 0x0A {
                line += 1
                column = 1
            } else {
                column += 1
            }
        }
        let got: String
        if offset == bytes.count {
            got = "the end of the file"
        } else {
            got =
                "'"
                + String(decoding: bytes[offset..<min(bytes.count, offset + 12)].prefix { $0 != 0x0A }, as: UTF8.self)
                + "'"
        }
        return .malformed(path: path, line: line, column: column, expected: expected, got: got)
    }

    private mutating func expect(_ byte: UInt8) throws {
        guard peek() == byte, position < bytes.count else {
            throw error(expected: "'\(Character(Unicode.Scalar(byte)))'")
        }
        position += 1
    }

    /// Calls `body` at each value of an object; `body` must read the value.
    mutating func readObject(_ body: (inout JSONReader, String) throws -> Void) throws {
        try enter(0x7B)
        if peek() == 0x7D { return leave() }
        while true {
            guard peek() == 0x22 else { throw error(expected: "a key in double quotes") }
            let key = try readString()
            try expect(0x3A)
            try body(&self, key)
            if try isListEnd(0x7D) { return leave() }
        }
    }

    /// Calls `body` at each element of an array, with its index; `body` must read the element.
    mutating func readArray(_ body: (inout JSONReader, Int) throws -> Void) throws {
        try enter(0x5B)
        if peek() == 0x5D { return leave() }
        var index = 0
        while true {
            try body(&self, index)
            index += 1
            if try isListEnd(0x5D) { return leave() }
        }
    }

    private mutating func enter(_ bracket: UInt8) throws {
        try expect(bracket)
        depth += 1
        guard depth <= Self.maximumDepth else {
            throw error(expected: "at most \(Self.maximumDepth) levels of nesting")
        }
    }

    private mutating func leave() {
        position += 1
        depth -= 1
    }

    private mutating func isListEnd(_ bracket: UInt8) throws -> Bool {
        switch peek() {
        case 0x2C:
            position += 1
            return false
        case bracket: return true
        default: throw error(expected: "',' or '\(Character(Unicode.Scalar(bracket)))'")
        }
    }

    mutating func readString() throws -> String {
        try expect(0x22)
        let start = position
        while position < bytes.count, bytes[position] != 0x22, bytes[position] != 0x5C, bytes[position] >= 0x20 {
            position += 1
        }
        if position < bytes.count, bytes[position] == 0x22 {
            defer { position += 1 }
            return String(decoding: bytes[start..<position], as: UTF8.self)
        }
        return try readEscapedString(from: start)
    }

    /// A string with escapes, the first at `position`.
    private mutating func readEscapedString(from start: Int) throws -> String {
        var units = Array(String(decoding: bytes[start..<position], as: UTF8.self).utf16)
        var run = position
        func flush(_ units: inout [UInt16], _ end: Int) {
            if end > run { units.append(contentsOf: String(decoding: bytes[run..<end], as: UTF8.self).utf16) }
        }
        while true {
            guard position < bytes.count, bytes[position] >= 0x20 else { throw error(expected: "the end of a string") }
            let byte = bytes[position]
            if byte == 0x22 {
                flush(&units, position)
                position += 1
                // A lone surrogate becomes U+FFFD here, as Java's encoder makes it a character that is dropped.
                return String(decoding: units, as: UTF16.self)
            }
            guard byte == 0x5C else {
                position += 1
                continue
            }
            flush(&units, position)
            guard position + 1 < bytes.count else { throw error(expected: "an escape sequence") }
            switch bytes[position + 1] {
            case 0x22, 0x2F, 0x5C: units.append(UInt16(bytes[position + 1]))
            case 0x62: units.append(0x08)
            case 0x66: units.append(0x0C)
            case 0x6E: units.append(0x0A)
            case 0x72: units.append(0x0D)
            case 0x74: units.append(0x09)
            case 0x75:
                guard position + 6 <= bytes.count,
                    let unit = UInt16(String(decoding: bytes[position + 2..<position + 6], as: UTF8.self), radix: 16)
                else { throw error(expected: "four hexadecimal digits") }
                units.append(unit)
                position += 4
            default: throw error(expected: "an escape sequence")
            }
            position += 2
            run = position
        }
    }

    /// An image id: a whole number or a string.
    mutating func readImageID() throws -> ImageID {
        if peek() == 0x22 { return ImageID(key: try readString()) }
        let start = position
        while position < bytes.count, bytes[position] == 0x2D || (0x30...0x39).contains(bytes[position]) {
            position += 1
        }
        guard let number = Int(String(decoding: bytes[start..<position], as: UTF8.self)) else {
            throw error(expected: "an image id (a whole number or a string)", at: start)
        }
        if position < bytes.count, [0x2E, 0x65, 0x45].contains(bytes[position]) {
            throw error(expected: "an image id (a whole number or a string)", at: start)
        }
        return .number(number)
    }

    /// Passes over any value.
    mutating func skip() throws {
        switch peek() {
        case 0x7B: try readObject { reader, _ in try reader.skip() }
        case 0x5B: try readArray { reader, _ in try reader.skip() }
        case 0x22: _ = try readString()
        default:
            let start = position
            while position < bytes.count {
                switch bytes[position] {
                case 0x2B, 0x2D, 0x2E, 0x30...0x39, 0x41...0x5A, 0x61...0x7A: position += 1
                default: return try checkScalar(start)
                }
            }
            try checkScalar(start)
        }
    }

    private func checkScalar(_ start: Int) throws {
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        // Python writes NaN and Infinity; no field read here is one.
        guard ["true", "false", "null", "NaN", "Infinity", "-Infinity"].contains(text) || Double(text) != nil else {
            throw error(expected: "a value", at: start)
        }
    }

    /// Nothing but blanks may follow the value read last.
    mutating func finish() throws {
        _ = peek()
        guard position == bytes.count else { throw error(expected: "the end of the file") }
    }
}
