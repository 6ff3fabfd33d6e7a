import Files
import Foundation
import StrictJSON
import TestSupport
import Testing
import Torch
import TorchNN

@testable import Encoders

// Folders that are CLIPs in unusual ways (Fixtures/make_door_fixtures.py), and folders that are refused.

private let tolerance = 1e-4

/// A copy of a fixture that a test may change, with preprocessing of its size.
private func copy(_ name: String, side: Int) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for file in try FileSystem.entries(fixture(name)) {
        try folder.write(RegularFile.bytes("\(fixture(name))/\(file)"), to: file)
    }
    if !FileSystem.exists(folder("open_clip_config.json")) {
        try folder.write(
            """
            {"do_resize": true, "size": {"shortest_edge": \(side)}, "resample": 3, "do_center_crop": true, "crop_size": \(side),
             "do_rescale": true, "do_normalize": true, "image_mean": [0.48, 0.45, 0.4], "image_std": [0.26, 0.25, 0.27]}
            """, to: "preprocessor_config.json")
    }
    return folder
}

@Suite struct EncoderFolderTests {
    @Test(arguments: [("vision-projection", 10), ("vision-plain", 10), ("pickled", 10), ("tanh-eps", 12)])
    func embeddingsAreTheReferences(name: String, side: Int) throws {
        let folder = try copy("doors/\(name)", side: side)
        let open = try EncoderFolder.open(folder.path)
        let expected = try Weights(path: folder("expected.safetensors"))
        let pixels = expected["pixel_values"]!.tensor()
        inferenceMode {
            #expect(maximumDifference(open.image.imageFeatures(pixels), expected["embeds"]!.tensor()) < tolerance)
            if let text = open.text, let ids = expected["input_ids"]?.tensor() {
                #expect(maximumDifference(text.textFeatures(ids), expected["text_embeds"]!.tensor()) < tolerance)
            }
        }
        #expect((open.text == nil) == name.hasPrefix("vision"))
    }

