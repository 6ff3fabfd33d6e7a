import Foundation
import Testing
import Torch
import TorchNN

@testable import LanguageModels

@Suite struct MessageTests {
    /// The message of what `body` throws, the folder's path written as FOLDER.
    private func message(_ folder: String = "FOLDER", _ body: () throws -> Void) -> String {
        do {
            try body()
            return "nothing was thrown"
        } catch {
            return "\(error)".replacingOccurrences(of: folder, with: "FOLDER")
        }
    }

    @Test(arguments: [
        ("n_embd", "31", "FOLDER/config.json: 'n_embd' is 31, expected a multiple of n_head (5)"),
        ("n_layer", "0", "FOLDER/config.json: 'n_layer' is 0, expected a whole number from 1 to 10000"),
        (
            "n_positions", "\"64\"",
            "FOLDER/config.json: 'n_positions' is \"64\", expected a whole number from 1 to 10000000"
        ),
        (
            "activation_function", "\"mish\"",
            "FOLDER/config.json: 'activation_function' is \"mish\", expected one of \"gelu\", \"quick_gelu\", \"gelu_new\", \"gelu_pytorch_tanh\", \"relu\", \"silu\""
        ),
        (
            "resid_pdrop", "1.0",
            "FOLDER/config.json: 'resid_pdrop' is 1.0, expected a number from 0 up to but not including 1"
        ),
        ("layer_norm_epsilon", "0", "FOLDER/config.json: 'layer_norm_epsilon' is 0, expected a number above 0"),
        ("model_type", "\"llama\"", "FOLDER/config.json: 'model_type' is \"llama\", expected \"gpt2\""),
        (
            "position_embedding_type", "\"rotary\"",
            "FOLDER/config.json: 'position_embedding_type' is \"rotary\": this setting is not known here, and it may change what the model computes; take it out only if it does not"
        ),
        (
            "eos_token_id", "[1, \"2\"]",
            "FOLDER/config.json: 'eos_token_id' is an array, expected a token id or an array of them"
        ),
        ("tie_word_embeddings", "1", "FOLDER/config.json: 'tie_word_embeddings' is 1, expected true or false"),
        (
            "add_cross_attention", "true",
            "FOLDER/config.json: 'add_cross_attention' is true: only false is implemented"
        ),
    ])
    func configurations(key: String, value: String, expected: String) throws {
        try withTemporaryFolder { folder in
            var settings = ["n_embd": "30", "n_head": "5"]
            settings[key] = value
            try write(
                "{" + settings.map { "\"\($0)\": \($1)" }.joined(separator: ", ") + "}", to: "\(folder)/config.json")
            #expect(message(folder) { _ = try GPT2Configuration(folder: folder) } == expected)
        }
    }

