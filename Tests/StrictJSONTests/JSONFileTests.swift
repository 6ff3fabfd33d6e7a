import Files
import TestSupport
import Testing

@testable import StrictJSON

@Suite struct JSONFileTests {
    private func file(_ text: String) throws -> JSONFile { try JSONFile(Array(text.utf8), path: "c.json") }

    @Test func values() throws {
        let file = try file(
            #"{"n": 3, "x": 0.5, "s": "t", "b": false, "a": [1, 2], "w": ["u", "v"], "none": null, "o": {"n": 7}}"#)
        #expect(try file.integer("n") == 3)
        #expect(try file.double("x") == 0.5)
        #expect(try file.probability("x") == 0.5)
        #expect(try file.positive("x") == 0.5)
        #expect(try file.string("s") == "t")
        #expect(try file.bool("b") == false)
        #expect(try file.numbers("a") == [1, 2])
        #expect(try file.integers("a") == [1, 2])
        #expect(try file.strings("w") == ["u", "v"])
        #expect(try file.object("o")?.integer("n") == 7)
        #expect(try file.integer("missing", "n", in: 1...3) == 3)
        #expect(try file.integer("none") == nil)
        #expect(try file.integer("missing") == nil)
        #expect(file.has("b") && !file.has("none") && !file.has("missing"))
        #expect(file.keys == ["n", "x", "s", "b", "a", "w", "none", "o"])
    }

    @Test func messages() throws {
        let file = try file(#"{"n": 1.5, "s": [], "b": "yes", "p": 1, "k": 9, "o": {"n": "x"}}"#)
        #expect(message { _ = try file.integer("n") } == "c.json: 'n' is 1.5, expected a whole number")
        #expect(message { _ = try file.string("s") } == "c.json: 's' is an array, expected a string")
        #expect(message { _ = try file.bool("b") } == "c.json: 'b' is \"yes\", expected true or false")
        #expect(
            message { _ = try file.probability("p") }
                == "c.json: 'p' is 1, expected a number from 0 up to but not including 1")
        #expect(
            message { _ = try file.integer("k", in: 1...8) } == "c.json: 'k' is 9, expected a whole number from 1 to 8")
        #expect(
            message { _ = try file.object("o")?.integer("n") } == "c.json: 'o.n' is \"x\", expected a whole number")
    }

    @Test(arguments: [
        ("[1]", "c.json: is no JSON object but an array"),
        ("{\n  \"a\": 1,\n  b", "c.json: is no JSON: expected a key in quotes at line 3, column 3"),
        (
            "version https://git-lfs.github.com/spec/v1\n",
            "'c.json' is a git-lfs pointer, not the file itself; fetch the file with `git lfs pull` in its repository, or "
                + "download it again"
        ),
    ]) func files(_ text: String, _ expected: String) {
        #expect(message { _ = try file(text) } == expected)
    }

    /// A byte-order mark is no part of the document.
    @Test func byteOrderMark() throws { #expect(try file("\u{FEFF}{\"a\": 1}").integer("a") == 1) }
}
