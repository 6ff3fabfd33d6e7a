import Files
import Foundation
import Images
import StrictJSON
import TestSupport
import Testing
import Torch
import TorchNN

@testable import Encoders

// Whole tensors against transformers (Fixtures/make_siglip_fixtures.py); every axis has another size.

private let tolerance = 1e-4

private func opened(_ name: String, dtype: DType? = nil, memory: WeightMemory = .mapped) throws -> (
    model: SigLIPModel, expected: Weights
) {
    let open = try EncoderFolder.open(fixture("siglip/\(name)"), dtype: dtype, memory: memory)
    return (
        try #require(open.image as? SigLIPModel), try Weights(path: fixture("siglip/\(name)/expected.safetensors"))
    )
}

@Suite struct SigLIPParityTests {
    @Test(arguments: ["first", "second"], [LinearKernel.plain, .packed])
    func embeddingsEqualTheReference(name: String, kernel: LinearKernel) throws {
        let (model, expected) = try opened(name)
        model.vision.kernel = kernel
        model.text.kernel = kernel
        inferenceMode {
            let images = model.imageFeatures(expected["pixel_values"]!.tensor())
            let texts = model.textFeatures(expected["input_ids"]!.tensor())
            #expect(maximumDifference(images, expected["image_embeds"]!.tensor()) < tolerance)
            #expect(maximumDifference(texts, expected["text_embeds"]!.tensor()) < tolerance)
            let logits = model.logits(image: images, text: texts)
            #expect(maximumDifference(logits, expected["logits_per_image"]!.tensor()) < tolerance)
        }
    }

