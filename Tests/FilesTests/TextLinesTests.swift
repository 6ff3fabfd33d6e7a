import Files
import TestSupport
import Testing

@Suite struct TextLinesTests {
    private func lines(_ text: String) throws -> [String] { try TextLines(Array(text.utf8), path: "t").texts() }

    /// Lines end at LF or CRLF and nowhere else.
    @Test func endings() throws {
        #expect(try lines("a\nb") == ["a", "b"])
        #expect(try lines("a\nb\n") == ["a", "b"])
        #expect(try lines("a\r\nb\r\n") == ["a", "b"])
        #expect(try lines("a\n\nb") == ["a", "", "b"])
        #expect(try lines("\n") == [""])
        #expect(try lines("") == [])
        let inner = "a\u{2028}b\u{2029}c\u{85}d\u{0B}e\u{0C}f\rg"
        #expect(try lines("\(inner)\nh") == [inner, "h"])
        // A carriage return at the end of the file ends no line.
        #expect(try lines("a\r") == ["a\r"])
    }

    /// A byte-order mark at the start is no part of the first line; elsewhere it is a character.
    @Test func byteOrderMark() throws {
        #expect(try lines("\u{FEFF}a\n\u{FEFF}b") == ["a", "\u{FEFF}b"])
        #expect(try lines("\u{FEFF}") == [])
    }

    @Test func numbersAndEncoding() throws {
        let all = Array(TextLines([0x61, 0x0A, 0x20, 0x09, 0x0A, 0xFF], path: "t"))
        #expect(all.map(\.number) == [1, 2, 3])
        #expect(all.map(\.isBlank) == [false, true, false])
        #expect(throws: FileError.notUTF8(path: "t", line: 3)) { try all[2].text }
    }
}
