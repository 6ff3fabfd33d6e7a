import Foundation
import Testing

@testable import CaptionMetrics

/// The normaliser and the stemmer on cases one can read; the golden files hold thousands more.
@Suite struct MeteorTextTests {
    @Test(arguments: [
        ("a man riding a horse", "a man riding a horse"),
        (
            "A man's half-eaten 3,000-calorie \"dog's dinner\".",
            "a man 's half eaten 3,000 calorie \" dog 's dinner \" ."
        ),
        ("1-2-3 a,b,c", "1 2-3 a , b,c"),  // a character used up by one split takes no part in the next
        ("the U.S. flag, p.m.", "the us flag , pm"),
        ("sign that says word. near", "sign that says word. near"),
        ("Dr. Who. No. 5. No. Yes", "dr. who . no. 5 . no . yes"),
        ("wait... -----", "wait ... ---"),
        ("it `s 1990's ''quoted''", "it ' s 1990 's \" quoted \""),
        ("“curly” don’t 5–6", "\" curly \" don 't 5 - 6"),
        ("a/b & 日本 😀 naïve", "a / b & 日 本 😀 naïve"),
        ("\u{A0}a\u{2003}b\tc\n", "a b c"),
        ("\u{1}\u{B}", ""),
        ("ÉCOLE Žižek", "école žižek"),
    ])
    func normalizes(text: String, expected: String) throws {
        let data = try MeteorTestSupport.data.get()
        let tokens = MeteorNormalizer { data.prefix($0) }.tokens(text)
        #expect(tokens.map { String(decoding: $0, as: UTF8.self) } == expected.split(separator: " ").map(String.init))
    }

    @Test func plainLinesTakeAShortCutWithTheSameResult() throws {
        let normalizer = MeteorNormalizer { _ in .none }
        for image in try MeteorTestSupport.fixture().tokenised.images {
            for caption in image.references + [image.candidate] {
                let plain = normalizer.tokens(caption).map { String(decoding: $0, as: UTF8.self) }
                #expect(plain == normalizer.normalized(caption).lowercased().split(separator: " ").map(String.init))
            }
        }
    }

    @Test(arguments: [
        // step 1a, 1b, 1c
        ("caresses", "caress"), ("ties", "tie"), ("cries", "cri"), ("gas", "gas"), ("gaps", "gap"), ("kiwis", "kiwi"),
        ("agreed", "agre"), ("feed", "feed"), ("luxuriating", "luxuri"), ("hopping", "hop"), ("hoped", "hope"),
        ("hoping", "hope"), ("by", "by"), ("say", "say"), ("cry", "cri"), ("dog's", "dog"), ("dogs'", "dog"),
        ("'em", "em"), ("sing", "sing"), ("fizzed", "fizz"), ("failing", "fail"),
        // regions and steps 2 to 5
        ("generate", "generat"), ("generously", "generous"), ("communism", "communism"), ("arsenal", "arsenal"),
        ("rational", "ration"), ("valenci", "valenc"), ("apology", "apolog"), ("happily", "happili"),
        ("hopefulness", "hope"), ("adjustment", "adjust"), ("adoption", "adopt"), ("controlling", "control"),
        ("probate", "probat"), ("rate", "rate"), ("cease", "ceas"), ("relative", "relat"),
        // words with rules of their own, y as a consonant, short words, other letters
        ("skis", "ski"), ("dying", "die"), ("news", "news"), ("innings", "inning"), ("exceeding", "exceed"),
        ("youth", "youth"), ("boyish", "boyish"), ("toy", "toy"), ("is", "is"), ("Yes", "Yes"),
        ("naïve", "naïv"), ("日本語", "日本語"),
    ])
    func stems(word: String, expected: String) {
        var stemmer = SnowballEnglish()
        #expect(String(decoding: stemmer.stem(Array(word.utf16)), as: UTF16.self) == expected)
    }

    @Test func stemmerTakesAnyUnits() {
        var stemmer = SnowballEnglish()
        var random = MeteorTestRandom(state: 5)
        let alphabet = Array("aeiouybcdglnrstwxz'Yé".utf16) + [0xD83D, 0xDE00]
        for _ in 0..<20_000 {
            let word = (0..<Int.random(in: 0...9, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
            let stem = stemmer.stem(word)
            #expect(stem.count <= word.count + 1)
        }
    }

    @Test(arguments: [("", 0), ("a", 97), ("an", 3117), ("c0", 3117), ("polygenelubricants", Int32.min), ("é", 233)])
    func javaHash(word: String, expected: Int32) {
        #expect(MeteorVocabulary.javaHash(Array(word.utf16)) == expected)
    }
}
