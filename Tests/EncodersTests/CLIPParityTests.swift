import Files
import Foundation
import Safetensors
import Testing
import Torch
import TorchNN

@testable import Encoders

// Whole tensors against transformers and open_clip (Fixtures/make_clip_fixtures.py); every axis has another size.

/// float32 against float32 with another order of summation.
private let tolerance = 1e-4

func fixture(_ name: String) -> String {
    Bundle.module.resourceURL!.appendingPathComponent("Fixtures/\(name)").path
}

func maximumDifference(_ a: Tensor, _ b: Tensor) -> Double {
    #expect(a.shape == b.shape)
    return (a.to(.float64) - b.to(.float64)).abs().max().item()
}

/// The same numbers as `formula_weights` of the fixture script.
func formulaWeights(_ shape: [Int], index: Int, scale: Double) -> Tensor {
    let modulus = Tensor([2_147_483_648])
    let i = Tensor.arange(0, shape.reduce(1, *))
    func remainder(_ a: Tensor, _ b: Int) -> Tensor { a.remainder(Tensor([b])) }
    var h = (i * Tensor([1_103_515_245]) + Tensor([12345 + index * 7919])).remainder(modulus)
    h = (h * (remainder(h, 65521) + Tensor([1]))).remainder(modulus)
    h = (h * (remainder(h, 32749) + Tensor([1]))).remainder(modulus)
    return ((h.to(.float64) / 2_147_483_648 - 0.5) * scale).to(.float32).reshaped(shape)
}

@Suite struct CLIPParityTests {
    @Test(arguments: ["quick-gelu", "legacy-eos-gelu", "open-clip", "openai"])
    func embeddingsEqualTheReference(name: String) throws {
        let model = try CLIPModel(folder: fixture(name))
        let expected = try Weights(path: fixture("\(name)/expected.safetensors"))
        let pixels = expected["pixel_values"]!.tensor()
        let ids = expected["input_ids"]!.tensor()
        inferenceMode {
            #expect(maximumDifference(model.imageFeatures(pixels), expected["image_embeds"]!.tensor()) < tolerance)
            #expect(maximumDifference(model.textFeatures(ids), expected["text_embeds"]!.tensor()) < tolerance)
        }
    }

