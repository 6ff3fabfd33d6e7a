import Foundation
import TestSupport
import Testing

@testable import Tokenizers

/// Added and special tokens of every layout against `transformers` 5.24.
@Suite struct AddedTokenTests {
    struct Case: Decodable {
        let name: String
        let model: String
        let generic: Bool?
        /// `added_tokens` of tokenizer.json; nil where the folder has vocab.json and merges.txt.
        let added: String?
        let files: [String: String]
        /// Text, ids, their text, and that without special tokens.
        let rows: [[String]]
        let size: Int
        let special: [String: Int]
    }

    struct Full: Decodable {
        let pieces: [String]
        let layouts: [String: [String: String]]
        let sums: [String: String]
    }

    private func folder(_ test: Case) throws -> TemporaryFolder {
        var files = test.files
        if let added = test.added {
            let whole = try String(contentsOfFile: fixture("\(test.model)-tiny-json/tokenizer.json"), encoding: .utf8)
            let pattern = try Regex(#""added_tokens":\[[^\]]*\]"#)
            let range = try #require(whole.firstRange(of: pattern))
            files["tokenizer.json"] = whole.replacingCharacters(in: range, with: "\"added_tokens\":" + added)
        } else {
            for name in ["vocab.json", "merges.txt"] {
                files[name] = try String(contentsOfFile: fixture("\(test.model)-tiny/\(name)"), encoding: .utf8)
            }
        }
        return try TemporaryFolder(files)
    }

    @Test func drawnFolders() throws {
        let cases = try decodeFixture("added-tokens.json", as: [Case].self)
        #expect(cases.count == 220)
        for test in cases {
            let folder = try folder(test)
            let tokenizer: any TextTokenizer =
                test.model == "clip" ? try CLIPTokenizer(folder: folder.path) : try GPT2Tokenizer(folder: folder.path)
            let isGeneric = test.generic ?? false
            #expect(tokenizer.vocabularySize == test.size, "\(test.name)")
            // What stands around CLIP's texts is the file's word where no class says otherwise.
            if !(isGeneric && test.model == "clip") {
                #expect(test.special["start"].map { $0 == tokenizer.startID } ?? true, "\(test.name)")
                #expect(test.special["end"].map { $0 == tokenizer.endID } ?? true, "\(test.name)")
            }
            #expect(test.special["pad"].map { $0 == tokenizer.paddingID } ?? true, "\(test.name)")
            for row in test.rows {
                let ids = tokenizer.encode(row[0]).map { Int($0) }
                #expect(ids == unpacked(row[1]), "\(test.name): \(row[0])")
                // Without its class transformers leaves CLIP's word ends in the text.
                if isGeneric && test.model == "clip" { continue }
                #expect(tokenizer.decode(ids).utf8.elementsEqual(row[2].utf8), "\(test.name): \(row[0])")
                #expect(
                    tokenizer.decode(ids, skippingSpecial: true).utf8.elementsEqual(row[3].utf8),
                    "\(test.name): \(row[0])")
            }
        }
    }

    @Test(.enabled(if: FullVocabulary.isThere), arguments: ["clip", "gpt2"])
    func fullVocabularies(model: String) throws {
        let full = try decodeFixture("added-tokens-full.json", as: Full.self)
        let texts = generated(1000, full.pieces, seed: 4321)
        for (name, files) in full.layouts {
            let folder = try TemporaryFolder(files)
            if model == "clip" { try FullVocabulary.clip(into: folder) } else { try FullVocabulary.gpt2(into: folder) }
            let sums = try #require(full.sums["\(model) \(name)"])
            let tokenizer = try TokenizerFolder.open(folder.path)
            #expect(differing(texts, tokenizer, sums) == [], "\(model) \(name)")
        }
    }

    /// Two tokens that lower case makes one: which of them the reference finds changes from run to run.
    @Test func tokensThatNormalisationMakesOne() throws {
        let files = ["added_tokens.json": #"{"<A>":914,"<a>":915}"#]
        let clip = Case(
            name: "", model: "clip", generic: nil, added: nil, files: files, rows: [], size: 0, special: [:])
        let folder = try folder(clip)
        #expect(
            message { _ = try CLIPTokenizer(folder: folder.path) }.hasSuffix(
                "/vocab.json': the added tokens '<A>' and '<a>' are one text once it is normalised, and nothing says which of them counts; remove one"
            ))
    }

    @Test func declarationsThatAreRefused() throws {
        func failure(_ name: String, _ text: String) throws -> String {
            let test = Case(
                name: "", model: "gpt2", generic: nil, added: nil, files: [name: text], rows: [], size: 0, special: [:])
            let folder = try folder(test)
            return message { _ = try GPT2Tokenizer(folder: folder.path) }.replacingOccurrences(
                of: folder.path, with: "F")
        }
        #expect(
            try failure("added_tokens.json", #"{"<x>":"5"}"#)
                == "F/added_tokens.json: '<x>' is \"5\", expected a whole number")
        #expect(
            try failure("tokenizer_config.json", #"{"added_tokens_decoder":{"300":"<x>"}}"#)
                == "F/tokenizer_config.json: 'added_tokens_decoder.300' is \"<x>\", expected an object with a 'content' that is not empty"
        )
        #expect(
            try failure("tokenizer_config.json", #"{"added_tokens_decoder":{"x":{"content":"<x>"}}}"#)
                == "F/tokenizer_config.json: 'added_tokens_decoder' is 'x', expected token ids as keys")
        #expect(
            try failure("tokenizer_config.json", #"{"added_tokens_decoder":{"300":{"content":"<x>","lstrip":1}}}"#)
                == "F/tokenizer_config.json: 'added_tokens_decoder.300.lstrip' is 1, expected true or false")
        #expect(
            try failure("tokenizer_config.json", #"{"extra_special_tokens":[{"content":"<x>"}]}"#)
                == "F/tokenizer_config.json: 'extra_special_tokens[0]' is an object, expected a string, or an object with \"__type\": \"AddedToken\""
        )
        #expect(
            try failure("special_tokens_map.json", #"{"additional_special_tokens":"<x>"}"#)
                == "F/special_tokens_map.json: 'additional_special_tokens' is \"<x>\", expected an array of tokens")
        #expect(
            try failure("special_tokens_map.json", #"{"pad_token":3}"#)
                == "F/special_tokens_map.json: 'pad_token' is 3, expected an object with a 'content' that is not empty")
    }
}
