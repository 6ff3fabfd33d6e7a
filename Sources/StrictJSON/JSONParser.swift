// A strict RFC 8259 reader over bytes. Beyond what the grammar excludes, it refuses repeated keys, invalid UTF-8,
// unpaired surrogate escapes, nesting deeper than the limit, and anything but white space after the value. It skips a
// byte-order mark at the start, as the RFC allows.

/// Why and where (byte offset into the document) a document is not strict JSON.
public struct JSONSyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Reason: Equatable, Sendable {
        case invalidUTF8
        case unexpectedEnd
        /// Something other than what the grammar allows here; the text names what was expected.
        case expected(String)
        case invalidEscape
        case unpairedSurrogate
        case controlCharacter
        case invalidNumber
        case duplicateKey(String)
        case tooDeep(limit: Int)
        case trailingBytes
    }

    public let reason: Reason
    public let offset: Int
    /// Line and column of the offset, both from 1; columns count bytes.
    public fileprivate(set) var line = 1
    public fileprivate(set) var column = 1

    init(reason: Reason, offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    public static func == (a: JSONSyntaxError, b: JSONSyntaxError) -> Bool {
        // The offset already says where.
        a.reason == b.reason && a.offset == b.offset
    }

    public var description: String {
        // Readers of JSON Lines name the line themselves.
        let place = line == 1 ? "column \(column)" : "line \(line), column \(column)"
        return switch reason {
        case .invalidUTF8: "invalid UTF-8 at \(place)"
        case .unexpectedEnd: "the text ends too early, at \(place)"
        case .expected(let what): "expected \(what) at \(place)"
        case .invalidEscape: "invalid escape in a string at \(place)"
        case .unpairedSurrogate: "unpaired surrogate escape in a string at \(place)"
        case .controlCharacter: "unescaped control character in a string at \(place)"
        case .invalidNumber: "invalid number at \(place)"
        case .duplicateKey(let key): "key '\(key)' occurs twice in one object, again at \(place)"
        case .tooDeep(let limit): "nested deeper than \(limit) levels at \(place)"
        case .trailingBytes: "more text after the end of the JSON value, at \(place)"
        }
    }

    func located(in bytes: UnsafeRawBufferPointer) -> JSONSyntaxError {
        var error = self
        let before = bytes.prefix(offset)
        error.line = before.reduce(1) { $1 == 0x0A ? $0 + 1 : $0 }
        error.column = offset - (before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0) + 1
        return error
    }
}

public enum StrictJSON {
    /// Reads one JSON document.
    /// - Parameter depthLimit: how many arrays and objects may stand inside each other.
    public static func parse(_ bytes: UnsafeRawBufferPointer, depthLimit: Int = 64) throws(JSONSyntaxError)
        -> JSONValue
    {
        do throws(JSONSyntaxError) {
            if let offset = firstInvalidUTF8(bytes) { throw JSONSyntaxError(reason: .invalidUTF8, offset: offset) }
            var parser = JSONParser(bytes: bytes, depthLimit: depthLimit)
            return try parser.document()
        } catch {
            throw error.located(in: bytes)
        }
    }