    @Test(arguments: ["quick-gelu", "legacy-eos-gelu"])
    func hiddenStatesAndLogitsEqualTheReference(name: String) throws {
        let model = try CLIPModel(folder: fixture(name))
        let expected = try Weights(path: fixture("\(name)/expected.safetensors"))
        let pixels = expected["pixel_values"]!.tensor()
        let ids = expected["input_ids"]!.tensor()
        withoutGradients {
            #expect(
                maximumDifference(model.vision.hiddenState(pixels), expected["vision_hidden"]!.tensor()) < tolerance)
            #expect(maximumDifference(model.text.hiddenState(ids), expected["text_hidden"]!.tensor()) < tolerance)
            let logits = model.logits(image: model.imageFeatures(pixels), text: model.textFeatures(ids))
            #expect(maximumDifference(logits, expected["logits_per_image"]!.tensor()) < tolerance)
        }
    }

    @Test(arguments: ["quick-gelu", "legacy-eos-gelu"])
    func packedLayersEqualPlainOnes(name: String) throws {
        let model = try CLIPModel(folder: fixture(name))
        let expected = try Weights(path: fixture("\(name)/expected.safetensors"))
        model.vision.kernel = .packed
        model.text.kernel = .packed
        inferenceMode {
            let images = model.imageFeatures(expected["pixel_values"]!.tensor())
            #expect(maximumDifference(images, expected["image_embeds"]!.tensor()) < tolerance)
            let texts = model.textFeatures(expected["input_ids"]!.tensor())
            #expect(maximumDifference(texts, expected["text_embeds"]!.tensor()) < tolerance)
        }
    }

    @Test func contrastiveGradientsEqualTheReference() throws {
        let model = try CLIPModel(folder: fixture("quick-gelu"), memory: .owned)
        let expected = try Weights(path: fixture("quick-gelu/expected.safetensors"))
        model.setRequiresGrad(true)
        let pixels = expected["pixel_values"]!.tensor()
        let ids = expected["input_ids"]!.tensor()[0..<2]
        let logits = model.logits(image: model.imageFeatures(pixels), text: model.textFeatures(ids))
        let targets = Tensor.arange(0, 2)
        let loss =
            (Functional.crossEntropy(logits, targets) + Functional.crossEntropy(logits.transposed(0, 1), targets)) / 2
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

    @Test func bfloat16StaysClose() throws {
        let model = try CLIPModel(folder: fixture("quick-gelu"), dtype: .bfloat16)
        let expected = try Weights(path: fixture("quick-gelu/expected.safetensors"))
        inferenceMode {
            let pairs = [
                (model.imageFeatures(expected["pixel_values"]!.tensor()), expected["image_embeds"]!.tensor()),
                (model.textFeatures(expected["input_ids"]!.tensor()), expected["text_embeds"]!.tensor()),
            ]
            for (got, reference) in pairs {
                let cosine = (got.to(.float32).normalized() * reference.normalized()).sum(-1)
                #expect(cosine.min().item() > 0.999)
            }
        }
    }

    @Test func permutingTheBatchPermutesTheResult() throws {
        let model = try CLIPModel(folder: fixture("quick-gelu"))
        let expected = try Weights(path: fixture("quick-gelu/expected.safetensors"))
        inferenceMode {
            let ids = expected["input_ids"]!.tensor()
            let order = Tensor([2, 0, 1])
            let direct = model.textFeatures(ids).indexSelect(0, order)
            #expect(maximumDifference(model.textFeatures(ids.indexSelect(0, order)), direct) < 1e-6)
        }
    }

    @Test func writtenModelsReadBackTheSame() throws {
        let folder = NSTemporaryDirectory() + "clip-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let model = try CLIPModel(folder: fixture("open-clip"))
        try AtomicFile.write(model.configuration.huggingFaceJSON, to: "\(folder)/config.json")
        try model.save(to: "\(folder)/model.safetensors")
        let first = try ContentHash.sha256(ofFile: "\(folder)/model.safetensors")
        try model.save(to: "\(folder)/model.safetensors")
        #expect(try ContentHash.sha256(ofFile: "\(folder)/model.safetensors") == first)

        let again = try CLIPModel(folder: folder)
        #expect(again.configuration == model.configuration)
        let expected = try Weights(path: fixture("open-clip/expected.safetensors"))
        inferenceMode {
            let images = again.imageFeatures(expected["pixel_values"]!.tensor())
            #expect(maximumDifference(images, expected["image_embeds"]!.tensor()) < tolerance)
        }
    }
}

@Suite struct CLIPFullSizeTests {
    @Test func vitB32EqualsTransformers() throws {
        try TorchRuntime.load()
        let model = CLIPModel(CLIPConfiguration())
        let parameters = model.namedParameters().sorted { $0.key < $1.key }
        withoutGradients {
            for (index, parameter) in parameters.enumerated() {
                let shape = parameter.tensor.shape
                let key = parameter.key
                if key == "logit_scale" {
                    parameter.tensor.fillInPlace(2.5)
                } else if key.contains("norm") || key.contains("layrnorm") {
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
        let expected = try Weights(path: fixture("vit-b-32/expected.safetensors"))
        let pixels = formulaWeights([2, 3, 224, 224], index: 5001, scale: 4)
        let ids = Tensor(
            [5, 9, 77].enumerated().flatMap { row, length -> [Int] in
                let body = (0..<length - 2).map { ($0 * 977 + row * 131) % 49000 + 5 }
                return [49406] + body + [49407] + Array(repeating: 49407, count: 77 - length)
            }, shape: [3, 77])
        inferenceMode {
            let images = model.imageFeatures(pixels)
            let texts = model.textFeatures(ids)
            let imageError = maximumDifference(images, expected["image_embeds"]!.tensor())
            let textError = maximumDifference(texts, expected["text_embeds"]!.tensor())
            print("ViT-B/32, float32, CPU: largest difference of image \(imageError), of text \(textError)")
            #expect(imageError < tolerance)
            #expect(textError < tolerance)
        }
        model.to(dtype: .bfloat16)
        inferenceMode {
            let images = model.imageFeatures(pixels).to(.float32)
            let cosine = (images.normalized() * expected["image_embeds"]!.tensor().normalized()).sum(-1).min().item()
            print("ViT-B/32, bfloat16, CPU: smallest cosine of image embeddings \(cosine)")
            #expect(cosine > 0.999)
        }
    }
}
