import Encoders
import StrictJSON
import TestSupport
import Testing
import Torch
import TorchNN

@testable import Adapters

@Suite struct AdapterErrorTests {
    @Test func settings() throws {
        let model = try baseModel()
        func inject(_ configuration: LoRAConfiguration) -> String {
            message { _ = try LoRAAdapter(injectingInto: model, configuration, generator: Generator(seed: 1)) }
        }
        let names = "they are named fc1, fc2, k_proj, out_proj, q_proj, text_projection, v_proj, visual_projection"
        for (configuration, expected) in [
            (LoRAConfiguration(rank: 0), "LoRA setting 'rank' is 0, expected a whole number above 0"),
            (
                LoRAConfiguration(rank: 1_000_000_000),
                "LoRA setting 'rank' is 1000000000, expected at most 30, the larger side of the largest targeted layer"
            ),
            (
                LoRAConfiguration(rank: 31, targets: .names(["q_proj"], prefix: "vision_model")),
                "LoRA setting 'rank' is 31, expected at most 30, the larger side of the largest targeted layer"
            ),
            (LoRAConfiguration(alpha: -1), "LoRA setting 'alpha' is -1.0, expected a number of at least 0"),
            (LoRAConfiguration(alpha: .nan), "LoRA setting 'alpha' is nan, expected a number of at least 0"),
            (LoRAConfiguration(alpha: 0), "LoRA setting 'alpha' is 0.0, expected a number above 0"),
            (LoRAConfiguration(dropout: 1), "LoRA setting 'dropout' is 1.0, expected a number in [0, 1)"),
            (
                LoRAConfiguration(dropout: 0.5),
                "LoRA setting 'dropout' is 0.5, expected 0, or a generator for its masks"
            ),
            (
                LoRAConfiguration(targets: .names([], prefix: nil)),
                "LoRA setting 'target modules' is [], expected at least one name, none of them empty"
            ),
            (
                LoRAConfiguration(targets: .pattern("(q_proj")),
                "'(q_proj' is no regular expression that can be used: a '(' is not closed at position 7"
            ),
            (
                LoRAConfiguration(targets: .names(["in_proj", "qkv"], prefix: "vision_model")),
                "no linear layer of CLIPModel matches the target modules [in_proj, qkv] below 'vision_model'; \(names)"
            ),
            (
                LoRAConfiguration(targets: .pattern("visual.*tower")),
                "no linear layer of CLIPModel matches the target modules the pattern 'visual.*tower'; \(names)"
            ),
            (
                LoRAConfiguration(targets: .names(["self_attn"], prefix: nil)),
                "target module 'text_model.encoder.layers.0.self_attn' is a CLIPAttention; only linear layers,"
                    + " convolutions and embeddings take a LoRA update"
            ),
            (
                LoRAConfiguration(targets: .names(["q_proj", "patch_embedding"], prefix: "vision_model")),
                "target module 'vision_model.embeddings.patch_embedding' is a Conv2d; only linear layers take a LoRA update"
            ),
        ] {
            #expect(inject(configuration) == expected)
        }
        var dora = LoRAConfiguration()
        dora.usesDoRA = true
        #expect(
            inject(dora)
                == "LoRA setting 'adapter' is DoRA's magnitudes (use_dora), expected what is trained here")
        // None of these attempts has changed anything.
        #expect(!model.namedModules().contains { $0.module is any LowRankLayer })
        #expect(inject(LoRAConfiguration(rank: 30)) == "")
        #expect(
            inject(LoRAConfiguration())
                == "module 'vision_model.encoder.layers.0.self_attn.k_proj' has an adapter already; merge or remove it first"
        )
    }

    @Test func adapterOfAnotherModel() throws {
        let folder = try TemporaryFolder()
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
        try adapter.save(to: folder.path)
        let model = try baseModel()
        let before = bits(of: model)
        let got = message { _ = try LoRAAdapter(loadingInto: model, folder: folder.path) }
        let stem = "base_model.model.vision_model.encoder.layers"
        #expect(
            got == """
                adapter '\(folder.path)/adapter_model.safetensors' does not fit the model:
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
        #expect(bits(of: model) == before)
        #expect(!model.namedModules().contains { $0.module is any LowRankLayer })
    }

    /// Every difference between the settings and the tensors, in one error.
    @Test func settingsThatDoNotExplainTheTensors() throws {
        let copy = try AdapterCopy("peft-everything")
        try copy.set("rank_pattern", "{}")
        try copy.set("modules_to_save", "null")
        try copy.set("bias", #""none""#)
        try copy.rewrite { tensors in
            let key = "base_model.model.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight"
            tensors[key] = tensors[key]!.to(.int64)
            tensors["base_model.model.text_model.encoder.layers.0.self_attn.q_proj.lora_magnitude_vector"] = nil
            tensors["extra"] = .zeros([3, 2])
        }
        let got = message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: copy.path) }
        let (text, vision) = ["text_model", "vision_model"].map { "base_model.model.\($0).encoder.layers.0" }.pair
        #expect(
            got == """
                adapter '\(copy.path)/adapter_model.safetensors' does not fit the model:
                  missing from the file (1):
                    \(text).self_attn.q_proj.lora_magnitude_vector [16]
                  in the file, not in the adapted model (6):
                    \(text).mlp.fc1.base_layer.bias [20]
                    \(text).self_attn.q_proj.base_layer.bias [16]
                    base_model.model.text_projection.weight [14, 16]
                    \(vision).mlp.fc1.base_layer.bias [44]
                    \(vision).self_attn.q_proj.base_layer.bias [30]
                    extra [3, 2]
                  of another shape (4):
                    key '\(text).mlp.fc1.lora_A.weight' has shape [2, 16], model expects [3, 16] (r = 3 in adapter_config.json)
                    key '\(text).mlp.fc1.lora_B.weight' has shape [20, 2], model expects [20, 3] (r = 3 in adapter_config.json)
                    key '\(vision).mlp.fc1.lora_A.weight' has shape [2, 30], model expects [3, 30] (r = 3 in adapter_config.json)
                    key '\(vision).mlp.fc1.lora_B.weight' has shape [44, 2], model expects [44, 3] (r = 3 in adapter_config.json)
                  not of floating-point numbers (1):
                    \(text).self_attn.q_proj.lora_A.weight int64
                  was it trained on another model, or do target_modules differ?
                """)
    }

    @Test func adaptersThatAreBroken() throws {
        let copy = try AdapterCopy("peft-layers")
        let key = "base_model.model.vision_model.encoder.layers.1.mlp.fc1.lora_B.weight"
        try copy.rewrite { $0[key] = $0[key]! * Double.infinity }
        #expect(
            message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: copy.path) }
                == "\(copy.path)/adapter_model.safetensors: tensor '\(key)' holds values that are not finite numbers;"
                + " the adapter is broken")
    }

    @Test func folders() throws {
        let folder = try TemporaryFolder()
        func got() -> String { message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: folder.path) } }
        let expected =
            "is not in it; expected the folder that PEFT's save_pretrained or an alignment run wrote"
        #expect(got() == "'\(folder.path)' is no adapter folder: adapter_config.json \(expected)")
        try folder.write("{}", to: "adapter_config.json")
        #expect(got() == "'\(folder.path)' is no adapter folder: adapter_model.safetensors \(expected)")
    }

    static let good: [(String, String)] = [
        ("peft_type", #""LORA""#), ("r", "4"), ("lora_alpha", "8"), ("target_modules", #"["q_proj"]"#),
    ]

    private func read(_ members: [(String, String)]) throws -> String {
        let folder = try TemporaryFolder()
        let text = "{" + members.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ", ") + "}"
        let path = try folder.write(text, to: "adapter_config.json")
        let got = message { _ = try LoRAConfiguration(peft: path) }
        return got.hasPrefix(path + ": ") ? String(got.dropFirst(path.count + 2)) : got
    }

    @Test(arguments: [
        ("target_parameters", #"["mlp.weight"]"#, #"'target_parameters' is ["mlp.weight"], which is not supported:"#),
        ("trainable_token_indices", "[1, 2]", "'trainable_token_indices' is [1, 2], which is not supported:"),
        ("layer_replication", "[[0, 4], [2, 5]]", "'layer_replication' is [[0, 4], [2, 5]], which is not supported:"),
        ("alora_invocation_tokens", "[5]", "'alora_invocation_tokens' is [5], which is not supported:"),
        ("use_qalora", "true", "'use_qalora' is true, which is not supported:"),
        ("use_bdlora", #"{"nblocks": 2}"#, #"'use_bdlora' is {"nblocks": 2}, which is not supported:"#),
        ("kasa_config", #"{"beta": 1}"#, #"'kasa_config' is {"beta": 1}, which is not supported: it truncates"#),
        ("arrow_config", #"{"top_k": 1}"#, #"'arrow_config' is {"top_k": 1}, which is not supported:"#),
        ("velora_config", #"{"scale": 1}"#, #"'velora_config' is {"scale": 1}, which is not supported:"#),
        ("monteclora_config", #"{"buffer_size": 1}"#, #"'monteclora_config' is {"buffer_size": 1}, which is not"#),
        ("megatron_config", #"{"a": 1}"#, #"'megatron_config' is {"a": 1}, which is not supported:"#),
        ("ensure_weight_tying", "true", "'ensure_weight_tying' is true, which is not supported:"),
        ("init_lora_weights", #""pissa""#, #"'init_lora_weights' is "pissa", which is not supported: it takes"#),
        (
            "init_lora_weights", #""pissa_niter_16""#,
            #"'init_lora_weights' is "pissa_niter_16", which is not supported:"#
        ),
        ("init_lora_weights", #""olora""#, #"'init_lora_weights' is "olora", which is not supported:"#),
        ("init_lora_weights", #""corda""#, #"'init_lora_weights' is "corda", which is not supported:"#),
        ("init_lora_weights", #""loftq""#, #"'init_lora_weights' is "loftq", which is not supported:"#),
        ("init_lora_weights", #""lora_ga""#, #"'init_lora_weights' is "lora_ga", which is not supported:"#),
        ("a_setting_of_tomorrow", "3", "'a_setting_of_tomorrow' is 3, which is not supported: it is not known here;"),
        ("peft_type", #""IA3""#, #"'peft_type' is "IA3", which is not supported: only LORA is computed here; merge"#),
        ("peft_type", #""LOHA""#, #"'peft_type' is "LOHA", which is not supported: only LORA"#),
        ("peft_type", "null", #"'peft_type' is null, expected "LORA""#),
        ("r", "0", "'r' is 0, expected a whole number of at least 1"),
        ("r", "-4", "'r' is -4, expected a whole number of at least 1"),
        ("r", "4.5", "'r' is 4.5, expected a whole number of at least 1"),
        ("r", "99999999999999999999", "'r' is 99999999999999999999, expected a whole number of at least 1"),
        ("lora_alpha", "null", "'lora_alpha' is null, expected a number of at least 0"),
        ("lora_alpha", "-8", "'lora_alpha' is -8, expected a number of at least 0"),
        ("lora_alpha", "1e999", "'lora_alpha' is 1e999, expected a number of at least 0"),
        ("lora_dropout", "1.5", "'lora_dropout' is 1.5, expected a number from 0 up to but not including 1"),
        ("use_rslora", #""yes""#, #"'use_rslora' is "yes", expected true or false"#),
        ("use_dora", "1", "'use_dora' is 1, expected true or false"),
        ("bias", #""some""#, #"'bias' is "some", expected one of "none", "all", "lora_only""#),
        ("rank_pattern", #"{"q_proj": 0}"#, "'rank_pattern.q_proj' is 0, expected a whole number of at least 1"),
        ("rank_pattern", "[8]", "'rank_pattern' is an array, expected an object"),
        (
            "rank_pattern", #"{"(q": 2}"#,
            "'(.*\\.)?((q)$' is no regular expression that can be used: a '(' is not closed"
        ),
        ("alpha_pattern", #"{"q_proj": -1}"#, "'alpha_pattern.q_proj' is -1, expected a number of at least 0"),
        ("alpha_pattern", #"{"q_proj": null}"#, "'alpha_pattern.q_proj' is null, expected a number of at least 0"),
        ("exclude_modules", "7", "'exclude_modules' is 7, expected a list of names or a regular expression"),
        ("layers_to_transform", #""1""#, #"'layers_to_transform' is "1", expected a layer's index, or a list of them"#),
        (
            "layers_pattern", #""h""#,
            "'layers_to_transform' is absent, expected the layers that 'layers_pattern' goes with"
        ),
        ("modules_to_save", #""head""#, #"'modules_to_save' is "head", expected an array of strings"#),
        ("modules_to_save", #"[""]"#, "'modules_to_save' is an array, expected names, none of them empty"),
        ("target_modules", "null", "'target_modules' is null, expected a list of names or a regular expression"),
        ("target_modules", "[]", "'target_modules' is an array, expected a list of names or a regular expression"),
        ("target_modules", "[1]", "'target_modules' is an array, expected a list of names or a regular expression"),
        ("target_modules", #""(a""#, "'(a' is no regular expression that can be used: a '(' is not closed"),
    ])
    func configurations(key: String, value: String, expected: String) throws {
        let got = try read(Self.good.filter { $0.0 != key } + [(key, value)])
        #expect(got.hasPrefix(expected), "\(got)")
    }

    @Test func everySettingThatIsNotSupportedIsNamed() throws {
        let got = try read(
            Self.good + [("use_qalora", "true"), ("init_lora_weights", #""olora""#), ("tomorrow", "{\"a\": 1}")])
        #expect(
            got == """
                3 settings are not supported:
                  'init_lora_weights' is "olora": it takes something out of the base weights, and the file does not say what; save the adapter with path_initial_model_for_weight_conversion
                  'use_qalora' is true: quantised groups are not computed
                  'tomorrow' is {"a": 1}: it is not known here
                  merge the adapter in PEFT (merge_and_unload) and load the merged model instead
                """)
    }

    @Test func layersDoNotGoWithAnExpression() throws {
        let got = try read(
            Self.good.filter { $0.0 != "target_modules" }
                + [("target_modules", #"".*q_proj""#), ("layers_to_transform", "[1]")])
        #expect(got == "'layers_to_transform' is an array, expected null, as 'target_modules' is an expression")
    }

    @Test func goodConfigurationsAreRead() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            #"""
            {"peft_type": "LORA", "r": 4, "lora_alpha": 8.5, "target_modules": ["q_proj"], "use_dora": false,
             "exclude_modules": "text.*", "layers_to_transform": 3, "layers_pattern": "h", "bias": "lora_only",
             "rank_pattern": {"b": 2, "a": 3}, "alpha_pattern": {"b": 0}, "modules_to_save": ["head"], "lora_bias": true,
             "target_parameters": [], "loftq_config": {"loftq_bits": 4}, "init_lora_weights": "gaussian",
             "corda_config": {"verbose": false}, "merge_weights": false, "enable_lora": null, "peft_version": "1.0"}
            """#, to: "adapter_config.json")
        var expected = LoRAConfiguration(rank: 4, alpha: 8.5, targets: .names(["q_proj"], prefix: nil))
        expected.exclusions = .pattern("text.*")
        expected.layers = LoRALayerChoice([3], stacks: ["h"])
        expected.bias = .updated
        expected.rankPattern = [.init("b", 2), .init("a", 3)]
        expected.alphaPattern = [.init("b", 0)]
        expected.savedModules = ["head"]
        expected.hasUpdateBias = true
        let read = try LoRAConfiguration(peft: path)
        #expect(read == expected)
        try folder.write("[]", to: "adapter_config.json")
        #expect(message { _ = try LoRAConfiguration(peft: path) } == "\(path): is no JSON object but an array")
        #expect(
            message { _ = try LoRAConfiguration(peft: folder("nothing")) }.hasPrefix("\(folder("nothing"))")
                || message { _ = try LoRAConfiguration(peft: folder("nothing")) }.contains(folder("nothing")))
    }
}

extension [String] {
    fileprivate var pair: (String, String) { (self[0], self[1]) }
}
