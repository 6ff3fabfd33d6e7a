import Testing

@testable import StrictJSON

@Suite struct StrictJSONTests {
    private func parse(_ text: String) throws(JSONSyntaxError) -> JSONValue { try StrictJSON.parse(Array(text.utf8)) }

    @Test func values() throws {
        let document = try parse(
            #" {"a" : [1, -2.5e3, true, false, null], "b": "x\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00é"} "#)
        #expect(document["a"]?.array?.map(\.double) == [1, -2500, nil, nil, nil])
        #expect(document["a"]?.array?.map(\.integer) == [1, nil, nil, nil, nil])
        #expect(document["a"]?.array?[2].bool == true)
        #expect(document["b"]?.string == "x\"\\/\u{8}\u{C}\n\r\tA\u{E9}😀é")
        #expect(document["c"] == nil)
        #expect(try parse("{}") == .object([]))
        #expect(try parse("[]") == .array([]))
    }

    /// Keys that are equal only after normalisation stay two keys, in file order.
    @Test func keysAreBytes() throws {
        let document = try parse("{\"e\u{301}\":1,\"\u{E9}\":2}")
        #expect(document["\u{E9}"]?.integer == 2)
        #expect(document["e\u{301}"]?.integer == 1)
        let many = (0..<40).map { "\"k\($0)\":\($0)" }.joined(separator: ",")
        #expect(try parse("{\(many)}").members?.map(\.value.integer) == (0..<40).map { $0 })
        #expect(throws: JSONSyntaxError(reason: .duplicateKey("k3"), offset: many.utf8.count + 2)) {
            try parse("{\(many),\"k3\":0}")
        }
    }

    @Test(arguments: [
        ("", "the text ends too early, at column 1"),
        ("[1", "the text ends too early, at column 3"),
        ("[1,]", "expected a value at column 4"),
        ("{\"a\":1,}", "expected a key in quotes at column 8"),
        ("[1 2]", "expected ',' or ']' at column 4"),
        ("{\"a\":1 2}", "expected ',' or '}' at column 8"),
        ("nul", "the text ends too early, at column 4"),
        ("nulx", "expected 'null' at column 1"),
        ("01", "more text after the end of the JSON value, at column 2"),
        ("-", "the text ends too early, at column 2"),
        ("-x", "invalid number at column 1"),
        ("1.x", "invalid number at column 1"),
        ("1e", "the text ends too early, at column 3"),
        ("+1", "expected a value at column 1"),
        ("NaN", "expected a value at column 1"),
        ("\"a\nb\"", "unescaped control character in a string at column 3"),
        (#""\n"# + "\n\"", "unescaped control character in a string at column 4"),
        (#""\a""#, "invalid escape in a string at column 2"),
        (#""\u12g4""#, "invalid escape in a string at column 2"),
        (#""\udc00""#, "unpaired surrogate escape in a string at column 2"),
        (#""\ud800x""#, "unpaired surrogate escape in a string at column 2"),
        (#""\ud800\u0041""#, "unpaired surrogate escape in a string at column 2"),
        ("1\u{FEFF}", "more text after the end of the JSON value, at column 2"),
        (#""abc"#, "the text ends too early, at column 5"),
    ]) func messages(_ text: String, _ message: String) {
        let error = #expect(throws: JSONSyntaxError.self) { try parse(text) }
        #expect(error?.description == message)
    }

    @Test func invalidUTF8() {
        let examples: [(bytes: [UInt8], offset: Int)] = [
            ([0x80], 0), ([0x31, 0xC0, 0x80], 1), ([0xE0, 0x9F, 0xBF], 0), ([0xED, 0xA0, 0x80], 0),
            ([0xF4, 0x90, 0x80, 0x80], 0), ([0xF0, 0x8F, 0x80, 0x80], 0), ([0xE2, 0x82], 0),
            ([0xF5, 0x80, 0x80, 0x80], 0),
            ([0xF0, 0x9F, 0x98, 0x41], 0), ([0xC3], 0),
        ]
        for (bytes, offset) in examples {
            #expect(throws: JSONSyntaxError(reason: .invalidUTF8, offset: offset)) { try StrictJSON.parse(bytes) }
        }
        for scalar in [
            "\u{7F}", "\u{80}", "\u{7FF}", "\u{800}", "\u{D7FF}", "\u{E000}", "\u{FFFF}", "\u{10000}", "\u{10FFFF}",
        ] {
            #expect(Array(scalar.utf8).withUnsafeBytes { StrictJSON.firstInvalidUTF8($0) } == nil)
        }
    }

    @Test func depth() throws {
        let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(throws: Never.self) { try parse(deep) }
        #expect(throws: JSONSyntaxError(reason: .tooDeep(limit: 64), offset: 64)) { try parse("[" + deep + "]") }
    }

    @Test func writtenStringsReadBack() throws {
        let text =
            String(String.UnicodeScalarView((0..<0x300).compactMap { Unicode.Scalar($0 as UInt32) })) + "\u{10FFFF}"
        var bytes: [UInt8] = []
        StrictJSON.append(string: text, to: &bytes)
        #expect(try StrictJSON.parse(bytes).string?.unicodeScalars.elementsEqual(text.unicodeScalars) == true)
    }
}