    /// Numbered as transformers' `hidden_states`, from either end.
    @Test(arguments: [("first", 3, 2), ("second", 2, 1)])
    func statesOfEveryLayer(name: String, layers: Int, textLayers: Int) throws {
        let (model, expected) = try opened(name)
        #expect(model.imageLayerCount == layers)
        let pixels = expected["pixel_values"]!.tensor(), ids = expected["input_ids"]!.tensor()
        inferenceMode {
            for layer in 0...layers {
                let want = expected["hidden.\(layer)"]!.tensor()
                #expect(want.shape == [2, model.imageStateCount, model.imageStateSize])
                #expect(maximumDifference(model.imageStates(pixels, layer: layer), want) < tolerance, "\(layer)")
                #expect(
                    maximumDifference(model.imageStates(pixels, layer: layer - layers - 1), want) < tolerance,
                    "\(layer - layers - 1)")
            }
            for layer in 0...textLayers {
                let got = model.text.hiddenState(ids, after: layer)
                #expect(maximumDifference(got, expected["text_hidden.\(layer)"]!.tensor()) < tolerance, "text \(layer)")
            }
        }
    }

    @Test func bfloat16StaysClose() throws {
        let (model, expected) = try opened("first", dtype: .bfloat16)
        for kernel in [LinearKernel.plain, .packed] {
            model.vision.kernel = kernel
            model.text.kernel = kernel
            inferenceMode {
                for (got, reference) in [
                    (model.imageFeatures(expected["pixel_values"]!.tensor()), expected["image_embeds"]!.tensor()),
                    (model.textFeatures(expected["input_ids"]!.tensor()), expected["text_embeds"]!.tensor()),
                ] {
                    let cosine = (got.to(.float32).normalized() * reference.normalized()).sum(-1)
                    #expect(cosine.min().item() > 0.999)
                }
            }
        }
    }

    /// The gradient of transformers' sigmoid loss, of every parameter.
    @Test func gradientsEqualTheReference() throws {
        let (model, expected) = try opened("first", memory: .owned)
        model.setRequiresGrad(true)
        let logits = model.logits(
            image: model.imageFeatures(expected["pixel_values"]!.tensor()),
            text: model.textFeatures(expected["input_ids"]!.tensor()[0..<2]))
        // -log sigmoid(x) is the cross entropy of the scores x and 0; four terms, of which the loss takes the sum over two.
        let signed = (logits * Tensor([Float(1), -1, -1, 1], shape: [2, 2])).reshaped(4, 1)
        let loss = Functional.crossEntropy(.cat([signed, .zeros([4, 1])], dim: 1), .zeros([4], dtype: .int64)) * 2
        loss.backward()
        #expect(abs(loss.item() - expected["loss"]!.tensor().item()) < tolerance)
        var compared = 0
        for parameter in model.namedParameters() {
            let reference = try #require(expected["grad.\(parameter.key)"], "no reference gradient of \(parameter.key)")
            let gradient = try #require(parameter.tensor.grad, "no gradient reached \(parameter.key)")
            #expect(maximumDifference(gradient, reference.tensor()) < tolerance, "\(parameter.key)")
            compared += 1
        }
        #expect(compared == expected.entries.keys.filter { $0.hasPrefix("grad.") }.count)
    }

    @Test func writtenConfigurationsReadBackTheSame() throws {
        for name in ["first", "second"] {
            let open = try EncoderFolder.open(fixture("siglip/\(name)"))
            let folder = try TemporaryFolder()
            try open.writeConfiguration(to: folder.path)
            let model = try #require(open.image as? SigLIPModel)
            #expect(try SigLIPConfiguration(folder: folder.path) == model.configuration)
            #expect(
                try ImagePreprocessing.inFolder(folder.path, processor: .clip)?.settings == open.preprocessing)
            let written = try #require(try JSONFile(folder("preprocessor_config.json")).string("image_processor_type"))
            #expect(written == "SiglipImageProcessor")
        }
    }

    /// The published files say little; the defaults are transformers'.
    @Test func absentKeysHaveTransformersDefaults() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            #"{"model_type": "siglip", "text_config": {"model_type": "siglip_text_model", "vocab_size": 32000}, "vision_config": {"image_size": 384}}"#,
            to: "config.json")
        var want = SigLIPConfiguration()
        want.vision.imageSize = 384
        #expect(try SigLIPConfiguration(folder: folder.path) == want)
        #expect(want.vision.positionCount == 576 && want.text.contextLength == 64)
        #expect(want.vision.layerNormEps == 1e-6 && want.text.activation == .geluTanh)
    }

    static let unknown =
        "this setting is not known here, and it may change what the model computes; take it out only if it does not"

    @Test(arguments: [
        (#"{"model_type": "siglip2"}"#, #"'model_type' is "siglip2", expected "siglip""#),
        (#"{"model_type": "siglip", "rope": 1}"#, "'rope' is 1: \(unknown)"),
        (
            #"{"model_type": "siglip", "vision_config": {"num_patches": 256}}"#,
            "'vision_config.num_patches' is 256: \(unknown)"
        ),
        (
            #"{"model_type": "siglip", "vision_config": {"vision_use_head": false}}"#,
            "'vision_config.vision_use_head' is false: without its head the image tower has no embedding"
        ),
        (
            #"{"model_type": "siglip", "text_config": {"hidden_size": 770}}"#,
            "'text_config.hidden_size' is 770, expected a multiple of num_attention_heads (12)"
        ),
        (
            #"{"model_type": "siglip", "vision_config": {"hidden_size": 768, "patch_size": 300}}"#,
            "'vision_config.image_size' is 224, expected at least patch_size (300)"
        ),
        (
            #"{"model_type": "siglip", "text_config": {"projection_size": 512}}"#,
            "'text_config.projection_size' is 512, expected 768, the image embedding's dimension (vision_config.hidden_size)"
        ),
        (
            #"{"model_type": "siglip", "text_config": {"num_hidden_layers": 0}}"#,
            "'text_config.num_hidden_layers' is 0, expected 1 to 1000000"
        ),
        (
            #"{"model_type": "siglip", "text_config": {"hidden_act": "mish"}}"#,
            #"'text_config.hidden_act' is "mish", expected one of "gelu", "quick_gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu""#
        ),
    ])
    func messages(configuration: String, text: String) throws {
        let folder = try TemporaryFolder()
        try folder.write(configuration, to: "config.json")
        let got = message { _ = try SigLIPConfiguration(folder: folder.path) }
        #expect(got == "\(folder("config.json")): \(text)")
    }

    @Test func preprocessingIsNeeded() throws {
        let folder = try TemporaryFolder()
        for name in ["config.json", "model.safetensors"] {
            try folder.write(RegularFile.bytes("\(fixture("siglip/second"))/\(name)"), to: name)
        }
        #expect(
            message { _ = try EncoderFolder.open(folder.path) }.contains(
                "preprocessor_config.json (or processor_config.json) expected in it"))
        // A file that names no processor has SigLIP's defaults: straight to the square, nothing cut off.
        try folder.write(#"{"size": {"height": 15, "width": 15}}"#, to: "preprocessor_config.json")
        let settings = try EncoderFolder.open(folder.path).preprocessing
        #expect(settings.resize == .exact(ImageSize(width: 15, height: 15)) && settings.crop == nil)
        #expect(settings.mean == [0.5, 0.5, 0.5] && settings.std == [0.5, 0.5, 0.5] && settings.filter == .bicubic)
    }
}

@Suite struct SigLIPFullSizeTests {
    @Test func basePatch16EqualsTransformers() throws {
        try TorchRuntime.load()
        let model = SigLIPModel(SigLIPConfiguration())
        let parameters = model.namedParameters().sorted { $0.key < $1.key }
        withoutGradients {
            for (index, parameter) in parameters.enumerated() {
                let (shape, key) = (parameter.tensor.shape, parameter.key)
                if key.contains("norm") {
                    let value = formulaWeights(shape, index: index, scale: 0.2)
                    parameter.tensor.copy(from: key.hasSuffix("weight") ? value + 1 : value)
                } else if shape.count < 2 {
                    parameter.tensor.copy(from: formulaWeights(shape, index: index, scale: 0.2))
                } else {
                    let fan = Double(shape.dropFirst().reduce(1, *))
                    parameter.tensor.copy(from: formulaWeights(shape, index: index, scale: 2.5 / fan.squareRoot()))
                }
            }
        }
        let expected = try Weights(path: fixture("siglip/base-patch16-224/expected.safetensors"))
        let pixels = formulaWeights([2, 3, 224, 224], index: 5001, scale: 4)
        let ids = Tensor(
            [5, 9, 64].enumerated().flatMap { row, length -> [Int] in
                (0..<64).map { $0 < length ? ($0 * 977 + row * 131) % 31990 + 5 : 1 }
            }, shape: [3, 64])
        for dtype in [DType.float32, .bfloat16] {
            model.to(dtype: dtype)
            inferenceMode {
                for (name, got) in [("image", model.imageFeatures(pixels)), ("text", model.textFeatures(ids))] {
                    let want = expected["\(name)_embeds"]!.tensor()
                    if dtype == .float32 {
                        let error = maximumDifference(got, want)
                        print("SigLIP B/16, float32, CPU: largest difference of \(name) \(error)")
                        #expect(error < tolerance)
                    } else {
                        let cosine = (got.to(.float32).normalized() * want.normalized()).sum(-1).min().item()
                        print("SigLIP B/16, bfloat16, CPU: smallest cosine of \(name) \(cosine)")
                        #expect(cosine > 0.999)
                    }
                }
            }
        }
    }
}
