import Foundation
import TestSupport
import Testing

@testable import Tokenizers

/// Random texts through both cleanings; 3 seconds, longer with `GMAIL_FUZZ_SECONDS`.
@Suite struct FuzzTests {
    @Test func randomTexts() throws {
        let seconds = ProcessInfo.processInfo.environment["GMAIL_FUZZ_SECONDS"].flatMap(Double.init) ?? 3
        let tokenizers = try [CLIPCleaning.huggingFace, .openAI].map {
            try CLIPTokenizer(folder: fixture("clip-tiny-json"), cleaning: $0)
        }
        let pieces = [
            "&", "&#", "&#x", ";", "&amp", "Ã", "â€", "Â ", "\u{1B}[", "<|", "endoftext|>", "'s", "\u{301}", "𝒥",
            "\u{FFFD}", "ð", " ",
        ]
        var generator = SeededGenerator(state: 77)
        var runs = 0
        let end = Date().addingTimeInterval(seconds)
        while runs < 500 || Date() < end {
            runs += 1
            var text = ""
            if runs % 3 == 0 {
                let bytes = (0..<Int.random(in: 0...80, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
                text = String(decoding: bytes, as: UTF8.self)
            }
            for _ in 0..<Int.random(in: 0...40, using: &generator) {
                if Bool.random(using: &generator) {
                    text += pieces.randomElement(using: &generator)!
                } else {
                    let limit: UInt32 = [0x100, 0x250, 0x3000, 0x110000].randomElement(using: &generator)!
                    if let scalar = Unicode.Scalar(UInt32.random(in: 0..<limit, using: &generator)) {
                        text.unicodeScalars.append(scalar)
                    }
                }
            }
            for tokenizer in tokenizers {
                let ids = tokenizer.encode(text)
                #expect(ids.allSatisfy { 0 <= $0 && $0 < Int32(tokenizer.vocabularySize) })
                // The cache of words changes nothing.
                #expect(tokenizer.encode(text) == ids)
                // Cleaned text holds no upper-case ASCII and no double spaces.
                let clean = Array(tokenizer.cleaning.clean(text).utf8)
                #expect(!clean.contains { 65...90 ~= $0 })
                #expect(!zip(clean, clean.dropFirst()).contains { $0 == 0x20 && $1 == 0x20 })
            }
        }
        print("report: tokenizer fuzz: \(runs) texts")
    }

    /// One million characters without a space, entities and mojibake included, end in reasonable time.
    @Test func longTexts() throws {
        let tokenizer = try CLIPTokenizer(folder: fixture("clip-tiny-json"), cleaning: .openAI)
        for unit in ["a", "Ã©", "&amp;", "&#", "\u{1B}[1", "e\u{301}", "é"] {
            let text = String(repeating: unit, count: 30_000)
            let start = Date()
            #expect(!tokenizer.encode(text).isEmpty || unit == "\u{1B}[1")
            #expect(Date().timeIntervalSince(start) < 20, "\(unit)")
        }
    }
}
