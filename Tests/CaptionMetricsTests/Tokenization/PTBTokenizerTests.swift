import Foundation
import TestSupport
import Testing

@testable import CaptionMetrics

@Suite struct PTBTokenizerTests {
    /// An unoptimised build takes a minute for each of the long runs; by default they take a sample.
    private static let isFull = ProcessInfo.processInfo.environment["GMAIL_TEST_FULL"] == "1"

    @Test func equalsTheReferenceOnTheFixture() throws {
        let fixture = try CaptionFixture.load()
        let captions = try fixture.raw()
        for (image, (references, candidate)) in zip(fixture.images, zip(captions.references, captions.candidates)) {
            #expect(references == image.reference_tokens, "image \(image.image_id)")
            #expect(candidate == image.candidate_tokens, "image \(image.image_id)")
        }
    }

    struct GoldenRow: Decodable {
        let id: String
        let raw: String
        let lines: [String]
        let coco: [String]
        let lines_at_end_of_input: [String]?
    }

    private static let tokenizerGoldens = "tokenizer.jsonl.gz"

    private func lines(_ text: String) -> [String] {
        PTBTokenizer().lines(of: text).map { $0.joined(separator: " ") }
    }

    /// Row by row, exactly: 3,454 captions of every kind the reference treats in its own way. Every eighth by default;
    /// `equalsTheGoldenBatch` reads them all, in one run.
    @Test(.enabled(if: GoldenFiles.have(tokenizerGoldens))) func equalsTheGoldenLines() throws {
        let rows = try GoldenFiles.decodeLines(GoldenRow.self, Self.tokenizerGoldens)
        #expect(rows.count > 3000)
        var different: [String] = []
        for row in Self.isFull ? rows[...] : ArraySlice(stride(from: 0, to: rows.count, by: 8).map { rows[$0] }) {
            let text = row.raw.replacing("\n", with: " ")
            // Inside a batch: a line end and a word in lower case follow.
            let inBatch = Array(lines(text + "\na dog\n").dropLast(2))
            // "\r" before the line end makes one line end of the two.
            let expected = text.hasSuffix("\r") ? Array(row.lines.prefix(inBatch.count)) : row.lines
            if inBatch.map({ $0.trimmedRight }) != expected.map({ $0.trimmedRight }) { different.append(row.id) }
            if let atEnd = row.lines_at_end_of_input, !text.hasSuffix("\r"), lines(text) != atEnd {
                different.append(row.id + " at the end of input")
            }
        }
        #expect(different.isEmpty)
    }

    struct GoldenBatch: Decodable {
        let order: [String]
        let lines: [String]
    }

