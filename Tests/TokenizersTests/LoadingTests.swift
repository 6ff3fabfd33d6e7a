import Foundation
import ModelFolders
import TestSupport
import Testing

@testable import Tokenizers

/// What is refused, and the text that says why; what is read although it is odd.
@Suite struct LoadingTests {
    private func failure(_ make: (String) throws -> Void, _ files: [String: String]) throws -> String {
        let folder = try TemporaryFolder(files)
        return message { try make(folder.path) }.replacingOccurrences(of: folder.path, with: "F")
    }

    private func clip(_ files: [String: String]) throws -> String {
        try failure({ _ = try CLIPTokenizer(folder: $0) }, files)
    }

    private func gpt2(_ files: [String: String]) throws -> String {
        try failure({ _ = try GPT2Tokenizer(folder: $0) }, files)
    }

    private func open(_ files: [String: String]) throws -> String {
        try failure({ _ = try TokenizerFolder.open($0) }, files)
    }

    /// The tokenizer of a folder with these files.
    private func tokenizer<Made>(_ files: [String: String], _ make: (String) throws -> Made) throws -> Made {
        let folder = try TemporaryFolder(files)
        return try withExtendedLifetime(folder) { try make(folder.path) }
    }

    private func text(_ name: String) throws -> String {
        try String(contentsOfFile: fixture(name), encoding: .utf8)
    }

    /// A tokenizer.json with one piece of its text replaced.
    private func whole(_ model: String, _ old: String, _ new: String) throws -> [String: String] {
        let text = try text("\(model)-tiny-json/tokenizer.json")
        #expect(text.contains(old), "\(old)")
        return ["tokenizer.json": text.replacingOccurrences(of: old, with: new)]
    }

    private func edited(_ old: String, _ new: String) throws -> String { try clip(whole("clip", old, new)) }

    /// The older layout of a tiny model, with other files beside it.
    private func slow(_ model: String, _ files: [String: String] = [:]) throws -> [String: String] {
        var files = files
        for name in ["vocab.json", "merges.txt"] where files[name] == nil {
            files[name] = try text("\(model)-tiny/\(name)")
        }
        return files
    }