    @Test func folders() throws {
        try withTemporaryFolder { folder in
            func failure() -> String { message(folder) { _ = try LanguageModelFolder.open(folder) } }
            let text =
                "'FOLDER' is no model folder: %@ expected in it; give the folder that holds the weights and their configuration"
            #expect(failure() == String(format: text, "config.json"))
            #expect(
                message(folder) { _ = try LanguageModelFolder.open("\(folder)/none") }
                    == "'FOLDER/none' is no model folder: there is nothing; give the folder that holds the weights and their configuration"
            )
            try write("[]", to: "\(folder)/config.json")
            #expect(failure() == "FOLDER/config.json: is no JSON object but an array")
            try write("{\"n_layer\": 1,}", to: "\(folder)/config.json")
            #expect(failure().hasPrefix("FOLDER/config.json: is no JSON: "))
            try write("{\"model_type\": \"opt\"}", to: "\(folder)/config.json")
            #expect(
                failure()
                    == "'FOLDER' holds a model of type 'opt', which is no language model that is read here; known are GPT-2"
            )
            // As before model types were written.
            try write("{\"n_embd\": 24}", to: "\(folder)/config.json")
            #expect(
                failure()
                    == String(format: text, "model.safetensors or pytorch_model.bin, or an index of its shards"))
        }
    }

    @Test func weights() throws {
        let model = try GPT2LanguageModel(folder: fixture("tiny"))
        let before = model.decoder.tokens.weight
        func failure(_ change: (inout [String: Weights.Entry]) -> Void) throws -> String {
            var weights = try Weights(path: fixture("tiny/model.safetensors"))
            change(&weights.entries)
            let made = Weights(source: "FILE", entries: weights.entries)
            return message { try model.loadGPT2(made) }
        }
        let other = Weights.Entry(shape: [101, 31], dtype: .float32) { .zeros([101, 31]) }
        let text = try failure { entries in
            entries["transformer.h.1.attn.c_attn.weight"] = nil
            entries["transformer.wte.weight"] = other
            entries["transformer.h.3.ln_1.weight"] = other
            entries["transformer.h.0.attn.bias"] = other
        }
        #expect(
            text.hasPrefix(
                """
                FILE does not fit GPT2LanguageModel:
                  missing from the file (1):
                    transformer.h.1.attn.c_attn.weight [30, 90]
                  in the file, not in the model (1):
                    transformer.h.3.ln_1.weight
                  of another shape (1):
                    transformer.wte.weight: model expects [101, 30], file has [101, 31]
                """), "\(text)")
        #expect(model.decoder.tokens.weight === before)
        // A tied head is a copy of the embedding and left aside; one of another shape is not.
        #expect(
            try failure { $0["lm_head.weight"] = $0["transformer.wte.weight"] } == "nothing was thrown")
        #expect(try failure { $0["lm_head.weight"] = other }.contains("    lm_head.weight"))
        #expect(
            try failure { $0 = ["model.embed_tokens.weight": other] }
                == "FILE: the tensor names are of no known layout; expected GPT-2's (transformer.wte.weight, transformer.h.0.attn.c_attn.weight, … or the same without 'transformer.')"
        )
    }

    @Test func requests() throws {
        let model = try GPT2LanguageModel(folder: fixture("tiny"))
        func failure(
            _ prompt: Prompt, _ settings: GenerationSettings, draws: UniformDraws? = nil,
            onToken: ((StreamedToken) -> StreamingDecision)? = nil
        ) -> String {
            message { _ = try model.generate([prompt], settings, draws: draws, onToken: onToken) }
        }
        let plain = GenerationSettings(maximumNewTokens: 5)
        let table: [(String, String)] = [
            (
                failure(Prompt(tokens: Array(repeating: 1, count: 61)), plain),
                "prompt 0 has 61 positions and 5 new tokens were asked for, the model's context holds 64; shorten the prompt or ask for at most 4 tokens"
            ),
            (
                failure(Prompt(prefix: .zeros([70, 30])), plain),
                "prompt 0 has 70 positions and 5 new tokens were asked for, the model's context holds 64; shorten the prompt or ask for at most 0 tokens"
            ),
            (
                failure(Prompt(tokens: [3, 101]), plain),
                "prompt 0: token 1 has id 101, the model's vocabulary has ids 0 to 100; use the tokenizer files that belong to the model"
            ),
            (
                failure(Prompt(), plain),
                "prompt 0 has neither prefix embeddings nor tokens; begin with the end-of-text token to generate from nothing"
            ),
            (
                failure(Prompt(prefix: .zeros([2, 31])), plain),
                "prompt 0: the prefix embeddings have shape [2, 31], expected [length, 30]"
            ),
            (
                failure(Prompt(tokens: [1]), GenerationSettings(maximumNewTokens: 0)),
                "generation setting 'maximumNewTokens' is 0, expected at least 1"
            ),
            (
                failure(Prompt(tokens: [1]), GenerationSettings(maximumNewTokens: 4, minimumNewTokens: 5)),
                "generation setting 'minimumNewTokens' is 5, expected 0 to maximumNewTokens (4)"
            ),
            (
                failure(Prompt(tokens: [1]), GenerationSettings(maximumNewTokens: 4, stopTokens: [101])),
                "generation setting 'stopTokens' is 101, expected ids from 0 to 100"
            ),
            (
                failure(Prompt(tokens: [1]), GenerationSettings(maximumNewTokens: 4, stopStrings: [""])),
                "generation setting 'stopStrings' is \"\", expected texts that are not empty"
            ),
            (
                failure(Prompt(tokens: [1]), GenerationSettings(maximumNewTokens: 4, stopStrings: ["."])),
                "stop strings [\".\"] were given without a tokenizer; pass the bytes of its tokens (GPT2Tokenizer.bytes(of:))"
            ),
            (
                failure(Prompt(tokens: [1]), GenerationSettings(.sampling(.init(temperature: 0)), maximumNewTokens: 4)),
                "generation setting 'temperature' is 0.0, expected a number above 0"
            ),
            (
                failure(Prompt(tokens: [1]), GenerationSettings(.sampling(.init(topP: 1.1)), maximumNewTokens: 4)),
                "generation setting 'topP' is 1.1, expected above 0 and at most 1"
            ),
            (
                failure(Prompt(tokens: [1]), GenerationSettings(.sampling(.init(topK: 0)), maximumNewTokens: 4)),
                "generation setting 'topK' is 0, expected at least 1"
            ),
            (
                failure(Prompt(tokens: [1]), GenerationSettings(.sampling(.init()), maximumNewTokens: 4)),
                "generation setting 'draws' is none, expected uniform draws for sampling"
            ),
            (
                failure(
                    Prompt(tokens: [1]), GenerationSettings(.sampling(.init(sequenceCount: 2)), maximumNewTokens: 4),
                    draws: UniformDraws([[0.1, 0.2, 0.3, 0.4], [0.5]])),
                "sequence 1 needs up to 4 uniform numbers, 1 were given"
            ),
            (
                failure(Prompt(tokens: [1]), GenerationSettings(.beams(.init(beamCount: 51)), maximumNewTokens: 4)),
                "generation setting 'beamCount' is 51, expected so few that its 102 candidates fit the vocabulary of 101"
            ),
            (
                failure(
                    Prompt(tokens: [1]),
                    GenerationSettings(.beams(.init(beamCount: 3, sequenceCount: 4)), maximumNewTokens: 4)),
                "generation setting 'sequenceCount' is 4, expected 1 to beamCount (3)"
            ),
            (
                failure(
                    Prompt(tokens: [1]), GenerationSettings(.beams(.init()), maximumNewTokens: 4),
                    onToken: { _ in .more }),
                "tokens cannot be streamed from a search over 5 beams, which knows them only at its end; stream with greedy or sampled generation"
            ),
            (
                message { try model.requireVocabulary(of: 102) },
                "the tokenizer has 102 tokens, the language model embeds 101; use the tokenizer files that belong to the model"
            ),
        ]
        for (got, expected) in table { #expect(got == expected) }
        #expect(throws: Never.self) { try model.requireVocabulary(of: 101) }
        // As many as fit, and not one more.
        #expect(
            try model.generate(
                [Prompt(tokens: Array(repeating: 1, count: 61))], GenerationSettings(maximumNewTokens: 4))[0][0]
                .tokens.count == 4)
        #expect(try model.generate([], plain).isEmpty)
    }
}
