import Encoders
import Files
import LanguageModels
import TestSupport
import Testing
import Torch
import TorchNN

@testable import Adapters

/// Which part of a model an adapter was made for.
@Suite struct AdapterViewTests {
    /// A model with two towers of equal size, so that shapes do not tell them apart.
    private func twins() -> CLIPModel {
        var configuration = CLIPConfiguration()
        configuration.text.hiddenSize = 16
        configuration.text.intermediateSize = 20
        configuration.text.layerCount = 1
        configuration.text.headCount = 2
        configuration.text.vocabularySize = 37
        configuration.text.contextLength = 9
        configuration.vision = CLIPConfiguration.Vision()
        configuration.vision.hiddenSize = 16
        configuration.vision.intermediateSize = 20
        configuration.vision.layerCount = 1
        configuration.vision.headCount = 2
        configuration.vision.imageSize = 21
        configuration.vision.patchSize = 7
        let model = CLIPModel(configuration)
        model.initialize(generator: Generator(seed: 1))
        return model
    }

    @Test func namesWithoutAPrefixGoWhereTheClassSays() throws {
        let text = try LoRAAdapter(loadingInto: twins(), folder: fixture("peft-text"))
        #expect(text.view == AdapterView(root: "text_model", parts: nil))
        let copy = try AdapterCopy("peft-text")
        try copy.set("auto_mapping", #"{"base_model_class": "CLIPVisionModel"}"#)
        let vision = try LoRAAdapter(loadingInto: twins(), folder: copy.path)
        #expect(vision.view == AdapterView(root: "vision_model", parts: nil))
        try copy.set("auto_mapping", #"{"base_model_class": "SiglipTextTransformer"}"#)
        #expect(try LoRAAdapter(loadingInto: twins(), folder: copy.path).view.root == "text_model")
        // An adapter for a text tower is never put into the image tower, whatever the shapes.
        try copy.set("auto_mapping", #"{"base_model_class": "CLIPVisionModel"}"#)
        let got = message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: copy.path) }
        #expect(got.contains("has shape [2, 16], model expects [2, 30]"))
    }

    @Test func namesWithoutAPrefixGoWhereTheyFit() throws {
        for (name, root) in [("peft-text", "text_model"), ("peft-vision", "vision_model")] {
            let copy = try AdapterCopy(name)
            try copy.set("auto_mapping", "null")
            #expect(try LoRAAdapter(loadingInto: baseModel(), folder: copy.path).view.root == root)
        }
        let copy = try AdapterCopy("peft-text")
        try copy.set("auto_mapping", "null")
        #expect(
            message { _ = try LoRAAdapter(loadingInto: twins(), folder: copy.path) }
                == "adapter '\(copy.path)' fits text_model and vision_model; say in its adapter_config.json which model it was"
                + " made for (auto_mapping.base_model_class)")
        let decoder = try AdapterCopy("gpt2-dora")
        try decoder.set("auto_mapping", "null")
        #expect(try LoRAAdapter(loadingInto: languageModel(), folder: decoder.path).view.root == "transformer")
    }

