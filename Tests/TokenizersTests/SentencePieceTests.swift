import Files
import Foundation
import TestSupport
import Testing

@testable import Tokenizers

// Ids, rows and texts against transformers, which runs sentencepiece and tokenizers (Fixtures/make_sentencepiece_fixtures.py).

private struct Answers: Decodable {
    let sums: String
    let texts: [String]
    let length: Int
    let batch: [Int64]
    let decoded: [String]
    let decodedWithoutSpecial: [String]
    let vocabulary: Int
}

private struct Stored: Decodable {
    let pieces: [String]
    let answers: [String: Answers]
}

private let stored = Result { try decodeFixture("sentencepiece.json", as: Stored.self) }

private func check(_ name: String, _ folder: String) throws {
    let (stored, tokenizer) = (try stored.get(), try TokenizerFolder.open(folder))
    let expected = try #require(stored.answers[name])
    #expect(tokenizer.vocabularySize == expected.vocabulary)
    #expect(differing(generated(2000, stored.pieces, seed: 4711), tokenizer, expected.sums) == [])
    let batch = try tokenizer.encode(expected.texts, contextLength: expected.length, truncation: .truncate)
    for (row, text) in expected.texts.enumerated() {
        let want = expected.batch[row * expected.length..<(row + 1) * expected.length]
        #expect(Array(batch.row(row)) == Array(want), "\(text.debugDescription)")
    }
    #expect(
        batch.truncatedRows.contains(expected.texts.count - 1)
            && !batch.truncatedRows.contains(expected.texts.count - 5))
    for (text, (whole, plain)) in zip(expected.texts, zip(expected.decoded, expected.decodedWithoutSpecial)) {
        let row = try tokenizer.encode([text], contextLength: 4096, truncation: .truncate)
        // Without padding, which the reference did not decode either.
        let ids = zip(row.ids, row.attentionMask).filter { $0.1 == 1 }.map { Int($0.0) }
        guard row.truncatedRows.isEmpty else { continue }
        #expect(tokenizer.decode(ids).utf8.elementsEqual(whole.utf8), "\(text.debugDescription)")
        #expect(tokenizer.decode(ids, skippingSpecial: true).utf8.elementsEqual(plain.utf8), "\(text.debugDescription)")
    }
}

@Suite struct SentencePieceTests {
    @Test(arguments: [
        "siglip", "siglip-bytes", "unigram", "unigram-first", "gemma", "gemma-left", "gemma-generic", "siglip2",
    ])
    func equalsTransformers(name: String) throws {
        try check(name, fixture("sentencepiece/\(name)"))
    }

    /// SentencePiece's own rules of characters (nmt_nfkc), and 32,000 pieces.
    @Test(.enabled(if: SharedData.has(["data/tokenizers/t5_spiece.model"])))
    func equalsTransformersWithAWholeVocabulary() throws {
        let folder = try TemporaryFolder()
        try folder.write(RegularFile.bytes(SharedData.path("data/tokenizers/t5_spiece.model")), to: "spiece.model")
        try folder.write(
            RegularFile.bytes(fixture("sentencepiece/siglip/tokenizer_config.json")), to: "tokenizer_config.json")
        try check("siglip-t5", folder.path)
    }