    public static func parse(_ bytes: [UInt8], depthLimit: Int = 64) throws(JSONSyntaxError) -> JSONValue {
        let result: Result<JSONValue, JSONSyntaxError> = bytes.withUnsafeBytes { raw in
            do throws(JSONSyntaxError) {
                return .success(try parse(raw, depthLimit: depthLimit))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// The offset of the first byte that starts no well-formed UTF-8 sequence (Unicode 16, table 3-7); nil if there is
    /// none.
    public static func firstInvalidUTF8(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var i = 0
        let count = bytes.count
        while i < count {
            let lead = bytes[i]
            if lead < 0x80 {
                i += 1
                continue
            }
            let length: Int
            var low: UInt8 = 0x80
            var high: UInt8 = 0xBF
            switch lead {
            case 0xC2...0xDF: length = 2
            case 0xE0: (length, low) = (3, 0xA0)
            case 0xED: (length, high) = (3, 0x9F)
            case 0xE1...0xEF: length = 3
            case 0xF0: (length, low) = (4, 0x90)
            case 0xF1...0xF3: length = 4
            case 0xF4: (length, high) = (4, 0x8F)
            default: return i
            }
            guard i + length <= count, bytes[i + 1] >= low, bytes[i + 1] <= high else { return i }
            var k = 2
            while k < length {
                guard bytes[i + k] & 0xC0 == 0x80 else { return i }
                k += 1
            }
            i += length
        }
        return nil
    }
}

private struct JSONParser {
    let bytes: UnsafeRawBufferPointer
    let depthLimit: Int
    var position = 0
    var depth = 0
    /// Unescaped bytes of the string being read; kept to save allocations.
    var scratch: [UInt8] = []

    init(bytes: UnsafeRawBufferPointer, depthLimit: Int) {
        self.bytes = bytes
        self.depthLimit = depthLimit
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    }

    mutating func document() throws(JSONSyntaxError) -> JSONValue {
        let value = try self.value()
        skipWhitespace()
        guard position == bytes.count else { throw failure(.trailingBytes) }
        return value
    }

    func failure(_ reason: JSONSyntaxError.Reason, at offset: Int? = nil) -> JSONSyntaxError {
        JSONSyntaxError(reason: reason, offset: offset ?? position)
    }

    mutating func skipWhitespace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    /// The next byte that is no white space, not consumed.
    mutating func peek() throws(JSONSyntaxError) -> UInt8 {
        skipWhitespace()
        guard position < bytes.count else { throw failure(.unexpectedEnd) }
        return bytes[position]
    }

    mutating func value() throws(JSONSyntaxError) -> JSONValue {
        switch try peek() {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"):
            try literal("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try literal("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try literal("null")
            return .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        default: throw failure(.expected("a value"))
        }
    }

    mutating func literal(_ word: StaticString) throws(JSONSyntaxError) {
        let start = position
        for i in 0..<word.utf8CodeUnitCount {
            guard position < bytes.count else { throw failure(.unexpectedEnd) }
            guard bytes[position] == word.utf8Start[i] else { throw failure(.expected("'\(word)'"), at: start) }
            position += 1
        }
    }

    mutating func enter() throws(JSONSyntaxError) {
        guard depth < depthLimit else { throw failure(.tooDeep(limit: depthLimit)) }
        depth += 1
        position += 1
    }

    mutating func array() throws(JSONSyntaxError) -> JSONValue {
        try enter()
        var values: [JSONValue] = []
        if try peek() == UInt8(ascii: "]") {
            position += 1
            depth -= 1
            return .array(values)
        }
        while true {
            values.append(try value())
            switch try peek() {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                depth -= 1
                return .array(values)
            default: throw failure(.expected("',' or ']'"))
            }
        }
    }

    mutating func object() throws(JSONSyntaxError) -> JSONValue {
        try enter()
        var members: [JSONMember] = []
        var seen = KeySet()
        if try peek() == UInt8(ascii: "}") {
            position += 1
            depth -= 1
            return .object(members)
        }
        while true {
            guard try peek() == UInt8(ascii: "\"") else { throw failure(.expected("a key in quotes")) }
            let start = position
            let key = try string()
            guard seen.insert(key, among: members) else { throw failure(.duplicateKey(key), at: start) }
            guard try peek() == UInt8(ascii: ":") else { throw failure(.expected("':'")) }
            position += 1
            members.append(JSONMember(key: key, value: try value()))
            switch try peek() {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                position += 1
                depth -= 1
                return .object(members)
            default: throw failure(.expected("',' or '}'"))
            }
        }
    }

    mutating func number() throws(JSONSyntaxError) -> String {
        let start = position
        if bytes[position] == UInt8(ascii: "-") { position += 1 }
        if position < bytes.count, bytes[position] == UInt8(ascii: "0") {
            position += 1
        } else {
            try digits(from: start)
        }
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            position += 1
            try digits(from: start)
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
                position += 1
            }
            try digits(from: start)
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    mutating func digits(from start: Int) throws(JSONSyntaxError) {
        let first = position
        while position < bytes.count, bytes[position] &- UInt8(ascii: "0") < 10 { position += 1 }
        guard position > first else {
            throw position == bytes.count ? failure(.unexpectedEnd) : failure(.invalidNumber, at: start)
        }
    }

    mutating func string() throws(JSONSyntaxError) -> String {
        position += 1
        let start = position
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                defer { position += 1 }
                return String(decoding: bytes[start..<position], as: UTF8.self)
            }
            if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
            guard byte >= 0x20 else { throw failure(.controlCharacter) }
            position += 1
        }
        throw failure(.unexpectedEnd)
    }

    /// The rest of a string from its first escape on; `position` stands at that escape.
    mutating func escapedString(from start: Int) throws(JSONSyntaxError) -> String {
        scratch.removeAll(keepingCapacity: true)
        scratch.append(contentsOf: bytes[start..<position])
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return String(decoding: scratch, as: UTF8.self)
            case UInt8(ascii: "\\"): try escape()
            case 0..<0x20: throw failure(.controlCharacter)
            default:
                scratch.append(byte)
                position += 1
            }
        }
        throw failure(.unexpectedEnd)
    }