    /// Numbered as transformers' `hidden_states`, from either end.
    @Test(arguments: ["vision-projection", "vision-plain"])
    func statesOfEveryLayer(name: String) throws {
        let folder = try copy("doors/\(name)", side: 10)
        let image = try EncoderFolder.open(folder.path).image
        let expected = try Weights(path: folder("expected.safetensors"))
        let pixels = expected["pixel_values"]!.tensor()
        #expect(image.imageLayerCount == 3 && image.imageStateSize == 16 && image.imageStateCount == 5)
        inferenceMode {
            for layer in 0...3 {
                let want = expected["hidden.\(layer)"]!.tensor()
                #expect(maximumDifference(image.imageStates(pixels, layer: layer), want) < tolerance, "\(layer)")
                #expect(
                    maximumDifference(image.imageStates(pixels, layer: layer - 4), want) < tolerance, "\(layer - 4)")
            }
        }
    }

    @Test func textIsAskedOfAModelThatReadsIt() throws {
        let folder = try copy("doors/vision-plain", side: 10)
        let open = try EncoderFolder.open(folder.path)
        #expect(
            message { _ = try open.textReader() }
                == "'\(folder.path)' holds an encoder of images alone; texts need a model with a text encoder, such as CLIP"
        )
    }

    /// Images are embedded whatever the tokenizer is; texts are refused for it.
    @Test func aTokenizerOfAnotherKindHindersNoImages() throws {
        let folder = try copy("quick-gelu", side: 22)
        let open = try EncoderFolder.open(folder.path)
        let pixels = Tensor.randn([2, 3, 22, 22], generator: Generator(seed: 4))
        let expected: [Float] = open.image.imageFeatures(pixels).array()
        try folder.write(
            #"{"version": "1.0", "model": {"type": "WordPiece", "vocab": {"a": 0}}}"#, to: "tokenizer.json")
        let foreign = try EncoderFolder.open(folder.path)
        let features: [Float] = foreign.image.imageFeatures(pixels).array()
        #expect(features == expected)
        #expect(message { _ = try foreign.textReader() }.contains("WordPiece"))
    }

    /// Settings that a file has twice, or not at all.
    @Test func configurationsAreReadAsTransformersDoes() throws {
        let cases = try JSONFile("\(fixture("doors"))/configurations.json").value["cases"]?.array ?? []
        #expect(cases.count == 6)
        for entry in cases {
            let folder = try TemporaryFolder()
            try folder.write(try #require(entry["configuration"]?.string), to: "config.json")
            let read = try CLIPConfiguration(folder: folder.path)
            let want = try #require(entry["read"])
            #expect(read.projectionDimension == want["projection_dim"]?.integer)
            #expect(read.text.hiddenSize == want["text.hidden_size"]?.integer)
            #expect(read.text.layerCount == want["text.num_hidden_layers"]?.integer)
            #expect(read.text.headCount == want["text.num_attention_heads"]?.integer)
            #expect(read.text.activation.rawValue == want["text.hidden_act"]?.string)
            #expect(read.text.layerNormEps == want["text.layer_norm_eps"]?.double)
            #expect(read.text.endOfTextID == want["text.eos_token_id"]?.integer)
            #expect(read.vision.hiddenSize == want["vision.hidden_size"]?.integer)
            #expect(read.vision.layerCount == want["vision.num_hidden_layers"]?.integer)
            #expect(read.vision.imageSize == want["vision.image_size"]?.integer)
            #expect(read.vision.patchSize == want["vision.patch_size"]?.integer)
            #expect(read.vision.activation.rawValue == want["vision.hidden_act"]?.string)
            #expect(read.vision.layerNormEps == want["vision.layer_norm_eps"]?.double)
        }
    }

    static let unknown =
        "this setting is not known here, and it may change what the model computes; take it out only if it does not"

    /// Settings that would change the computation, each by its name.
    @Test(arguments: [
        ("{\"model_type\": \"clip\", \"vision_feature_layer\": -2}", "'vision_feature_layer' is -2: \(unknown)"),
        (
            "{\"model_type\": \"clip\", \"vision_config\": {\"use_rotary\": true}}",
            "'vision_config.use_rotary' is true: \(unknown)"
        ),
        // A switch that is off cannot be skipped: a layer without its bias is another layer.
        (
            "{\"model_type\": \"clip\", \"text_config\": {\"attention_bias\": false}}",
            "'text_config.attention_bias' is false: \(unknown)"
        ),
        (
            "{\"model_type\": \"clip\", \"quantization_config\": {\"bits\": 8}}",
            "'quantization_config' is an object: \(unknown)"
        ),
        (
            "{\"model_type\": \"clip\", \"vision_config\": {\"image_size\": [22, 20]}}",
            "'vision_config.image_size' is an array, expected a whole number, or two equal ones (a square)"
        ),
    ])
    func settingsOfHuggingFaceAreNotSkipped(configuration: String, text: String) throws {
        let folder = try TemporaryFolder()
        try folder.write(configuration, to: "config.json")
        #expect(message { _ = try CLIPConfiguration(folder: folder.path) } == "\(folder("config.json")): \(text)")
    }

    @Test(arguments: [
        ("vision_cfg", "\"timm_model_name\": \"vit_base\"", "only null is implemented"),
        ("vision_cfg", "\"pool_type\": \"avg\"", "only \"tok\" is implemented"),
        ("vision_cfg", "\"no_ln_pre\": true", "this variant of the image tower is not implemented"),
        ("vision_cfg", "\"ls_init_value\": 0.1", "this variant of the image tower is not implemented"),
        ("vision_cfg", "\"act_kwargs\": {\"inplace\": true}", unknown),
        ("vision_cfg", "\"norm_kwargs\": {\"elementwise_affine\": false}", unknown),
        ("vision_cfg", "\"register_tokens\": 4", unknown),
        ("text_cfg", "\"hf_model_name\": \"roberta\"", "only null is implemented"),
        ("text_cfg", "\"no_causal_mask\": true", "this variant of the text tower is not implemented"),
        ("text_cfg", "\"pool_type\": \"last\"", "only \"argmax\" and \"eos\" are implemented"),
        (
            "text_cfg", "\"eos_id\": 2, \"pool_type\": \"eos\"",
            "as an end-of-text token, 2 cannot be told from the largest id"
        ),
    ])
    func settingsOfOpenCLIPAreNotSkipped(tower: String, setting: String, text: String) throws {
        let folder = try TemporaryFolder()
        let other = tower == "vision_cfg" ? "text_cfg" : "vision_cfg"
        try folder.write(
            "{\"model_cfg\": {\"embed_dim\": 8, \"\(tower)\": {\(setting)}, \"\(other)\": {}}}",
            to: "open_clip_config.json")
        let error = message { _ = try CLIPConfiguration(folder: folder.path) }
        #expect(error.hasPrefix("\(folder("open_clip_config.json")): 'model_cfg.\(tower)."), "\(error)")
        #expect(error.hasSuffix(text), "\(error)")
    }

    /// Settings of open_clip's files that are off are accepted.
    @Test func settingsThatAreOff() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            """
            {"model_cfg": {"embed_dim": 8, "custom_text": true,
             "vision_cfg": {"ls_init_value": null, "no_ln_pre": false, "attentional_pool": false, "patch_dropout": 0.5,
                            "output_tokens": true, "timm_pool": "avg", "pool_type": "tok", "qk_norm": false},
             "text_cfg": {"embed_cls": false, "no_causal_mask": false, "proj_bias": false, "final_ln_after_pool": true}}}
            """, to: "open_clip_config.json")
        #expect(try CLIPConfiguration(folder: folder.path).projectionDimension == 8)
    }

    /// Each file that decides what a model computes, or how images and texts reach it, is in its identity; others are not.
    @Test func identityIsThatOfEveryFile() throws {
        let folder = try copy("quick-gelu", side: 22)
        try folder.write("{\"model_max_length\": 9}", to: "tokenizer_config.json")
        try folder.write("a note", to: "README.md")
        let whole = try EncoderFolder.fingerprint(folder.path)
        let opened = try EncoderFolder.open(folder.path)
        #expect(try opened.fingerprint() == whole)
        for name in try folder.contents {
            let bytes = try RegularFile.bytes(folder(name))
            try folder.write(bytes + [0x20], to: name)
            let isOfTheModel = name != "README.md" && name != "expected.safetensors"
            #expect(try (EncoderFolder.fingerprint(folder.path) != whole) == isOfTheModel, "\(name)")
            try folder.write(bytes, to: name)
        }
        #expect(try EncoderFolder.fingerprint(folder.path) == whole)
        let elsewhere = try copy("quick-gelu", side: 22)
        try elsewhere.write("{\"model_max_length\": 9}", to: "tokenizer_config.json")
        #expect(try EncoderFolder.fingerprint(elsewhere.path) == whole)
    }

    /// Two shards: each is part of the identity, which is more than the index.
    @Test func identityCoversBothShards() throws {
        let folder = try copy("quick-gelu", side: 22)
        let weights = try Weights(path: folder("model.safetensors"))
        let keys = weights.entries.keys.sorted()
        var map: [String] = []
        for (number, part) in [Array(keys[..<25]), Array(keys[25...])].enumerated() {
            let name = "model-0000\(number + 1)-of-00002.safetensors"
            try Weights.save(part.map { ($0, weights[$0]!.tensor().clone()) }, to: folder(name))
            map += part.map { "\"\($0)\": \"\(name)\"" }
        }
        try FileSystem.remove(folder("model.safetensors"))
        try folder.write("{\"weight_map\": {\(map.joined(separator: ", "))}}", to: "model.safetensors.index.json")
        let before = try EncoderFolder.fingerprint(folder.path)
        #expect(before.files.map(\.name).filter { $0.contains("safetensors") }.count == 3)
        for number in 1...2 {
            let name = "model-0000\(number)-of-00002.safetensors"
            var bytes = try RegularFile.bytes(folder(name))
            bytes[bytes.count - 1] ^= 1
            try folder.write(bytes, to: name)
            #expect(try EncoderFolder.fingerprint(folder.path) != before, "\(name)")
            bytes[bytes.count - 1] ^= 1
            try folder.write(bytes, to: name)
        }
        #expect(try EncoderFolder.fingerprint(folder.path) == before)
    }

    /// Preprocessing of another size than the model's is refused before anything is computed.
    @Test func preprocessingFitsTheModel() throws {
        let folder = try copy("quick-gelu", side: 24)
        #expect(
            message { _ = try EncoderFolder.open(folder.path) }
                == "'\(folder.path)': preprocessing makes images of 24x24, the model reads 22x22; are "
                + "preprocessor_config.json and config.json of one model?")
    }

    /// Weights that are NaN are reported by the name of their tensor, and no features are written.
    @Test func brokenWeightsAreNamed() throws {
        let folder = try copy("quick-gelu", side: 22)
        let tensors = try Weights(path: folder("model.safetensors")).entries.mapValues { $0.tensor().clone() }
        tensors["text_projection.weight"]!.fillInPlace(.nan)
        try Weights.save(tensors.map { ($0.key, $0.value) }, to: folder("model.safetensors"))
        let open = try EncoderFolder.open(folder.path)
        #expect(
            open.image.brokenWeights
                == "the weights hold NaN or infinity, the first in 'text_projection.weight'; get the model again")
        tensors["text_projection.weight"]!.fillInPlace(0)
        try Weights.save(tensors.map { ($0.key, $0.value) }, to: folder("model.safetensors"))
        #expect(try EncoderFolder.open(folder.path).image.brokenWeights == nil)
    }

    /// The variants of weights: the one that is asked for, the only one, and the question when there are several.
    @Test func variantsOfWeights() throws {
        let folder = try copy("quick-gelu", side: 22)
        let bytes = try RegularFile.bytes(folder("model.safetensors"))
        try folder.write(bytes, to: "model.fp16.safetensors")
        let plain = try EncoderFolder.fingerprint(folder.path)
        #expect(plain.files.map(\.name).contains("model.safetensors"))
        #expect(try EncoderFolder.fingerprint(folder.path, variant: "fp16") != plain)
        try FileSystem.remove(folder("model.safetensors"))
        #expect(try EncoderFolder.fingerprint(folder.path).files.map(\.name).contains("model.fp16.safetensors"))
        try folder.write(bytes, to: "model.bf16.safetensors")
        #expect(
            message { _ = try EncoderFolder.open(folder.path) }
                == "'\(folder.path)' has weights in several variants (bf16, fp16); choose one with --variant")
    }
}
