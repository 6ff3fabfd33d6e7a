import Foundation
import TestSupport
import Testing

@testable import Tokenizers

@Suite struct GPT2Tests {
    struct Full: Decodable {
        let pieces: [String]
        let sums: String
    }

    @Test(.enabled(if: FullVocabulary.isThere)) func equalsTransformers() throws {
        let folder = try TemporaryFolder()
        try FullVocabulary.gpt2(into: folder)
        let tokenizer = try GPT2Tokenizer(folder: folder.path)
        let full = try decodeFixture("gpt2-full.json", as: Full.self)
        #expect(tokenizer.vocabularySize == 50257 && tokenizer.endID == 50256)
        #expect(tokenizer.encode("Hello world") == [15496, 995])
        let texts = generated(10_000, full.pieces, seed: 12345)
        #expect(differing(texts, tokenizer, full.sums) == [])
        for text in texts {
            #expect(tokenizer.decode(tokenizer.encode(text).map(Int.init)).utf8.elementsEqual(text.utf8))
        }
        #expect(tokenizer.decode([15496, 50256, 995], skippingSpecial: true) == "Hello world")
        // Models with a longer table may sample an id that the tokenizer has no token for.
        #expect(tokenizer.decode([15496, 50257, 1 << 40, -7, 995]) == "Hello world")
        #expect(tokenizer.bytes(of: 50257) == [])
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
        let folder = try TemporaryFolder([
            "vocab.json": vocabulary, "merges.txt": "#version: 0.2\n" + merges.joined(separator: "\n"),
        ])
        return try withExtendedLifetime(folder) { try GPT2Tokenizer(folder: folder.path) }
    }

    @Test func batches() throws {
        let tokenizer = try tiny()
        #expect(tokenizer.encode("hello hello") == [259, 260])
        #expect(tokenizer.encode("a<|endoftext|>") == [97, 261])
        let batch = try tokenizer.encode(
            ["hello hello", "", "abc"], contextLength: 2, truncation: .truncate)
        #expect(batch.ids == [259, 260, 261, 261, 97, 98])
        #expect(batch.attentionMask == [1, 1, 0, 0, 1, 1])
        #expect(batch.truncatedRows == [2])
        #expect(throws: TokenizerError.textTooLong(row: 2, tokens: 3, contextLength: 2, text: "abc")) {
            try tokenizer.encode(["", "hello", "abc"], contextLength: 2, truncation: .error)
        }
        #expect(throws: TokenizerError.contextTooShort(contextLength: 0, minimum: 1)) {
            try tokenizer.encode([], contextLength: 0, truncation: .error)
        }
        #expect(try tokenizer.encode([], truncation: .error).ids == [])
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
            #expect(tokenizer.decode(ids.map { Int($0) }).utf8.elementsEqual(text.utf8))
        }
        let hello = String(repeating: "hello", count: 5000)
        #expect(tokenizer.encode(hello) == Array(repeating: 259, count: 5000))
    }
}
