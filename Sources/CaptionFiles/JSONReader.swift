import Files

/// Reads JSON front to back from its bytes, without building a tree: a million captions cost their text and no more.
///
/// It takes what Python's `json` takes: `NaN` and `Infinity` are values, a lone surrogate is a character, equal keys are
/// the caller's. The caller asks for what it expects; anything else is an error that names line and column. Values that
/// are passed over are not looked into.
package struct JSONReader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private let path: String
    /// Offset of the next byte; may be set back to where a value begins.
    package var position = 0
    private var depth = 0

    /// Deeper nesting than any caption file has is refused before it can exhaust the stack.
    private static let maximumDepth = 128

    package init(_ bytes: UnsafeBufferPointer<UInt8>, path: String) {
        self.bytes = bytes
        self.path = path
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { position = 3 }  // byte order mark
    }

    /// The first byte of the next value, past blanks; 0 at the end.
    package mutating func peek() -> UInt8 {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return bytes[position]
            }
        }
        return 0
    }

    package func error(expected: String, at offset: Int? = nil) -> CaptionFileError {
        let offset = min(offset ?? position, bytes.count)
        let column = offset - (bytes[..<offset].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0) + 1
        return .malformed(
            path: path, line: 1 + lineBreaks(from: 0, to: offset), column: column, expected: expected,
            got: text(at: offset))
    }

    /// The line of the next byte, from 1. Counted anew: for messages.
    var line: Int { 1 + lineBreaks(from: 0) }

    /// Line feeds from `start` to the next byte.
    func lineBreaks(from start: Int, to end: Int? = nil) -> Int {
        bytes[start..<(end ?? position)].reduce(0) { $1 == 0x0A ? $0 + 1 : $0 }
    }

    /// The beginning of what stands at `offset`, for messages.
    private func text(at offset: Int) -> String {
        guard offset < bytes.count else { return "the end of the file" }
        let shown = bytes[offset..<min(bytes.count, offset + 12)].prefix { $0 != 0x0A }
        return "'" + printable(String(decoding: shown, as: UTF8.self)) + "'"
    }

    /// What the next value is, in the words of an error message.
    var kind: String {
        guard position < bytes.count else { return "the end of the file" }
        switch bytes[position] {
        case 0x7B: return "an object"
        case 0x5B: return "an array"
        case 0x22: return "a string"
        case 0x2D, 0x30...0x39: return "a number"
        case 0x74, 0x66: return "a boolean"
        case 0x6E: return "null"
        default: return text(at: position)
        }
    }

    /// The next value, a number as it stands.
    var words: String {
        guard kind == "a number" || kind == "null" || kind == "a boolean" else { return kind }
        return String(decoding: bytes[position...].prefix(40).prefix(while: Self.isScalar), as: UTF8.self)
    }

    private mutating func expect(_ byte: UInt8) throws {
        guard peek() == byte, position < bytes.count else {
            throw error(expected: "'\(Character(Unicode.Scalar(byte)))'")
        }
        position += 1
    }

    /// Calls `body` at each value of an object; `body` must read the value.
    package mutating func readObject(_ body: (inout JSONReader, String) throws -> Void) throws {
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
    package mutating func readArray(_ body: (inout JSONReader, Int) throws -> Void) throws {
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

    package mutating func readString() throws -> String {
        try expect(0x22)
        let start = position
        var seen: UInt8 = 0
        while position < bytes.count, bytes[position] != 0x22, bytes[position] != 0x5C, bytes[position] >= 0x20 {
            seen |= bytes[position]
            position += 1
        }
        if position < bytes.count, bytes[position] == 0x22 {
            defer { position += 1 }
            return try text(start..<position, isASCII: seen < 0x80)
        }
        return try readEscapedString(from: start)
    }

    private func text(_ range: Range<Int>, isASCII: Bool = false) throws -> String {
        let part = UnsafeBufferPointer(rebasing: bytes[range])
        // Checking costs more than making the string, and nearly all of them are ASCII.
        if isASCII { return String(decoding: part, as: UTF8.self) }
        guard let text = String(validating: part, as: UTF8.self) else {
            throw error(expected: "UTF-8 in the string that begins here", at: range.lowerBound - 1)
        }
        return text
    }

    /// A string with escapes, the first at `position`.
    private mutating func readEscapedString(from start: Int) throws -> String {
        var units = Array(try text(start..<position).utf16)
        var run = position
        func flush(_ units: inout [UInt16], _ end: Int) throws {
            if end > run { units.append(contentsOf: try text(run..<end).utf16) }
        }
        while true {
            guard position < bytes.count, bytes[position] >= 0x20 else { throw error(expected: "the end of a string") }
            let byte = bytes[position]
            if byte == 0x22 {
                try flush(&units, position)
                position += 1
                // A lone surrogate becomes U+FFFD here, as Java's encoder makes it a character that is dropped.
                return String(decoding: units, as: UTF16.self)
            }
            guard byte == 0x5C else {
                position += 1
                continue
            }
            try flush(&units, position)
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

    /// An image id: a whole number however it is written (7, 7.0, 7e0), or a string; nil for anything else.
    mutating func readImageID() throws -> ImageID? {
        if peek() == 0x22 { return ImageID(key: try readString()) }
        let start = position
        while position < bytes.count, Self.isScalar(bytes[position]) { position += 1 }
        // Digits, as nearly every file has them, at the cost of the digits.
        var number = 0
        var place = start
        while place < position, place - start < 18, (0x30...0x39).contains(bytes[place]) {
            number = number * 10 + Int(bytes[place] - 0x30)
            place += 1
        }
        if place == position, place > start, bytes[start] != 0x30 || place == start + 1 { return .number(number) }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard Self.isNumber(bytes[start..<position]) else { return nil }
        if let number = Int(text) { return .number(number) }
        if let number = UInt64(text) { return .large(number) }
        // Digits beyond 64 bits are no whole number that could be told from its neighbours.
        guard text.utf8.contains(where: { [0x2E, 0x65, 0x45].contains($0) }) else { return nil }
        return Double(text).flatMap(ImageID.init)
    }

    /// Bytes of which numbers and words consist.
    private static func isScalar(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x2B, 0x2D, 0x2E, 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: false
        }
    }

    /// Whether this is a number of JSON: no sign but a minus, no leading zero, digits around the point.
    private static func isNumber(_ text: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        var rest = text[...]
        func digits(_ rest: inout Slice<UnsafeBufferPointer<UInt8>>) -> Int {
            let count = rest.prefix { (0x30...0x39).contains($0) }.count
            rest = rest.dropFirst(count)
            return count
        }
        if rest.first == 0x2D { rest = rest.dropFirst() }
        let isZero = rest.first == 0x30
        let whole = digits(&rest)
        guard whole > 0, !isZero || whole == 1 else { return false }
        if rest.first == 0x2E {
            rest = rest.dropFirst()
            guard digits(&rest) > 0 else { return false }
        }
        if rest.first == 0x65 || rest.first == 0x45 {
            rest = rest.dropFirst()
            if rest.first == 0x2B || rest.first == 0x2D { rest = rest.dropFirst() }
            guard digits(&rest) > 0 else { return false }
        }
        return rest.isEmpty
    }

    /// Passes over any value: its brackets and quotes must close, and what is in them is not read.
    package mutating func skip() throws {
        switch peek() {
        case 0x7B, 0x5B: try skipNested()
        case 0x22: try skipString()
        default:
            let start = position
            while position < bytes.count, Self.isScalar(bytes[position]) { position += 1 }
            let text = bytes[start..<position]
            // Python writes NaN and Infinity; no field read here is one.
            guard
                Self.isNumber(text)
                    || ["true", "false", "null", "NaN", "Infinity", "-Infinity"].contains(where: {
                        text.elementsEqual($0.utf8)
                    })
            else { throw error(expected: "a value", at: start) }
        }
    }

    private mutating func skipNested() throws {
        if bytes[position] == 0x7B {
            try enter(0x7B)
            if peek() == 0x7D { return leave() }
            while true {
                guard peek() == 0x22 else { throw error(expected: "a key in double quotes") }
                try skipString()
                try expect(0x3A)
                try skip()
                if try isListEnd(0x7D) { return leave() }
            }
        } else {
            try enter(0x5B)
            if peek() == 0x5D { return leave() }
            while true {
                try skip()
                if try isListEnd(0x5D) { return leave() }
            }
        }
    }

    private mutating func skipString() throws {
        let start = position
        position += 1
        while position < bytes.count, bytes[position] >= 0x20 {
            switch bytes[position] {
            case 0x22:
                position += 1
                return
            case 0x5C: position += 2
            default: position += 1
            }
        }
        throw error(expected: "the end of the string that begins here", at: start)
    }

    /// Nothing but blanks may follow the value read last.
    package mutating func finish() throws {
        _ = peek()
        guard position == bytes.count else { throw error(expected: "the end of the file") }
    }

    /// Nothing but blanks may follow the value read last on its line.
    mutating func finishLine() throws {
        while position < bytes.count, bytes[position] != 0x0A {
            guard [0x20, 0x09, 0x0D].contains(bytes[position]) else { throw error(expected: "the end of the line") }
            position += 1
        }
    }
}
