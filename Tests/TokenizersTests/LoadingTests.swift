import Foundation
import Testing

@testable import Tokenizers

/// What is refused, and the text that says why.
@Suite struct LoadingTests {
    private func failure(_ make: (String) throws -> Void, _ files: [String: String]) throws -> String {
        let folder = try temporaryFolder(files)
        let error = #expect(throws: TokenizerError.self) { try make(folder) }
        #expect(error?.localizedDescription == error?.description)
        return (error?.description ?? "").replacingOccurrences(of: folder, with: "F")
    }

    private func clip(_ files: [String: String]) throws -> String {
        try failure({ _ = try CLIPTokenizer(folder: $0) }, files)
    }

    private func gpt2(_ files: [String: String]) throws -> String {
        try failure({ _ = try GPT2Tokenizer(folder: $0) }, files)
    }

    /// The tiny tokenizer.json with one piece of its text replaced.
    private func edited(_ old: String, _ new: String) throws -> String {
        let text = try String(contentsOfFile: fixture("clip-tiny-json/tokenizer.json"), encoding: .utf8)
        #expect(text.contains(old), "\(old)")
        return try clip(["tokenizer.json": text.replacingOccurrences(of: old, with: new)])
    }

    @Test func files() throws {
        #expect(
            try clip([:])
                == "'F' holds neither tokenizer.json nor vocab.json with merges.txt; copy them from the model's page")
        #expect(try clip(["vocab.json": "{}"]).contains("holds neither"))
        #expect(
            try clip(["tokenizer.json": "{"])
                == "'F/tokenizer.json' is not valid JSON: the text ends too early, at column 2")
        #expect(try clip(["tokenizer.json": "{}"]) == "'F/tokenizer.json' has no 'model'")
        #expect(
            try clip(["vocab.json": "{\"a\":\"b\"}", "merges.txt": ""])
                == "'F/vocab.json': 'id of 'a'' should be an integer, got a string")
        #expect(
            try clip(["vocab.json": "{\"a\":1,\"b\":1}", "merges.txt": ""])
                == "'F/vocab.json': tokens 'a' and 'b' both have id 1")
        #expect(
            try clip(["vocab.json": "{\"a\":-1}", "merges.txt": ""])
                == "'F/vocab.json': 'id of 'a'' should be an integer from 0 to 1048575, got -1")
        #expect(
            try clip(["vocab.json": "{\"a\":1}", "merges.txt": ""])
                == "'F/vocab.json': the vocabulary lacks 'Ā', the token of byte 0; it is no byte-level vocabulary")
        #expect(
            try clip(["vocab.json": "{\"a\":1}", "merges.txt": "#version: 0.2\na b c\n"])
                == "'F/merges.txt': merge 2 should be two tokens with a space between, got 'a b c'")
    }

    @Test func pipeline() throws {
        #expect(
            try edited(#""type":"BPE""#, #""type":"Unigram""#)
                == "'F/tokenizer.json': model type is Unigram, which this tokenizer does not implement; supported: BPE")
        #expect(
            try edited(#"{"type":"NFC"}"#, #"{"type":"NFKC"}"#)
                == "'F/tokenizer.json': normalizer step type is NFKC, which this tokenizer does not implement; supported: NFC, Replace, Lowercase"
        )
        #expect(
            try edited(#"{"type":"NFC"},"#, "")
                == "'F/tokenizer.json': normalizer is Replace, Lowercase, which this tokenizer does not implement; supported: NFC, Replace, Lowercase in this order"
        )
        #expect(
            try edited(#""type":"ByteLevel","use_regex":true}]"#, #""type":"Digits"}]"#).contains(
                "pre_tokenizer step type is Digits"))
        #expect(try edited(#"[\\p{N}]|"#, #"[\\p{N}]+|"#).contains("pre_tokenizer Split pattern is '"))
        #expect(try edited(#""RobertaProcessing""#, #""Magic""#).contains("post_processor type is Magic"))
        #expect(
            try edited(#""end_of_word_suffix":"</w>""#, #""end_of_word_suffix":"""#).contains(
                "model.end_of_word_suffix is ''"))
        #expect(try edited(#""ignore_merges":false"#, #""ignore_merges":true"#).contains("model.ignore_merges is set"))
        #expect(
            try edited(#""lstrip":false"#, #""lstrip":true"#).contains("added token '<|startoftext|>', lstrip is true"))
        #expect(
            try edited(#""content":"<|startoftext|>","id":912"#, #""content":"<|startoftext|>","id":3"#).contains(
                "should be 912, as in the vocabulary, got 3"))
        #expect(
            try edited(#"["i","n"]"#, #"["i","nonesuch"]"#).contains("merge 'i nonesuch' needs the token 'nonesuch'"))
        let text = try String(contentsOfFile: fixture("clip-tiny-json/tokenizer.json"), encoding: .utf8)
        #expect(
            try clip(["tokenizer.json": text, "tokenizer_config.json": #"{"bos_token":"<s>"}"#])
                == "'F/tokenizer_config.json': bos_token is '<s>', which is not in the vocabulary")
        #expect(try gpt2(["tokenizer.json": text]).contains("model.end_of_word_suffix is '</w>'"))
        #expect(
            try gpt2([
                "tokenizer.json": text.replacingOccurrences(
                    of: #""end_of_word_suffix":"</w>""#, with: #""end_of_word_suffix":"""#)
            ])
                == "'F/tokenizer.json': normalizer type is Sequence, which this tokenizer does not implement; supported: none"
        )
    }

    @Test func specialTokens() throws {
        let text = try String(contentsOfFile: fixture("clip-tiny-json/tokenizer.json"), encoding: .utf8)
        let folder = try temporaryFolder([
            "tokenizer.json": text, "special_tokens_map.json": #"{"pad_token":{"content":"!"}}"#,
            "tokenizer_config.json": #"{"model_max_length":16}"#,
        ])
        let tokenizer = try CLIPTokenizer(folder: folder)
        #expect(tokenizer.paddingID == 0 && tokenizer.contextLength == 16)
        #expect(try tokenizer.encode([""], truncation: .error).ids == [912, 913] + Array(repeating: 0, count: 14))
        #expect(try CLIPTokenizer(folder: fixture("clip-tiny")).paddingID == 913)
    }

    @Test func tooLong() throws {
        let tokenizer = try CLIPTokenizer(folder: fixture("clip-tiny"))
        let text = String(repeating: "9 ", count: 76)
        let error = #expect(throws: TokenizerError.self) { try tokenizer.encode(["a", text], truncation: .error) }
        #expect(
            error?.description
                == "text 1 has 78 tokens, the context holds 77: '\(text.prefix(57))...'; shorten it or ask for truncation"
        )
        let batch = try tokenizer.encode(["a", text], truncation: .truncate)
        #expect(batch.truncatedRows == [1] && batch.row(1).last == 913 && batch.rowCount == 2)
        #expect(throws: TokenizerError.contextTooShort(contextLength: 1, minimum: 2)) {
            try tokenizer.encode(["a"], contextLength: 1, truncation: .truncate)
        }
    }
}