    mutating func escape() throws(JSONSyntaxError) {
        let start = position
        guard position + 1 < bytes.count else { throw failure(.unexpectedEnd, at: bytes.count) }
        position += 2
        switch bytes[start + 1] {
        case UInt8(ascii: "\""): scratch.append(UInt8(ascii: "\""))
        case UInt8(ascii: "\\"): scratch.append(UInt8(ascii: "\\"))
        case UInt8(ascii: "/"): scratch.append(UInt8(ascii: "/"))
        case UInt8(ascii: "b"): scratch.append(0x08)
        case UInt8(ascii: "f"): scratch.append(0x0C)
        case UInt8(ascii: "n"): scratch.append(0x0A)
        case UInt8(ascii: "r"): scratch.append(0x0D)
        case UInt8(ascii: "t"): scratch.append(0x09)
        case UInt8(ascii: "u"):
            var code = try fourHexDigits(escapeStart: start)
            if code & 0xFC00 == 0xD800 {
                guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
                    bytes[position + 1] == UInt8(ascii: "u")
                else { throw failure(.unpairedSurrogate, at: start) }
                position += 2
                let low = try fourHexDigits(escapeStart: start)
                guard low & 0xFC00 == 0xDC00 else { throw failure(.unpairedSurrogate, at: start) }
                code = 0x10000 + (code & 0x3FF) << 10 + low & 0x3FF
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure(.unpairedSurrogate, at: start) }
            scratch.append(contentsOf: UTF8.encode(scalar)!)
        default: throw failure(.invalidEscape, at: start)
        }
    }

    mutating func fourHexDigits(escapeStart: Int) throws(JSONSyntaxError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard position < bytes.count else { throw failure(.unexpectedEnd) }
            let byte = bytes[position]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw failure(.invalidEscape, at: escapeStart)
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }
}

/// Keys seen in one object, compared byte by byte. Small objects are scanned; from 16 members on a hash set is kept.
private struct KeySet {
    private var hashed: Set<BytesKey> = []

    mutating func insert(_ key: String, among members: [JSONMember]) -> Bool {
        if members.count < 16 {
            return !members.contains { $0.key.utf8.elementsEqual(key.utf8) }
        }
        if hashed.isEmpty { for member in members { hashed.insert(BytesKey(text: member.key)) } }
        return hashed.insert(BytesKey(text: key)).inserted
    }
}

/// A string whose equality is that of its UTF-8 bytes.
private struct BytesKey: Hashable {
    let text: String

    static func == (a: BytesKey, b: BytesKey) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
