import Encoders
import Files
import Foundation
import LanguageModels
import TestSupport
import Testing
import Torch
import TorchNN

@testable import Adapters

// Adapters written by PEFT (Fixtures/make_adapter_fixtures.py), and ours read back.

/// float32 against float32 with another order of summation.
private let tolerance = 1e-5

@Suite struct PEFTTests {
    /// What PEFT computes with an adapter, and every tensor that its `merge_and_unload` leaves behind.
    @Test(arguments: [
        ("peft-pattern", "LoRA of rank 4: 8 updates in vision_model"),
        ("peft-list", "LoRA of rank 3: 3 updates in text_model, 6 updates in vision_model"),
        ("peft-rslora", "rank-stabilised LoRA of rank 5: 8 updates in vision_model"),
        (
            "peft-dora",
            "DoRA of rank 3: 2 updates in text_model, 4 updates in vision_model, 1 update in visual_projection"
        ),
        ("peft-patterns", "rank-stabilised LoRA of ranks 2 to 5: 6 updates in vision_model"),
        ("peft-layers", "LoRA of rank 2: 2 updates in vision_model"),
        ("peft-lookbehind", "LoRA of rank 2: 2 updates in vision_model"),
        (
            "peft-bias-all",
            "LoRA of rank 2: 1 update and 9 biases in text_model, 2 updates and 17 biases and 1 whole module in"
                + " vision_model, 1 whole module in visual_projection"
        ),
        (
            "peft-bias-own",
            "LoRA of rank 2: 2 updates and 2 biases in text_model, 4 updates and 4 biases in vision_model"
        ),
        ("peft-tables", "LoRA of rank 2: 2 updates in text_model, 2 updates in vision_model"),
        ("peft-tables-dora", "DoRA of rank 4: 2 updates in text_model, 2 updates in vision_model"),
        ("peft-vision", "LoRA of rank 2: 12 updates in vision_model"),
        ("peft-vision-projection", "LoRA of rank 2: 2 updates in vision_model, 1 update in visual_projection"),
        ("peft-text", "LoRA of rank 2: 2 updates in text_model"),
        ("peft-bin", "LoRA of rank 2: 2 updates in vision_model"),
        (
            "peft-everything",
            "rank-stabilised DoRA of ranks 2 to 3: 2 updates and 2 biases in text_model, 2 updates and 2 biases in"
                + " vision_model, 1 whole module in text_projection"
        ),
    ])
    func adaptersOfPEFTGiveItsEmbeddings(name: String, summary: String) throws {
        let model = try baseModel()
        let before = bits(of: model)
        let ids = try given("input_ids")
        let images = try pixels()
        func outputs() -> [Tensor] { withoutGradients { [model.imageFeatures(images), model.textFeatures(ids)] } }
        let base = outputs()
        let adapter = try LoRAAdapter(loadingInto: model, folder: fixture(name))
        #expect(adapter.summary.description == summary)
        #expect(!model.namedParameters().contains { $0.tensor.requiresGrad })

        let adapted = outputs()
        let expected = try [given("image_embeds", of: name), given("text_embeds", of: name)]
        for (got, wanted) in zip(adapted, expected) { #expect(maximumDifference(got, wanted) < tolerance) }
        let isImage = adapter.summary.touches("vision_model", "visual_projection")
        let isText = adapter.summary.touches("text_model", "text_projection")
        #expect((maximumDifference(adapted[0], base[0]) > 1e-3) == isImage)
        #expect((maximumDifference(adapted[1], base[1]) > 1e-3) == isText)

        try mergedWeightsArePEFTs(adapter, model, before, name)
        let merged = outputs()
        for (got, wanted) in zip(merged, expected) { #expect(maximumDifference(got, wanted) < tolerance) }

        adapter.isEnabled = false
        #expect(outputs().map(bits) == base.map(bits))
        adapter.isEnabled = true
        #expect(outputs().map(bits) == merged.map(bits))
        adapter.unmerge()
        #expect(outputs().map(bits) == adapted.map(bits))
        try adapter.remove(keepingUpdates: false)
        #expect(bits(of: model) == before)
    }

    private func mergedWeightsArePEFTs(
        _ adapter: LoRAAdapter, _ model: Module, _ before: [String: [UInt8]], _ name: String
    ) throws {
        adapter.merge()
        let expected = try Weights(path: fixture("\(name)/expected.safetensors")).entries.filter {
            $0.key.hasPrefix("merged.")
        }
        #expect(!expected.isEmpty)
        for slot in model.namedTensors() where !slot.key.contains(".lora_") {
            guard let wanted = expected["merged.\(slot.key)"] else {
                #expect(bits(slot.tensor) == before[slot.key], "\(slot.key) is as it was")
                continue
            }
            #expect(maximumDifference(slot.tensor, wanted.tensor()) < tolerance, "\(slot.key)")
        }
        let keys = Set(model.namedTensors().map { "merged.\($0.key)" })
        #expect(expected.keys.allSatisfy(keys.contains))
    }

    @Test(arguments: [
        ("gpt2-list", "LoRA of ranks 3 to 5: 8 updates in transformer"),
        ("gpt2-dora", "DoRA of rank 2: 5 updates and 13 biases in transformer"),
    ])
    func adaptersOfGPT2GiveItsLogits(name: String, summary: String) throws {
        let model = try languageModel()
        let before = bits(of: model)
        let ids = try given("input_ids", of: "gpt2")
        func logits() -> Tensor { withoutGradients { model.logits(ids: ids) } }
        let base = logits()
        #expect(maximumDifference(base, try given("logits", of: "gpt2")) < tolerance)
        let adapter = try LoRAAdapter(loadingInto: model, folder: fixture(name))
        #expect(adapter.summary.description == summary)
        let adapted = logits()
        #expect(maximumDifference(adapted, try given("logits", of: name)) < tolerance)
        #expect(maximumDifference(adapted, base) > 1e-2)
        try mergedWeightsArePEFTs(adapter, model, before, name)
        #expect(maximumDifference(logits(), adapted) < tolerance)
        adapter.isEnabled = false
        #expect(bits(logits()) == bits(base))
        adapter.isEnabled = true
        adapter.unmerge()
        #expect(bits(logits()) == bits(adapted))
        try adapter.remove(keepingUpdates: false)
        #expect(bits(of: model) == before)
    }

    @Test(arguments: ["peft-dora", "peft-bias-all", "peft-tables", "peft-vision", "peft-everything"])
    func removingWithUpdatesLeavesTheAdaptedModel(name: String) throws {
        let model = try baseModel()
        let keys = model.namedTensors().map(\.key)
        let adapter = try LoRAAdapter(loadingInto: model, folder: fixture(name))
        adapter.isEnabled = false
        try adapter.remove(keepingUpdates: true)
        #expect(model.namedTensors().map(\.key) == keys)
        #expect(!model.namedModules().contains { $0.module is any LowRankLayer })
        try withoutGradients {
            let difference = maximumDifference(model.imageFeatures(try pixels()), try given("image_embeds", of: name))
            #expect(difference < tolerance)
        }
    }

    /// A model that shares tensors with the adapted one computes what it did.
    @Test(arguments: ["peft-bias-all", "peft-tables-dora", "peft-everything"])
    func sharedTensorsAreNeverWritten(name: String) throws {
        let base = try baseModel()
        let before = bits(of: base)
        let second = CLIPModel(base.configuration)
        for (slot, source) in zip(second.namedTensors(), base.namedTensors()) { slot.replace(source.tensor) }
        let adapter = try LoRAAdapter(loadingInto: second, folder: fixture(name))
        adapter.merge()
        #expect(bits(of: base) == before)
        adapter.isEnabled = false
        adapter.isEnabled = true
        #expect(bits(of: base) == before)
    }

    @Test func settingsThatAreNotUsedWithoutTrainingAreKept() throws {
        let adapter = try LoRAAdapter(loadingInto: baseModel(), folder: fixture("peft-list"))
        #expect(adapter.configuration.dropout == 0.1)
        #expect(adapter.configuration.scale == 1 && adapter.paths.count == 9)
    }

    @Test func adaptersThatAreUsedAndNotTrained() throws {
        for (name, what) in [
            ("peft-dora", "DoRA's magnitudes (use_dora)"), ("peft-bias-all", "biases of the model (bias)"),
            ("peft-tables", "text_model.embeddings.token_embedding"),
        ] {
            #expect(
                message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: fixture(name), isTrainable: true) }
                    == "adapter '\(fixture(name))' has \(what), which can be used and not trained on")
        }
        let adapter = try LoRAAdapter(loadingInto: baseModel(), folder: fixture("peft-patterns"), isTrainable: true)
        #expect(adapter.namedParameters().allSatisfy { $0.tensor.requiresGrad })
    }

    @Test func aHalfPrecisionModelKeepsItsDtype() throws {
        let model = try CLIPModel(folder: fixture("base"), dtype: .bfloat16, memory: .owned)
        let adapter = try LoRAAdapter(loadingInto: model, folder: fixture("peft-everything"))
        adapter.merge()
        #expect(model.namedParameters().allSatisfy { $0.tensor.dtype == .bfloat16 || $0.key.contains(".lora_") })
        try withoutGradients {
            let got = model.imageFeatures(try pixels().to(.bfloat16))
            // bfloat16 keeps 8 bits of mantissa, through two blocks.
            #expect(maximumDifference(got, try given("image_embeds", of: "peft-everything")) < 0.15)
        }
    }

    @Test(arguments: [DType.float16, .bfloat16, .float64])
    func adaptersOfOtherDtypes(dtype: DType) throws {
        let copy = try AdapterCopy("peft-everything")
        try copy.rewrite { $0 = $0.mapValues { $0.to(dtype) } }
        let model = try baseModel()
        let adapter = try LoRAAdapter(loadingInto: model, folder: copy.path)
        #expect(model.namedParameters().allSatisfy { $0.tensor.dtype == .float32 })
        #expect(adapter.namedParameters().isEmpty, "DoRA is part of the weights")
        try withoutGradients {
            let difference = maximumDifference(
                model.imageFeatures(try pixels()), try given("image_embeds", of: "peft-everything"))
            // float16 keeps 11 bits of an adapter's numbers, bfloat16 8.
            #expect(difference < (dtype == .float64 ? tolerance : dtype == .float16 ? 0.02 : 0.15))
        }
    }

    /// A module with a tensor that follows from its sizes (`position_ids`), which old files carry and new ones do not.
    @Test(arguments: [false, true])
    func aModuleStoredWholeWithDerivedTensors(hasDerived: Bool) throws {
        let copy = try AdapterCopy("peft-list")
        try copy.set("modules_to_save", #"["vision_model.embeddings"]"#)
        let base = try baseModel()
        try copy.rewrite { tensors in
            for slot in base.vision.embeddings.namedTensors(prefix: "base_model.model.vision_model.embeddings") {
                if slot.kind == .derived, !hasDerived { continue }
                tensors[slot.key] = slot.kind == .derived ? slot.tensor.unsqueezed(0).squeezed(0) : slot.tensor * 2
            }
        }
        let model = try baseModel()
        let adapter = try LoRAAdapter(loadingInto: model, folder: copy.path)
        #expect(adapter.summary.touches("vision_model"))
        for (slot, old) in zip(model.vision.embeddings.namedTensors(), base.vision.embeddings.namedTensors()) {
            #expect(bits(slot.tensor) == bits(slot.kind == .derived ? old.tensor : old.tensor * 2), "\(slot.key)")
        }
    }

    @Test func aFileThatChangesLaterChangesNothing() throws {
        let copy = try AdapterCopy("peft-bias-all")
        let model = try baseModel()
        _ = try LoRAAdapter(loadingInto: model, folder: copy.path)
        let path = copy.folder("adapter_model.safetensors")
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        let size = try file.seekToEnd()
        try file.seek(toOffset: size / 2)
        try file.write(contentsOf: Data(count: Int(size / 2)))
        try file.close()
        try withoutGradients {
            let got = model.imageFeatures(try pixels())
            #expect(maximumDifference(got, try given("image_embeds", of: "peft-bias-all")) < tolerance)
        }
    }

    @Test func filesThatWereNeverFetched() throws {
        let copy = try AdapterCopy("peft-list")
        let pointer =
            "version https://git-lfs.github.com/spec/v1\noid sha256:\(String(repeating: "a", count: 64))\nsize 9\n"
        try copy.folder.write(pointer, to: "adapter_config.json")
        let got = message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: copy.path) }
        #expect(got.contains("adapter_config.json") && got.contains("git"), "\(got)")
    }

    // MARK: - Writing

    @Test func layersThatLieInputFirstAreSaidToBe() throws {
        for (model, folder, expected) in [
            (try languageModel() as Module, "gpt2-list", true), (try languageModel(), "gpt2-dora", true),
            (try baseModel(), "peft-dora", false),
        ] {
            let out = try TemporaryFolder()
            try LoRAAdapter(loadingInto: model, folder: fixture(folder)).save(to: out.path)
            let text = String(decoding: try RegularFile.bytes(out("adapter_config.json")), as: UTF8.self)
            #expect(text.contains("\"fan_in_fan_out\": \(expected)"))
        }
    }

    @Test(arguments: [
        "peft-patterns", "peft-dora", "peft-layers", "peft-bias-all", "peft-bias-own", "peft-tables-dora",
        "peft-vision",
        "peft-text", "peft-bin", "peft-everything",
    ])
    func whatWasReadIsWrittenWhole(name: String) throws {
        let folder = try TemporaryFolder()
        try LoRAAdapter(loadingInto: baseModel(), folder: fixture(name)).save(to: folder.path)
        let model = try baseModel()
        let read = try LoRAAdapter(loadingInto: model, folder: folder.path)
        let original = try LoRAAdapter(loadingInto: baseModel(), folder: fixture(name))
        #expect(read.configuration == original.configuration && read.summary == original.summary)
        #expect(read.view == original.view)
        let tensors = Dictionary(uniqueKeysWithValues: original.stateTensors.map { ($0.key, bits($0.tensor)) })
        #expect(Dictionary(uniqueKeysWithValues: read.stateTensors.map { ($0.key, bits($0.tensor)) }) == tensors)
        try withoutGradients {
            let difference = maximumDifference(model.imageFeatures(try pixels()), try given("image_embeds", of: name))
            #expect(difference < tolerance)
        }
    }

    @Test(arguments: [
        LoRATargets.attention, .names(["q_proj", "fc1"], prefix: nil), .pattern(#"vision_model\..*\.fc\d"#), .allLinear,
    ])
    func whatIsWrittenReadsBack(targets: LoRATargets) throws {
        let folder = try TemporaryFolder()
        var configuration = LoRAConfiguration(rank: 3, alpha: 4.5, dropout: 0.25, targets: targets)
        configuration.rankPattern = [.init("fc1", 5)]
        configuration.alphaPattern = [.init(#"layers\.1\..*"#, 2)]
        let model = try baseModel()
        let adapter = try LoRAAdapter(
            injectingInto: model, configuration, generator: Generator(seed: 1), dropoutGenerator: Generator(seed: 2))
        adapter.fill(seed: 4)
        try adapter.save(to: folder.path, baseModel: "some/model")
        let copy = try baseModel()
        let read = try LoRAAdapter(loadingInto: copy, folder: folder.path)
        #expect(read.paths == adapter.paths)
        #expect(read.configuration.scale == configuration.scale)
        #expect(read.configuration.dropout == configuration.dropout)
        for (a, b) in zip(adapter.stateTensors, read.stateTensors) {
            #expect(a.key == b.key && bits(a.tensor) == bits(b.tensor))
        }
        let input = try pixels()
        withoutGradients { #expect(bits(model.imageFeatures(input)) == bits(copy.imageFeatures(input))) }
        // Equal content, equal bytes.
        let first = try RegularFile.bytes(folder("adapter_model.safetensors"))
        try read.save(to: folder.path, baseModel: "some/model")
        #expect(try RegularFile.bytes(folder("adapter_model.safetensors")) == first)
    }

    @Test func keysAndShapesArePEFTs() throws {
        let adapter = try LoRAAdapter(injectingInto: baseModel(), LoRAConfiguration(), generator: Generator(seed: 1))
        let state = adapter.stateTensors
        #expect(state[0].key == "base_model.model.vision_model.encoder.layers.0.self_attn.k_proj.lora_A.weight")
        #expect(state[0].tensor.shape == [4, 30])
        #expect(state[1].key == "base_model.model.vision_model.encoder.layers.0.self_attn.k_proj.lora_B.weight")
        #expect(state[1].tensor.shape == [30, 4])
    }

    @Test func prefixedNamesBecomeAPatternThatMeansTheSame() throws {
        let names = ["q_proj", "out_proj"]
        let pattern = LoRAConfiguration.pattern(names, below: "vision_model")
        let byName = try LoRAConfiguration.Selection(LoRAConfiguration(targets: .names(names, prefix: "vision_model")))
        let byPattern = try LoRAConfiguration.Selection(LoRAConfiguration(targets: .pattern(pattern)))
        for path in [
            "vision_model.encoder.layers.0.self_attn.q_proj", "text_model.encoder.layers.0.self_attn.q_proj",
            "vision_model.q_proj", "vision_model.xq_proj", "q_proj", "vision_modelx.q_proj", "vision_model.a.out_proj",
        ] {
            #expect(byName.contains(path, isLinear: true) == byPattern.contains(path, isLinear: true), "\(path)")
        }
    }

    @Test func loadingKeepsTheTensorsThatAnOptimizerHolds() throws {
        let folder = try TemporaryFolder()
        let adapter = try LoRAAdapter(injectingInto: baseModel(), LoRAConfiguration(), generator: Generator(seed: 1))
        let other = try LoRAAdapter(injectingInto: baseModel(), LoRAConfiguration(), generator: Generator(seed: 2))
        other.fill(seed: 5)
        try other.save(to: folder.path)
        let held = adapter.namedParameters().map(\.tensor)
        try adapter.loadTensors(from: folder("adapter_model.safetensors"))
        for (tensor, state) in zip(held, other.stateTensors) { #expect(bits(tensor) == bits(state.tensor)) }
        #expect(held.allSatisfy { $0.requiresGrad })
        let before = held.map(bits)
        try Weights.save(Array(other.stateTensors.dropLast()), to: folder("adapter_model.safetensors"))
        #expect(
            message { try adapter.loadTensors(from: folder("adapter_model.safetensors")) }.contains(
                "missing from the file (1):\n    base_model.model.vision_model.encoder.layers.1.self_attn.out_proj.lora_B.weight"
            ))
        #expect(held.map(bits) == before)
    }

    // MARK: SigLIP

    private func sigLIP() throws -> SigLIPModel {
        let model = SigLIPModel(try SigLIPConfiguration(folder: fixture("siglip")))
        try model.load(Weights(path: fixture("siglip/model.safetensors")), memory: .owned)
        return model
    }

    /// What a recipe gives a SigLIP: the blocks' attention, without the pooling head's `out_proj`.
    private var sigLIPConfiguration: LoRAConfiguration {
        get throws {
            let model = try sigLIP()
            return LoRAConfiguration(
                rank: 3, alpha: 5, targets: .names(model.adapterTargets, prefix: model.imageTower))
        }
    }

    /// PEFT's adapter gives PEFT's embeddings, and is written back tensor for tensor.
    @Test func sigLIPAdaptersFromPEFTAndBack() throws {
        let (model, folder) = (try sigLIP(), try TemporaryFolder())
        let adapter = try LoRAAdapter(loadingInto: model, folder: fixture("siglip"))
        let got = withoutGradients { try! model.imageFeatures(given("pixel_values", of: "siglip")) }
        #expect(maximumDifference(got, try given("image_embeds", of: "siglip")) < 1e-5)
        try adapter.save(to: folder.path)
        let (ours, theirs) = (
            try Weights(path: folder("adapter_model.safetensors")),
            try Weights(path: fixture("siglip/adapter_model.safetensors"))
        )
        #expect(ours.entries.keys.sorted() == theirs.entries.keys.sorted())
        for (key, entry) in theirs.entries { #expect(bits(ours[key]!.tensor()) == bits(entry.tensor()), "\(key)") }
    }

    @Test func sigLIPsPoolingHeadIsLeftOut() throws {
        let model = try sigLIP()
        let adapter = try LoRAAdapter(injectingInto: model, sigLIPConfiguration, generator: Generator(seed: 1))
        let keys = adapter.namedParameters().map(\.key)
        #expect(keys.count == 2 * 4 * model.imageLayerCount && !keys.contains { $0.contains(".head.") })
        #expect(keys.allSatisfy { $0.contains("vision_model.encoder.layers.") })
    }

    /// Leaves files for Fixtures/check_with_peft.py, where PEFT itself reads what was written here.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["GMAIL_PEFT_CHECK"] != nil))
    func filesForPEFTItself() throws {
        let root = try #require(ProcessInfo.processInfo.environment["GMAIL_PEFT_CHECK"])
        var patterns = LoRAConfiguration(rank: 3, alpha: 4.5, targets: .names(["q_proj", "fc2"], prefix: nil))
        patterns.rankPattern = [.init("fc2", 5)]
        patterns.alphaPattern = [.init(#"layers\.1\..*q_proj"#, 2.5)]
        patterns.exclusions = .pattern(#"text_model\..*"#)
        patterns.layers = LoRALayerChoice([1], stacks: ["layers"])
        for (name, configuration) in [
            ("prefix", LoRAConfiguration(rank: 4, alpha: 6)),
            ("list", LoRAConfiguration(rank: 3, alpha: 4.5, targets: .names(["q_proj", "fc2"], prefix: nil))),
            ("all", LoRAConfiguration(rank: 3, alpha: 4.5, targets: .allLinear)), ("patterns", patterns),
            (
                "stable",
                LoRAConfiguration(
                    rank: 5, alpha: 2, isRankStabilized: true, targets: .pattern(#"vision_model\..*\.fc\d"#))
            ),
        ] {
            let model = try baseModel()
            let adapter = try LoRAAdapter(injectingInto: model, configuration, generator: Generator(seed: 1))
            adapter.fill(seed: 4)
            try leave(adapter, of: model, in: "\(root)/\(name)")
        }
        for name in [
            "peft-dora", "peft-bias-all", "peft-bias-own", "peft-tables-dora", "peft-everything",
            "peft-vision-projection",
        ] {
            let model = try baseModel()
            try leave(LoRAAdapter(loadingInto: model, folder: fixture(name)), of: model, in: "\(root)/\(name)")
        }
        let images = try sigLIP()
        let blocks = try LoRAAdapter(
            injectingInto: images, try sigLIPConfiguration, generator: Generator(seed: 1))
        blocks.fill(seed: 4)
        try blocks.save(to: "\(root)/siglip", baseModel: "siglip")
        let pixels = try given("pixel_values", of: "siglip")
        let embeds = withoutGradients { images.imageFeatures(pixels) }
        try Weights.save(
            [("pixel_values", pixels), ("image_embeds", embeds)], to: "\(root)/siglip/expected.safetensors")
        let model = try languageModel()
        let adapter = try LoRAAdapter(
            injectingInto: model,
            LoRAConfiguration(rank: 3, alpha: 4.5, targets: .names(["c_attn", "c_proj", "c_fc"], prefix: nil)),
            generator: Generator(seed: 1))
        adapter.fill(seed: 4)
        let ids = try given("input_ids", of: "gpt2")
        let logits = withoutGradients { model.logits(ids: ids) }
        try adapter.save(to: "\(root)/gpt2", baseModel: "base")
        try Weights.save([("input_ids", ids), ("logits", logits)], to: "\(root)/gpt2/expected.safetensors")
    }

    private func leave(_ adapter: LoRAAdapter, of model: CLIPModel, in folder: String) throws {
        try adapter.save(to: folder, baseModel: "base")
        let input = try pixels()
        let features = withoutGradients { model.imageFeatures(input) }
        try Weights.save([("pixel_values", input), ("image_embeds", features)], to: "\(folder)/expected.safetensors")
    }
}