    /// One run over all captions, where each caption's end depends on the next.
    @Test(.enabled(if: GoldenFiles.have("tokenizer_batch.json.gz", tokenizerGoldens)))
    func equalsTheGoldenBatch() throws {
        let batch = try GoldenFiles.decode(GoldenBatch.self, "tokenizer_batch.json.gz")
        let rows = try GoldenFiles.decodeLines(GoldenRow.self, Self.tokenizerGoldens)
        let raw = Dictionary(uniqueKeysWithValues: rows.map { ($0.id, $0.raw.replacing("\n", with: " ")) })
        let captions = try batch.order.map { try #require(raw[$0]) }
        let made = lines(captions.joined(separator: "\n"))
        #expect(made.count == captions.count)
        #expect(zip(made, batch.lines).filter { $0 != $1 }.count == 0)
        // And as captions: the same lines without punctuation.
        let punctuation = Set(PTBTokenizer.punctuation.map { Array($0.utf8) })
        let expected = batch.lines.map { line in
            // By bytes: to Swift, U+037E is equal to ";", and a blank before a combining mark is no blank.
            String(
                decoding: Array(
                    line.utf8.split(separator: 0x20).filter { !punctuation.contains(Array($0)) }
                        .joined(separator: [0x20])), as: UTF8.self)
        }
        let tokens = PTBTokenizer().tokenize(captions)
        #expect(zip(tokens, expected).filter { !$0.utf8.elementsEqual($1.utf8) }.count == 0)
    }

    struct CharacterClasses: Decodable {
        struct Context: Decodable {
            let template: String
            let patterns: [String]
            let runs: [[Int]]
        }
        let alone, between_letters, between_digits, between_blanks, in_word_end, twice: Context
    }

    /// Every character of the Basic Multilingual Plane in six contexts.
    @Test(.enabled(if: GoldenFiles.have("charclass.json.gz"))) func equalsTheGoldenCharacterClasses() throws {
        let classes = try GoldenFiles.decode(CharacterClasses.self, "charclass.json.gz")
        var different: [String] = []
        for context in [
            classes.alone, classes.between_letters, classes.between_digits, classes.between_blanks, classes.in_word_end,
            classes.twice,
        ] {
            var questions = ""
            var expected: [String] = []
            for run in context.runs {
                let pattern = context.patterns[run[2]]
                // Line ends cannot be asked about one per line.
                if pattern.contains("*NL*") { continue }
                for code in run[0]...run[1] {
                    guard let scalar = Unicode.Scalar(UInt32(code)) else { continue }
                    let character = String(scalar)
                    questions += context.template.replacing("{c}", with: character) + "\n"
                    expected.append(
                        pattern.replacing("{c}", with: character).replacing("\t", with: " "))
                }
            }
            questions += "a dog\n"
            let made = PTBTokenizer().lines(of: questions, lowercased: false).map { $0.joined(separator: " ") }
            #expect(made.count == expected.count + 2, "\(context.template)")
            for (a, b) in zip(made, expected) where a != b { different.append("\(context.template): \(a) / \(b)") }
        }
        #expect(different.isEmpty, "\(different.count): \(different.prefix(10))")
    }

    @Test func captionsKeepTheirPlaces() {
        let captions = ["a", "", "b\nc", "d\u{2028}e\rf", "...", "<a b=\"x", "y\"> z", "g"]
        #expect(PTBTokenizer().tokenize(captions).count == captions.count)
        #expect(PTBTokenizer().tokenize(captions)[2...3] == ["b c", "d e f"])
        #expect(PTBTokenizer().tokenize(captions).last == "g")
        #expect(PTBTokenizer().tokenize([]) == [])
        #expect(PTBTokenizer().tokenize([""]) == [""])
    }

    @Test func whatFollowsDecides() {
        let tokenizer = PTBTokenizer()
        // The reference gives a final initial before "The" back without its full stop, which is then dropped.
        #expect(tokenizer.tokenize(["Plan B.", "The dog"]) == ["plan b", "the dog"])
        #expect(tokenizer.tokenize(["Plan B.", "a dog"]) == ["plan b.", "a dog"])
    }

    @Test func lowercasesLikeJava() {
        #expect(PTBTokenizer().tokenize(["ΣΑΣ İstanbul STRASSE x"]) == ["σας i\u{307}stanbul strasse x"])
    }

    /// Random bytes and random characters, with a seed: no crash, one line per caption, no blank left in a token. 300
    /// texts, 3,000 in the full run.
    @Test func survivesAnything() {
        var generator = SeededGenerator(state: 20_140_901)
        let special = Array("<>\"'&;./\\-@#:=()[]{}!?,$%*_ 0aAtn\u{AD}\u{2019}\u{2018}\u{A0}½😀\u{301}").map(String.init)
        for round in 0..<(Self.isFull ? 3000 : 300) {
            var text = ""
            for _ in 0..<Int.random(in: 0...80, using: &generator) {
                switch round % 3 {
                case 0: text += special.randomElement(using: &generator)!
                case 1:
                    let code = UInt32.random(in: 0...0x10FFFF, using: &generator)
                    text += Unicode.Scalar(code).map(String.init) ?? "\u{FFFD}"
                default:
                    text += String(decoding: [UInt8.random(in: 0...255, using: &generator)], as: UTF8.self)
                }
            }
            let lines = PTBTokenizer().tokenize([text, "The dog"])
            #expect(lines.count == 2)
            #expect(!lines[0].hasPrefix(" ") && !lines[0].hasSuffix(" ") && !lines[0].contains("  "))
        }
    }

    /// A scanner that backs up would need minutes for these.
    @Test(arguments: ["<a ", "<a b=\"", "a.", "http://", "1,", "a-", "<!a"])
    func takesLinearTime(_ unit: String) {
        let clock = ContinuousClock()
        let text = String(repeating: unit, count: 1_000_000 / unit.utf8.count)
        let duration = clock.measure { #expect(PTBTokenizer().tokenize([text]).count == 1) }
        // Quadratic work would be 10^12 steps: hours. The bound leaves room for a debug build on a busy machine.
        #expect(duration < .seconds(120))
    }
}

extension String {
    fileprivate var trimmedRight: String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