    @Test func files() throws {
        #expect(
            try clip([:])
                == "'F' holds neither tokenizer.json nor vocab.json with merges.txt; copy them from the model's page")
        #expect(try clip(["vocab.json": "{}"]).contains("holds neither"))
        #expect(
            try clip(["tokenizer.json": "{"])
                == "F/tokenizer.json: is no JSON: the text ends too early, at column 2")
        #expect(try clip(["tokenizer.json": "{}"]) == "'F/tokenizer.json' has no 'model'")
        #expect(
            try clip(["vocab.json": "{\"a\":\"b\"}", "merges.txt": ""])
                == "F/vocab.json: 'a' is \"b\", expected a token id")
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
        #expect(message { _ = try CLIPTokenizer(folder: "/nonesuch") }.hasPrefix("'/nonesuch' is no model folder"))
    }

    @Test(arguments: ["tokenizer.json", "tokenizer_config.json", "added_tokens.json", "vocab.json", "merges.txt"])
    func filesThatStandForOthers(name: String) throws {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
        #expect(
            try gpt2(slow("gpt2", [name: pointer]))
                == "'F/\(name)' is a git-lfs pointer, not the file itself; fetch the file with `git lfs pull` in its repository, or download it again"
        )
        #expect(
            try open(slow("gpt2", [name: "\n<!DOCTYPE html><html>no</html>"])).hasPrefix(
                "'F/\(name)' is a web page, not the"))
    }

    /// Byte-order marks, CRLF, and U+2028 in a merge.
    @Test func oddTextFiles() throws {
        let mark = "\u{FEFF}"
        let plain = try tokenizer(slow("gpt2")) { try GPT2Tokenizer(folder: $0) }
        let vocabulary = try text("gpt2-tiny/vocab.json").dropLast() + ",\"\u{2028}\":300,\"a\u{2028}\":301}"
        let merges = try text("gpt2-tiny/merges.txt").replacingOccurrences(of: "\n", with: "\r\n")
        let odd = try TemporaryFolder([
            "vocab.json": mark + vocabulary, "merges.txt": mark + merges + "a \u{2028}\r\n",
            "tokenizer_config.json": mark + "{}", "added_tokens.json": mark + "{}",
        ])
        let tokenizer = try GPT2Tokenizer(folder: odd.path)
        #expect(tokenizer.vocabularySize == 302)
        for sample in ["the dog in a bar", "foo <x> é"] { #expect(tokenizer.encode(sample) == plain.encode(sample)) }
    }

    @Test func clipPipelines() throws {
        #expect(
            try edited(#""type":"BPE""#, #""type":"Unigram""#)
                == "'F/tokenizer.json': model type is Unigram, which this tokenizer does not implement; supported: BPE")
        #expect(
            try edited(#"{"type":"NFC"}"#, #"{"type":"NFKC"}"#)
                == "'F/tokenizer.json': normalizer is NFKC, Replace, Lowercase, which this tokenizer does not implement; supported: NFC, Replace, Lowercase in this order"
        )
        #expect(try edited(#"{"type":"NFC"},"#, "").contains("normalizer is Replace, Lowercase, which"))
        #expect(try edited(#""content":" ","#, #""content":"","#).contains("normalizer.normalizers[1].content is \"\""))
        #expect(try edited(#""type":"ByteLevel","use_regex":true}]"#, #""type":"Digits"}]"#).contains("Split, Digits"))
        #expect(
            try edited(#"[\\p{N}]|"#, #"[\\p{N}]+|"#).contains("pre_tokenizer.pretokenizers[0].pattern is an object"))
        #expect(try edited(#""invert":true"#, #""invert":false"#).contains("pretokenizers[0].invert is false"))
        #expect(try edited(#""RobertaProcessing""#, #""Magic""#).contains("post_processor type is Magic"))
        #expect(
            try edited(#""end_of_word_suffix":"</w>""#, #""end_of_word_suffix":"""#).contains(
                "model.end_of_word_suffix is \"\""))
        for (old, new, field) in [
            (#""ignore_merges":false"#, #""ignore_merges":true"#, "model.ignore_merges is true"),
            (#""dropout":null"#, #""dropout":0.1"#, "model.dropout is 0.1"),
            (
                #""continuing_subword_prefix":"""#, #""continuing_subword_prefix":"@@""#,
                "model.continuing_subword_prefix is \"@@\""
            ),
            (#""dropout":null"#, #""dropout":null,"cache_capacity":3"#, "model.cache_capacity is 3"),
            (#""version":"1.0""#, #""version":"1.0","sampler":{}"#, "sampler is an object"),
        ] {
            #expect(try edited(old, new).contains("\(field), which this tokenizer does not implement"), "\(field)")
        }
        // What cannot matter, since every byte has a token, or since rows are made elsewhere.
        for (old, new) in [
            (#""dropout":null"#, #""dropout":0.0"#), (#""fuse_unk":false"#, #""fuse_unk":true"#),
            (#""unk_token":"<|endoftext|>""#, #""unk_token":null"#),
            (
                #""truncation":null"#,
                #""truncation":{"direction":"Right","max_length":77,"strategy":"LongestFirst","stride":0}"#
            ),
        ] {
            #expect(try edited(old, new) == "", "\(new)")
        }
        #expect(
            try edited(#""truncation":null"#, #""truncation":{"direction":"Left","max_length":77}"#)
                == "'F/tokenizer.json': truncation_side is left, which this tokenizer does not implement; supported: right"
        )
        #expect(
            try edited(#"["i","n"]"#, #"["i","nonesuch"]"#).contains("merge 'i nonesuch' needs the token 'nonesuch'"))
    }

    @Test func gpt2Pipelines() throws {
        func edited(_ old: String, _ new: String) throws -> String { try gpt2(whole("gpt2", old, new)) }
        #expect(
            try edited(#""normalizer":null"#, #""normalizer":{"type":"NFC"}"#)
                == "'F/tokenizer.json': normalizer type is NFC, which this tokenizer does not implement; supported: none"
        )
        #expect(
            try edited(#""add_prefix_space":false"#, #""add_prefix_space":true"#).contains(
                "pre_tokenizer.add_prefix_space is true"))
        let special = #""single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence""#
        #expect(
            try edited(#""single":[{"Sequence""#, special).contains("post_processor is one that adds special tokens"))
        #expect(
            try gpt2(["tokenizer.json": text("clip-tiny-json/tokenizer.json")]).contains(
                "model.end_of_word_suffix is \"</w>\""))
    }

    @Test func settings() throws {
        func gpt2(_ settings: String) throws -> String {
            try self.gpt2(slow("gpt2", ["tokenizer_config.json": settings]))
        }
        #expect(
            try gpt2(#"{"add_prefix_space":true}"#)
                == "F/tokenizer_config.json: 'add_prefix_space' is true: a text gets no space before it")
        #expect(try gpt2(#"{"add_bos_token":true}"#).contains("'add_bos_token' is true"))
        #expect(try gpt2(#"{"split_special_tokens":true}"#).contains("'split_special_tokens' is true"))
        #expect(try gpt2(#"{"fast_tokenizer_files":["tokenizer.4.0.json"]}"#).contains("'fast_tokenizer_files' is"))
        #expect(
            try gpt2(
                #"{"clean_up_tokenization_spaces":true,"clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output":true}"#
            ).contains("decoding removes no spaces"))
        // Without the second key transformers leaves the spaces of such a tokenizer alone.
        #expect(try gpt2(#"{"clean_up_tokenization_spaces":true,"add_bos_token":false,"errors":"replace"}"#) == "")
        // tokenizer.json has its own word about tokens around a text.
        var whole = ["tokenizer.json": try text("gpt2-tiny-json/tokenizer.json")]
        whole["tokenizer_config.json"] = #"{"add_bos_token":true}"#
        #expect(try self.gpt2(whole) == "")
        #expect(
            try clip(slow("clip", ["tokenizer_config.json": #"{"padding_side":"left"}"#]))
                == "'F/vocab.json': padding_side is left, which this tokenizer does not implement; supported: right")
    }

    @Test func families() throws {
        func name(_ files: [String: String]) throws -> String {
            "\(type(of: try tokenizer(files) { try TokenizerFolder.open($0) }))"
        }
        #expect(try name(slow("gpt2")) == "GPT2Tokenizer")
        #expect(try name(slow("clip")) == "CLIPTokenizer")
        for model in ["gpt2": "GPT2Tokenizer", "clip": "CLIPTokenizer"] {
            let files = ["tokenizer.json": try text("\(model.key)-tiny-json/tokenizer.json")]
            #expect(try name(files) == model.value)
            for named in [model.value, model.value + "Fast", "PreTrainedTokenizerFast"] {
                let settings = ["tokenizer_config.json": "{\"tokenizer_class\":\"\(named)\"}"]
                #expect(try name(files.merging(settings) { $1 }) == model.value, "\(named)")
            }
            #expect(
                try name(files.merging(["config.json": "{\"tokenizer_class\":\"\(model.value)\"}"]) { $1 })
                    == model.value)
        }
        let roberta = try open(slow("gpt2", ["tokenizer_config.json": #"{"tokenizer_class":"RobertaTokenizerFast"}"#]))
        #expect(
            roberta.hasPrefix(
                "'F' holds a tokenizer of class 'RobertaTokenizer', which is no tokenizer that is read here; known are CLIP BPE, CLIP BPE (open_clip), SentencePiece Unigram (SigLIP), SentencePiece in tokenizer.json (Gemma, Unigram), byte-level BPE (GPT-2)"
            ))
        #expect(
            try open(["tokenizer.json": #"{"model":{"type":"WordPiece","vocab":{}}}"#]).hasPrefix(
                "'F' holds a tokenizer.json with a model of type \"WordPiece\", which"))
        #expect(
            try open(["tokenizer.json": #"{"model":{"type":"Unigram","vocab":[]}}"#]).hasSuffix(
                "'model.vocab' should be a list of pieces with scores, got an array"))
        #expect(try open(["spiece.model": "x"]).hasPrefix("'F' holds a spiece.model, which"))
        #expect(try open([:]).contains("holds neither"))
    }

    @Test func aFamilyOfAProgramsOwn() throws {
        let clip = try CLIPTokenizer(folder: fixture("clip-tiny"))
        let mine = TokenizerFamily(name: "mine", recognises: { $0.has("mine.txt") }, open: { _ in clip })
        TokenizerFolder.families.add(mine)
        let folder = try TemporaryFolder(["mine.txt": ""])
        #expect(try TokenizerFolder.open(folder.path).vocabularySize == clip.vocabularySize)
        #expect(try mine.recognises(ModelFolder(folder.path)))
    }

    @Test func openCLIPFolders() throws {
        func files(_ text: String) throws -> [String: String] {
            try slow(
                "clip",
                [
                    "open_clip_config.json": "{\"model_cfg\":{\"text_cfg\":\(text)}}",
                    "tokenizer_config.json": #"{"tokenizer_class":"CLIPTokenizer","model_max_length":16}"#,
                ])
        }
        let tokenizer = try self.tokenizer(files(#"{"context_length":9}"#)) { try TokenizerFolder.open($0) }
        #expect(tokenizer.contextLength == 9 && tokenizer.paddingID == 0)
        let batch = try tokenizer.encode(["a &amp;amp; b"], truncation: .error)
        let own = try CLIPTokenizer(folder: fixture("clip-tiny"), cleaning: .openAI).encode("a & b").map(Int64.init)
        #expect(batch.ids == [912] + own + [913] + Array(repeating: 0, count: 7 - own.count))
        #expect(
            try open(files(#"{"hf_tokenizer_name":"x/y"}"#))
                == "F/open_clip_config.json: 'model_cfg.text_cfg.hf_tokenizer_name' is \"x/y\": open_clip's own tokenizer alone is read"
        )
        #expect(
            try open(files(#"{"tokenizer_kwargs":{"clean":"canonicalize"}}"#)).contains(
                "'model_cfg.text_cfg.tokenizer_kwargs.clean' is \"canonicalize\""))
        #expect(try open(files(#"{"tokenizer_kwargs":{"clean":"lower"}}"#)) == "")
    }

    @Test func specialTokens() throws {
        let text = try text("clip-tiny-json/tokenizer.json")
        let folder = try TemporaryFolder([
            "tokenizer.json": text, "special_tokens_map.json": #"{"pad_token":{"content":"!"}}"#,
            "tokenizer_config.json": #"{"model_max_length":16,"pad_token":"\""}"#,
        ])
        let tokenizer = try CLIPTokenizer(folder: folder.path)
        #expect(tokenizer.paddingID == 0 && tokenizer.contextLength == 16)
        #expect(try tokenizer.encode([""], truncation: .error).ids == [912, 913] + Array(repeating: 0, count: 14))
        #expect(try CLIPTokenizer(folder: fixture("clip-tiny")).paddingID == 913)
    }

    /// Without a class of its own the file alone says what stands around a text.
    @Test func genericFilesSayWhatStandsAroundAText() throws {
        let generic = ["tokenizer_config.json": #"{"tokenizer_class":"PreTrainedTokenizerFast"}"#]
        func files(_ old: String, _ new: String) throws -> [String: String] {
            try whole("clip", old, new).merging(generic) { $1 }
        }
        let other = try tokenizer(files(#""cls":["<|startoftext|>",912]"#, #""cls":["!",0]"#)) {
            try TokenizerFolder.open($0)
        }
        #expect(other.startID == 0 && other.endID == 913)
        func without(_ part: String) throws -> String {
            let text = try text("clip-tiny-json/tokenizer.json")
            let range = try #require(text.firstRange(of: Regex("\"\(part)\":\\{[^}]*\\}")))
            return try open(
                generic.merging(["tokenizer.json": text.replacingCharacters(in: range, with: "\"\(part)\":null")]) {
                    $1
                })
        }
        #expect(
            try without("post_processor")
                == "'F/tokenizer.json': post_processor is none, which this tokenizer does not implement; supported: one token before and one after a text"
        )
        #expect(try without("decoder").contains("decoder is none"))
    }

    @Test func tooLong() throws {
        let tokenizer = try CLIPTokenizer(folder: fixture("clip-tiny"))
        let text = String(repeating: "9 ", count: 76)
        #expect(
            message { _ = try tokenizer.encode(["a", text], truncation: .error) }
                == "text 1 has 78 tokens, the context holds 77: '\(text.prefix(57))...'; shorten it or ask for truncation"
        )
        let batch = try tokenizer.encode(["a", text], truncation: .truncate)
        #expect(batch.truncatedRows == [1] && batch.row(1).last == 913 && batch.rowCount == 2)
        #expect(throws: TokenizerError.contextTooShort(contextLength: 1, minimum: 2)) {
            try tokenizer.encode(["a"], contextLength: 1, truncation: .truncate)
        }
    }

    /// `model_max_length` cuts although the encoder would hold more, as in transformers; the rows stay as long as asked.
    @Test func theTokenizersOwnLimit() throws {
        let tokenizer = try self.tokenizer(slow("clip", ["tokenizer_config.json": #"{"model_max_length":5}"#])) {
            try CLIPTokenizer(folder: $0)
        }
        let batch = try tokenizer.encode(["9 9 9 9", "9"], contextLength: 7, truncation: .truncate)
        let nine = Int64(tokenizer.encode("9")[0])
        #expect(batch.ids == [912, nine, nine, nine, 913, 913, 913, 912, nine, 913, 913, 913, 913, 913])
        #expect(batch.attentionMask == [1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0])
        #expect(batch.truncatedRows == [0])
    }

    @Test func sidesOfGPT2() throws {
        let settings = #"{"padding_side":"left","truncation_side":"left","pad_token":"!"}"#
        let tokenizer = try self.tokenizer(slow("gpt2", ["tokenizer_config.json": settings])) {
            try GPT2Tokenizer(folder: $0)
        }
        #expect(tokenizer.paddingID == 0 && tokenizer.contextLength == nil)
        let batch = try tokenizer.encode(["abc", "d"], contextLength: 2, truncation: .truncate)
        #expect(batch.ids == [65, 66, 0, 67] && batch.attentionMask == [1, 1, 0, 1])
    }
}
