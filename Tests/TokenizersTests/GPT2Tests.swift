import Foundation
import Testing

@testable import Tokenizers

@Suite struct GPT2Tests {
    struct Full: Decodable {
        let pieces: [String]
        let sums: String
    }

    /// The generator of the fixture script.
    private func generated(_ count: Int, _ pieces: [String]) -> [String] {
        var state: UInt64 = 12345
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        return (0..<count).map { _ in (0...next(12)).reduce(into: "") { text, _ in text += pieces[next(pieces.count)] }
        }
    }

    @Test func equalsTransformers() throws {
        guard let tokenizer = try FullVocabulary.gpt2(for: "GPT2Tests.equalsTransformers") else { return }
        let full = try decodeFixture("gpt2-full.json", as: Full.self)
        let sums = Array(full.sums.utf8)
        #expect(tokenizer.vocabularySize == 50257 && tokenizer.endID == 50256)
        #expect(tokenizer.encode("Hello world") == [15496, 995])
        var wrong: [String] = []
        let texts = generated(10_000, full.pieces)
        for (i, text) in texts.enumerated() {
            let ids = tokenizer.encode(text)
            var crc = CRC32()
            crc.update(ids)
            if crc.value != UInt32(String(decoding: sums[i * 8..<i * 8 + 8], as: UTF8.self), radix: 16) {
                wrong.append(text)
            }
            #expect(try tokenizer.decode(ids.map { Int($0) }).utf8.elementsEqual(text.utf8))
        }
        print("report: GPT-2: \(wrong.count) of \(texts.count) texts differ from the reference")
        #expect(wrong == [])
        #expect(try tokenizer.decode([15496, 50256, 995], skippingSpecial: true) == "Hello world")
    }

    /// A vocabulary of single bytes and a few merges, so that the rest runs anywhere.
    private func tiny() throws -> GPT2Tokenizer {
        let merges = ["h e", "l l", "he ll", "hell o", "Ġ hello"]
        let tokens =
            ByteAlphabet.scalars.map { String(Character($0)) }
            + merges.map { $0.replacingOccurrences(of: " ", with: "") } + ["<|endoftext|>"]
        let vocabulary = String(
            decoding: try JSONEncoder().encode(Dictionary(uniqueKeysWithValues: tokens.enumerated().map { ($1, $0) })),
            as: UTF8.self)
        return try GPT2Tokenizer(
            folder: temporaryFolder([
                "vocab.json": vocabulary, "merges.txt": "#version: 0.2\n" + merges.joined(separator: "\n"),
            ]))
    }

    @Test func batches() throws {
        let tokenizer = try tiny()
        #expect(tokenizer.encode("hello hello") == [259, 260])
        #expect(tokenizer.encode("a<|endoftext|>") == [97, 261])
        let batch = try tokenizer.encode(
            ["hello hello", "", "abc"], contextLength: 2, paddingID: 261, truncation: .truncate)
        #expect(batch.ids == [259, 260, 261, 261, 97, 98])
        #expect(batch.attentionMask == [1, 1, 0, 0, 1, 1])
        #expect(batch.truncatedRows == [2])
        #expect(throws: TokenizerError.textTooLong(row: 2, tokens: 3, contextLength: 2, text: "abc")) {
            try tokenizer.encode(["", "hello", "abc"], contextLength: 2, paddingID: 0, truncation: .error)
        }
        #expect(throws: TokenizerError.contextTooShort(contextLength: 0, minimum: 1)) {
            try tokenizer.encode([], contextLength: 0, paddingID: 0, truncation: .error)
        }
        #expect(try tokenizer.encode([], paddingID: 0, truncation: .error).ids == [])
    }

    /// `decode(encode(text))` is the text, for any scalars, and long words take the other merge path to the same end.
    @Test func roundTrips() throws {
        let tokenizer = try tiny()
        var generator = SeededGenerator(state: 4)
        for round in 0..<3000 {
            var text = ""
            for _ in 0..<Int.random(in: 0...(round % 20 == 0 ? 300 : 20), using: &generator) {
                let limit: UInt32 = [0x80, 0x3000, 0x110000][Int.random(in: 0..<3, using: &generator)]
                if let scalar = Unicode.Scalar(UInt32.random(in: 0..<limit, using: &generator)) {
                    text.unicodeScalars.append(scalar)
                }
                if Int.random(in: 0..<5, using: &generator) == 0 { text += "hello" }
            }
            let ids = tokenizer.encode(text)
            #expect(try tokenizer.decode(ids.map { Int($0) }).utf8.elementsEqual(text.utf8))
        }
        let hello = String(repeating: "hello", count: 5000)
        #expect(tokenizer.encode(hello) == Array(repeating: 259, count: 5000))
    }
}
