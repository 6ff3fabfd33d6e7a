import Encoders
import Foundation
import Testing
import Torch
import TorchNN

@testable import Adapters

@Suite struct AdapterErrorTests {
    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func settings() throws {
        let model = try baseModel()
        func inject(_ configuration: LoRAConfiguration) -> String {
            message { _ = try LoRAAdapter(injectingInto: model, configuration, generator: Generator(seed: 1)) }
        }
        #expect(inject(LoRAConfiguration(rank: 0)) == "LoRA setting 'rank' is 0, expected a whole number above 0")
        #expect(inject(LoRAConfiguration(dropout: 1)) == "LoRA setting 'dropout' is 1.0, expected a number in [0, 1)")
        #expect(
            inject(LoRAConfiguration(dropout: 0.5))
                == "LoRA setting 'dropout' is 0.5, expected 0, or a generator for its masks")
        #expect(
            inject(LoRAConfiguration(targets: .names([], prefix: nil)))
                == "LoRA setting 'target modules' is [], expected at least one name, none of them empty")
        #expect(
            inject(LoRAConfiguration(targets: .pattern("(q_proj"))).hasPrefix(
                "target modules '(q_proj' is no regular expression: "))
        #expect(
            inject(LoRAConfiguration(targets: .names(["in_proj", "qkv"], prefix: "vision_model")))
                == "no linear layer of CLIPModel matches the target modules [in_proj, qkv] below 'vision_model'; they are"
                + " named fc1, fc2, k_proj, out_proj, q_proj, text_projection, v_proj, visual_projection")
        #expect(
            inject(LoRAConfiguration(targets: .pattern("visual.*tower")))
                == "no linear layer of CLIPModel matches the target modules the pattern 'visual.*tower'; they are"
                + " named fc1, fc2, k_proj, out_proj, q_proj, text_projection, v_proj, visual_projection")
        #expect(
            inject(LoRAConfiguration(targets: .names(["self_attn"], prefix: nil)))
                == "target module 'text_model.encoder.layers.0.self_attn' is a CLIPAttention; only linear layers take a LoRA update"
        )
        // Nothing was changed by all that.
        #expect(!model.namedModules().contains { $0.module is LoRALinear })
        #expect(inject(LoRAConfiguration()) == "no error")
        #expect(
            inject(LoRAConfiguration())
                == "module 'vision_model.encoder.layers.0.self_attn.k_proj' has an adapter already; merge or remove it first"
        )
    }

    @Test func adapterOfAnotherModel() throws {
        try withTemporaryFolder { folder in
            // The layers of a wider model with three blocks.
            var configuration = CLIPConfiguration()
            configuration.text = try baseModel().configuration.text
            configuration.vision = try baseModel().configuration.vision
            configuration.vision.hiddenSize = 36
            configuration.vision.layerCount = 3
            let other = CLIPModel(configuration)
            let adapter = try LoRAAdapter(
                injectingInto: other, LoRAConfiguration(targets: .names(["q_proj"], prefix: "vision_model")),
                generator: Generator(seed: 1))
            try adapter.save(to: folder)
            let model = try baseModel()
            let got = message { _ = try LoRAAdapter(loadingInto: model, folder: folder) }
            let stem = "base_model.model.vision_model.encoder.layers"
            #expect(
                got == """
                    adapter '\(folder)/adapter_model.safetensors' does not fit the model:
                      in the file, not in the adapted model (2):
                        \(stem).2.self_attn.q_proj.lora_A.weight [4, 36]
                        \(stem).2.self_attn.q_proj.lora_B.weight [36, 4]
                      of another shape (4):
                        key '\(stem).0.self_attn.q_proj.lora_A.weight' has shape [4, 36], model expects [4, 30] (r = 4 in adapter_config.json)
                        key '\(stem).0.self_attn.q_proj.lora_B.weight' has shape [36, 4], model expects [30, 4] (r = 4 in adapter_config.json)
                        key '\(stem).1.self_attn.q_proj.lora_A.weight' has shape [4, 36], model expects [4, 30] (r = 4 in adapter_config.json)
                        key '\(stem).1.self_attn.q_proj.lora_B.weight' has shape [36, 4], model expects [30, 4] (r = 4 in adapter_config.json)
                      was it trained on another model, or do target_modules differ?
                    """)
            #expect(!model.namedModules().contains { $0.module is LoRALinear })
        }
    }

    @Test func missingTensors() throws {
        try withTemporaryFolder { folder in
            let adapter = try LoRAAdapter(
                injectingInto: baseModel(), LoRAConfiguration(targets: .names(["fc1"], prefix: "vision_model")),
                generator: Generator(seed: 1))
            try adapter.save(to: folder)
            let path = "\(folder)/adapter_model.safetensors"
            try Weights.save(Array(adapter.stateTensors.dropLast()), to: path)
            let got = message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: folder) }
            #expect(
                got == """
                    adapter '\(path)' does not fit the model:
                      missing from the file (1):
                        base_model.model.vision_model.encoder.layers.1.mlp.fc1.lora_B.weight [44, 4]
                      was it trained on another model, or do target_modules differ?
                    """)
        }
    }

    @Test func folders() throws {
        try withTemporaryFolder { folder in
            let got = message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: folder) }
            #expect(
                got
                    == "'\(folder)' is no adapter folder: adapter_config.json is not in it; expected the folder that PEFT's"
                    + " save_pretrained or an alignment run wrote")
        }
    }

    static let good: [(String, String)] = [
        ("peft_type", #""LORA""#), ("r", "4"), ("lora_alpha", "8"), ("target_modules", #"["q_proj"]"#),
    ]

    @Test(arguments: [
        ("use_dora", "true", "'use_dora' is true, which changes"),
        ("modules_to_save", #"["head"]"#, #"'modules_to_save' is ["head"], which changes"#),
        ("rank_pattern", #"{"q_proj": 8}"#, #"'rank_pattern' is {"q_proj": 8}, which changes"#),
        ("alpha_pattern", #"{"q_proj": 8}"#, #"'alpha_pattern' is {"q_proj": 8}, which changes"#),
        ("fan_in_fan_out", "true", "'fan_in_fan_out' is true, which changes"),
        ("bias", #""all""#, #"'bias' is "all", which changes"#),
        ("lora_bias", "true", "'lora_bias' is true, which changes"),
        ("layers_to_transform", "[1, 2]", "'layers_to_transform' is [1, 2], which changes"),
        ("exclude_modules", #"["out_proj"]"#, #"'exclude_modules' is ["out_proj"], which changes"#),
        ("init_lora_weights", #""pissa""#, #"'init_lora_weights' is "pissa", which changes"#),
        ("a_setting_of_tomorrow", "3", "'a_setting_of_tomorrow' is 3, which changes"),
        ("target_modules", #""all-linear""#, #"'target_modules' is "all-linear", which changes"#),
        ("peft_type", #""IA3""#, #"'peft_type' is "IA3", expected "LORA""#),
        ("r", "0", "'r' is 0, expected a whole number above 0"),
        ("r", "4.5", "'r' is 4.5, expected a whole number above 0"),
        ("lora_alpha", "null", "'lora_alpha' is null, expected a number"),
        ("lora_dropout", "1.5", "'lora_dropout' is 1.5, expected a number in [0, 1)"),
        ("use_rslora", #""yes""#, #"'use_rslora' is "yes", expected true or false"#),
        ("target_modules", "null", "'target_modules' is null, expected a list of names or a regular expression"),
        ("target_modules", "[1]", "'target_modules' is [1], expected a list of names or a regular expression"),
    ])
    func configurations(key: String, value: String, expected: String) throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/adapter_config.json"
            let members = Self.good.filter { $0.0 != key } + [(key, value)]
            let text = "{" + members.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ", ") + "}"
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            let got = message { _ = try LoRAConfiguration(peft: path) }
            #expect(got.hasPrefix("\(path): \(expected)"), "\(got)")
        }
    }

    @Test func goodConfigurationIsRead() throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/adapter_config.json"
            let text = "{" + Self.good.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ", ") + ", \"use_dora\": false}"
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            let expected = LoRAConfiguration(rank: 4, alpha: 8, targets: .names(["q_proj"], prefix: nil))
            let read = try LoRAConfiguration(peft: path)
            #expect(read == expected)
            try "[]".write(toFile: path, atomically: true, encoding: .utf8)
            let got = message { _ = try LoRAConfiguration(peft: path) }
            #expect(got == "\(path): is no JSON object but an array")
        }
    }
}