    /// An adapter of the image tower alone matches by its names in that tower, although the text tower has such layers too.
    @Test func whatThePartDoesNotKnowIsNotMatched() throws {
        let adapter = try LoRAAdapter(loadingInto: baseModel(), folder: fixture("peft-vision-projection"))
        #expect(adapter.paths.allSatisfy { !$0.hasPrefix("text_model") })
        // For the whole model, the same tensors are too few.
        let copy = try AdapterCopy("peft-vision-projection")
        try copy.set("auto_mapping", #"{"base_model_class": "CLIPModel"}"#)
        let got = message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: copy.path) }
        #expect(
            got.contains(
                "missing from the file (2):\n    base_model.model.text_model.encoder.layers.0.self_attn.k_proj"))
        // For the tower with its projection, none of its tensors may be missing.
        try copy.set("auto_mapping", #"{"base_model_class": "CLIPVisionModelWithProjection"}"#)
        try copy.rewrite { tensors in
            for key in tensors.keys where key.contains("visual_projection") { tensors[key] = nil }
        }
        let short = message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: copy.path) }
        #expect(short.contains("missing from the file (2):\n    base_model.model.visual_projection.lora_A.weight"))
        // As an old file of the tower alone, it is complete; those files also say `vision_model`.
        try copy.set("auto_mapping", #"{"base_model_class": "CLIPVisionModel"}"#)
        #expect(try LoRAAdapter(loadingInto: baseModel(), folder: copy.path).paths.count == 2)
        try copy.set("auto_mapping", "null")
        #expect(try LoRAAdapter(loadingInto: baseModel(), folder: copy.path).paths.count == 2)
    }

    @Test func partsThatTheCallerDoesWithout() throws {
        let model = try baseModel()
        let text = ["text_model", "text_projection"]
        let ids = try given("input_ids")
        let before = withoutGradients { model.textFeatures(ids) }
        let adapter = try LoRAAdapter(loadingInto: model, folder: fixture("peft-everything"), leavingOut: text)
        #expect(adapter.summary.leftOut == text)
        #expect(
            adapter.summary.description
                == "rank-stabilised DoRA of ranks 2 to 3: 2 updates and 2 biases in vision_model;"
                + " left out: text_model, text_projection")
        try withoutGradients {
            #expect(bits(model.textFeatures(ids)) == bits(before))
            let expected = try given("image_embeds", of: "peft-everything")
            #expect(maximumDifference(model.imageFeatures(try pixels()), expected) < 1e-5)
        }
        #expect(
            message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: fixture("peft-text"), leavingOut: text) }
                == "adapter '\(fixture("peft-text"))' changes text_model alone, which is not used here")
    }

    /// An encoder that reads only images.
    private final class ImageEncoder: Module {
        @Child("vision_model") var vision: CLIPVisionTower
        @Child("visual_projection") var projection: Linear

        init(_ model: CLIPModel) {
            super.init()
            vision = model.vision
            projection = model.visualProjection
        }
    }

    @Test func aModelWithoutATextTower() throws {
        let clip = try baseModel()
        let model = ImageEncoder(clip)
        // The text updates have no target: an error, unless the caller leaves them out.
        let got = message { _ = try LoRAAdapter(loadingInto: model, folder: fixture("peft-list")) }
        #expect(
            got.contains("in the file, not in the adapted model (6):\n    base_model.model.text_model.encoder.layers.0")
        )
        let adapter = try LoRAAdapter(
            loadingInto: model, folder: fixture("peft-list"), leavingOut: ["text_model", "text_projection"])
        #expect(adapter.summary.leftOut == ["text_model"])
        #expect(!adapter.summary.touches("text_model"))
        try withoutGradients {
            let expected = try given("image_embeds", of: "peft-list")
            #expect(maximumDifference(model.projection(model.vision(try pixels())), expected) < 1e-5)
        }
        #expect(
            message { _ = try LoRAAdapter(loadingInto: ImageEncoder(baseModel()), folder: fixture("peft-text")) }
                .contains(
                    "does not fit the model"))
        let onlyText = message {
            _ = try LoRAAdapter(loadingInto: model, folder: fixture("peft-text"), leavingOut: ["text_model"])
        }
        #expect(onlyText == "adapter '\(fixture("peft-text"))' changes text_model alone, which is not used here")
    }

    /// GPT-2's token embedding is also its output layer, which PEFT does not change.
    @Test func tensorsWithTwoReaders() throws {
        let copy = try AdapterCopy("gpt2-list")
        let expected =
            "'transformer.wte.weight' is read in a second place too (a tied output layer), which the adapter leaves as it"
            + " was; merge the adapter in PEFT (merge_and_unload) and load the merged model instead"
        try copy.set("target_modules", #"["c_attn", "wte"]"#)
        #expect(message { _ = try LoRAAdapter(loadingInto: languageModel(), folder: copy.path) } == expected)
        try copy.set("target_modules", #"["c_attn"]"#)
        try copy.set("modules_to_save", #"["wte"]"#)
        #expect(message { _ = try LoRAAdapter(loadingInto: languageModel(), folder: copy.path) } == expected)
        // The output layer is no layer of its own here.
        try copy.set("modules_to_save", #"["lm_head"]"#)
        try copy.rewrite { $0["base_model.model.lm_head.weight"] = .zeros([37, 12]) }
        #expect(
            message { _ = try LoRAAdapter(loadingInto: languageModel(), folder: copy.path) }.contains(
                "base_model.model.lm_head.weight [37, 12]"))
    }

    @Test func biasesOfUpdatesNeedALayerWithABias() throws {
        let copy = try AdapterCopy("peft-bias-own")
        try copy.set("target_modules", #"["fc1", "out_proj", "visual_projection"]"#)
        #expect(
            message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: copy.path) }
                == "LoRA setting 'lora_bias' is one of 'visual_projection', expected updates of layers that have a bias"
        )
    }

    @Test func anUpdateInAModuleStoredWhole() throws {
        let copy = try AdapterCopy("peft-list")
        try copy.set("modules_to_save", #"["_proj"]"#)
        #expect(
            message { _ = try LoRAAdapter(loadingInto: baseModel(), folder: copy.path) }
                == "LoRA setting 'modules_to_save' is 'text_model.encoder.layers.0.self_attn.v_proj', where"
                + " 'text_model.encoder.layers.0.self_attn.v_proj' has one, expected modules without updates in them")
    }

    // MARK: - Identity

    @Test func theFingerprintKnowsBothFilesAndNotTheFolder() throws {
        let hashes = FileHashes(memory: nil)
        let first = try PEFTFiles.fingerprint(of: fixture("peft-list"), hashes: hashes)
        #expect(first.files.map(\.name) == ["adapter_config.json", "adapter_model.safetensors"])
        let copy = try AdapterCopy("peft-list")
        #expect(try PEFTFiles.fingerprint(of: copy.path, hashes: hashes) == first)
        try copy.set("lora_alpha", "4")
        let second = try PEFTFiles.fingerprint(of: copy.path, hashes: hashes)
        #expect(second.sha256 != first.sha256)
        try copy.rewrite { $0 = $0.mapValues { $0 * 2 } }
        #expect(try PEFTFiles.fingerprint(of: copy.path, hashes: hashes).sha256 != second.sha256)
        let pickled = try PEFTFiles.fingerprint(of: fixture("peft-bin"), hashes: hashes)
        #expect(pickled.files.map(\.name) == ["adapter_config.json", "adapter_model.bin"])
        #expect(PEFTFiles.areIn(copy.path) && !PEFTFiles.areIn(fixture("base")))
        #expect(throws: AdapterError.self) { _ = try PEFTFiles.fingerprint(of: fixture("base"), hashes: hashes) }
    }
}