    /// A model's folder that names no class of tokenizer is told by `model_type`.
    @Test func siglipFoldersWithoutAClass() throws {
        let folder = try TemporaryFolder(["config.json": #"{"model_type": "siglip"}"#])
        try folder.write(RegularFile.bytes(fixture("sentencepiece/siglip/spiece.model")), to: "spiece.model")
        let tokenizer = try #require(try TokenizerFolder.open(folder.path) as? SigLIPTokenizer)
        #expect(tokenizer.endID == 1 && tokenizer.paddingID == 1 && tokenizer.contextLength == 64)
        #expect(tokenizer.encode("A DOG, runs!") == tokenizer.encode("a dog runs"))
        // The same file under another model is another tokenizer.
        try folder.write(#"{"model_type": "t5"}"#, to: "config.json")
        #expect(message { _ = try TokenizerFolder.open(folder.path) }.contains("holds a spiece.model"))
    }

    // MARK: What is refused

    private func edited(_ name: String, _ edit: (String) -> String) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        let text = String(
            decoding: try RegularFile.bytes(fixture("sentencepiece/\(name)/tokenizer.json")), as: UTF8.self)
        let changed = edit(text)
        #expect(changed != text)
        try folder.write(changed, to: "tokenizer.json")
        try folder.write(
            RegularFile.bytes(fixture("sentencepiece/\(name)/tokenizer_config.json")), to: "tokenizer_config.json")
        return folder
    }

    @Test(arguments: [
        (
            "unigram", #"{"type":"Lowercase"}"#, #"{"type":"NFKD"}"#,
            "normalizer.normalizers[0] type is NFKD, which this tokenizer does not implement; supported: Lowercase, NFC, Prepend, Strip, Replace, Precompiled"
        ),
        (
            "unigram", #"{"Regex":"\\s+"}"#, #"{"Regex":"\\d+"}"#,
            #"normalizer.normalizers[2].pattern is '\d+', which this tokenizer does not implement; supported: a text, \s+, " {2,}", a list of characters in brackets"#
        ),
        (
            "unigram", #""replacement":"▁","split":true,"type":"Metaspace"}"#,
            #""replacement":"_","split":true,"type":"Metaspace"}"#,
            #"decoder.replacement is "_", which this tokenizer does not implement; supported: "▁""#
        ),
        (
            "unigram", #""unk_id":2"#, #""unk_id":420"#,
            "'model.unk_id' should be an id below 420, got 420"
        ),
        (
            "gemma-generic", #"{"content":"▁","pattern":{"String":" "},"type":"Replace"}]"#, #"{"type":"NFC"}]"#,
            "pre_tokenizer is another Split, which this tokenizer does not implement; supported: Split at spaces that the normalizer replaces"
        ),
        (
            "gemma", #""ignore_merges":false"#, #""ignore_merges":true"#,
            "model.ignore_merges is true, which this tokenizer does not implement; supported: null, false"
        ),
    ])
    func unknownSteps(name: String, old: String, new: String, text: String) throws {
        let folder = try edited(name) { json in
            var json = json
            if let range = json.range(of: old, options: name == "gemma-generic" ? .backwards : []) {
                json.replaceSubrange(range, with: new)
            }
            return json
        }
        let got = message { _ = try TokenizerFolder.open(folder.path) }
        #expect(got == "'\(folder("tokenizer.json"))': \(text)")
    }

    @Test func damagedModelFiles() throws {
        let whole = try RegularFile.bytes(fixture("sentencepiece/siglip/spiece.model"))
        let config = try RegularFile.bytes(fixture("sentencepiece/siglip/tokenizer_config.json"))
        func refusal(_ bytes: [UInt8]) throws -> String {
            let folder = try TemporaryFolder()
            try folder.write(bytes, to: "spiece.model")
            try folder.write(config, to: "tokenizer_config.json")
            return message { _ = try TokenizerFolder.open(folder.path) }
                .replacingOccurrences(of: folder("spiece.model"), with: "F")
        }
        #expect(try refusal([]) == "'F': 'pieces' should be a model file of SentencePiece, got none")
        #expect(
            try refusal(Array(whole.prefix(5007)))
                == "'F': 'byte 5000' should be a model file of SentencePiece, got field 1 goes beyond the end")
        #expect(
            try refusal([0x07])
                == "'F': 'byte 0' should be a model file of SentencePiece, got a field has the number 0")
        #expect(
            try refusal([0x0F])
                == "'F': 'byte 0' should be a model file of SentencePiece, got field 1 is of the unknown kind 7")
        // A second trainer's section that says byte pairs.
        #expect(
            try refusal(whole + [0x12, 0x02, 0x18, 0x02])
                == "'F': model_type is 2, which this tokenizer does not implement; supported: 1 (Unigram)")
        // A piece that is there already.
        #expect(
            try refusal(whole + [0x0A, 0x06, 0x0A, 0x04] + "</s>".utf8)
                == "'F': 'piece 420' should be a text that no other piece has, got '</s>'")
    }

    @Test func listsOfCharacters() {
        #expect(PieceNormalizer.characters(#"[a\-z,-.\]]"#) == Set("a-z,.]".unicodeScalars.map(\.value)))
        for pattern in ["[^a]", "[a", #"[\s]"#, "[[a]]", "[a&&b]", "[z-a]", "a+", "[]"] {
            #expect(PieceNormalizer.characters(pattern) == nil, "\(pattern)")
        }
    }
}
