/// Turns the bytes of streamed tokens into text, a character at a time, because a token may end within a character.
public struct StreamedText {
    private var pending: [UInt8] = []

    public init() {}

    /// The text that the new bytes complete; bytes that cannot become UTF-8 are U+FFFD.
    public mutating func append(_ bytes: [UInt8]) -> String {
        pending += bytes
        let complete = pending.count - unfinishedLength
        defer { pending.removeFirst(complete) }
        return String(decoding: pending[..<complete], as: UTF8.self)
    }

    /// The rest, when no more bytes come.
    public mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// Bytes at the end that begin a character which more bytes could complete.
    private var unfinishedLength: Int {
        for length in 1...3 where length <= pending.count {
            let byte = pending[pending.count - length]
            if byte & 0xC0 == 0x80 { continue }  // a continuation: look for its start
            let needed = byte >= 0xF0 && byte < 0xF8 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return byte < 0xF8 && needed > length ? length : 0
        }
        return 0
    }
}
