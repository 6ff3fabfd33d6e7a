import Testing
import Tokenizers
import Torch
import Training

@testable import Captioning

@Suite struct CaptionTokenizerTests {
    let words: GPT2Tokenizer

    init() throws { words = try GPT2Tokenizer(folder: fixture("gpt2")) }

    private func tokenizer(
        _ captions: [String], room: Int = 100, _ change: (inout CaptionerRecipe.CaptionSettings) -> Void = { _ in }
    ) throws -> CaptionTokenizer {
        var settings = CaptionerRecipe.CaptionSettings()
        change(&settings)
        return try CaptionTokenizer(words, settings, room: room, count: captions.count) { captions[$0] }
    }

    /// The ids that count in the loss.
    private func counted(_ tokenizer: CaptionTokenizer, _ caption: String) -> [Int] {
        tokenizer([caption]).targets.array(of: Int.self).filter { $0 != CaptionTokens.uncounted }
    }

    /// min(int(mean + 10 std), int(max)) with torch's unbiased std.
    @Test func theLimitIsTheAuthors() {
        let lengths = CaptionLengths([8, 9, 10, 11, 12, 9, 11, 10, 10, 90])
        #expect(lengths.mean == 18)
        #expect(lengths.authorsLimit == 90)
        #expect(CaptionLengths([5, 5, 5, 5]).authorsLimit == 5)
        let many = CaptionLengths(Array(repeating: [10, 11, 12], count: 2000).flatMap { $0 } + [400])
        // As torch computes it: mean 11.06, std 5.09.
        #expect(many.authorsLimit == 61)
        #expect(many.longest == 400)
        #expect(many.count(above: 61) == 1)
    }

    @Test func captionsEndAsTheRecipeSays() throws {
        let caption = "  A red dog stands on a beach.\n"
        let ids = words.encode("A red dog stands on a beach.").map(Int.init)
        let corrected = try tokenizer([caption])
        #expect(counted(corrected, caption) == ids + [words.endID])
        let original = try tokenizer([caption]) {
            $0.ending = .period
            $0.trim = false
        }
        #expect(counted(original, caption) == words.encode(caption).map(Int.init))
    }

    /// A caption that was cut did not end, so it has no end token.
    @Test func longCaptionsAreCut() throws {
        let caption = "A red dog stands on a beach."
        let ids = words.encode(caption).map(Int.init)
        let short = try tokenizer([caption]) { $0.maximumTokens = 3 }
        #expect(counted(short, caption) == Array(ids.prefix(3)))
        #expect(short.cutCount() == 1)
        // Room for 4 positions is room for 3 tokens and the end.
        let crammed = try tokenizer([caption], room: 4)
        #expect(crammed.limit == 3)
    }

    @Test func tokenZeroIsIgnoredWhereItIsAskedFor() throws {
        let caption = "A dog!"
        #expect(words.encode("!") == [0])
        let original = try tokenizer([caption]) { $0.ignoreTokenZero = true }
        #expect(!counted(original, caption).contains(0))
        #expect(try counted(tokenizer([caption]), caption).contains(0))
    }
}
