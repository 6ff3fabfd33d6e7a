import Foundation
import TestSupport
import Testing
import Torch
import TorchNN

@testable import LanguageModels

// Whole tensors against transformers (Fixtures/make_language_model_fixtures.py); every axis has another size.

/// float32 against float32 with another order of summation.
private let tolerance = 1e-4

@Suite struct GPT2ParityTests {
    @Test(arguments: [("tiny", "tiny"), ("odd", "odd-sharded"), ("base", "base-layout")])
    func logitsEqualTransformers(name: String, folder: String) throws {
        let model = try GPT2LanguageModel(folder: fixture(folder))
        let reference = try expected()
        try inferenceMode {
            let logits = model(try reference.tensor("\(name).ids"))
            #expect(maximumDifference(logits, try reference.tensor("\(name).logits")) < tolerance)
        }
    }

    @Test func paddingOnTheLeftChangesNothing() throws {
        let model = try GPT2LanguageModel(folder: fixture("tiny"))
        let reference = try expected()
        try inferenceMode {
            let ids = try reference.tensor("tiny.ids")
            let mask = try reference.tensor("tiny.mask")
            let kept = mask.to(.float32).unsqueezed(2)  // logits of padded positions mean nothing
            let placed = model(ids, attentionMask: mask, positions: try reference.tensor("tiny.positions"))
            #expect(maximumDifference(placed * kept, try reference.tensor("tiny.padded_logits") * kept) < tolerance)
            #expect(placed.isFinite().all())
            let counted = model(ids, attentionMask: mask)
            #expect(maximumDifference(counted * kept, try reference.tensor("tiny.masked_logits") * kept) < tolerance)
            // Row 3 has one token after 6 of padding: the same as that token alone.
            let alone = model(ids.slice(1, 6..<7))
            #expect(maximumDifference(placed[3][6], alone[3][0]) < tolerance)
        }
    }

    @Test func prefixEmbeddingsEqualTransformers() throws {
        let model = try GPT2LanguageModel(folder: fixture("tiny"))
        let reference = try expected()
        try inferenceMode {
            let embeddings = Tensor.cat(
                [try reference.tensor("tiny.prefix"), model.embed(try reference.tensor("tiny.ids"))], dim: 1)
            let logits = model(embeddings: embeddings)
            #expect(maximumDifference(logits, try reference.tensor("tiny.prefix_logits")) < tolerance)
        }
    }

    @Test func packedLayersEqualPlainOnes() throws {
        let model = try GPT2LanguageModel(folder: fixture("tiny"))
        let ids = Tensor((0..<5 * 9).map { Int64($0 * 37 % 101) }, shape: [5, 9])
        inferenceMode {
            let plain = model(ids)
            model.useKernel(.packed)
            #expect(maximumDifference(model(ids), plain) < tolerance)
            model.useKernel(.plain)
            #expect(maximumDifference(model(ids), plain) == 0)
        }
    }

    /// The kernels for few rows, in both layouts and for every count of rows that they take, and one more.
    @Test func fewRowsEqualLinear() {
        let generator = Generator(seed: 8)
        for (inputs, outputs) in [(301, 523), (768, 2304), (130, 1031)] {
            let weight = Tensor.randn([inputs, outputs], generator: generator)
            let bias = Tensor.randn([outputs], generator: generator)
            for rows in 1...9 {
                let x = Tensor.randn([rows, inputs], generator: generator)
                let wanted = x.to(.float64).matmul(weight.to(.float64)) + bias.to(.float64)
                for isInputFirst in [true, false] {
                    let stored = isInputFirst ? weight : weight.transposed(0, 1).contiguous()
                    let got = Functional.fewRowsLinear(
                        x.reshaped(1, rows, inputs), weight: stored, isInputFirst: isInputFirst, bias: bias)
                    #expect(maximumDifference(got[0], wanted) < 1e-4 * Double(inputs).squareRoot())
                }
            }
        }
    }

    @Test func bestTokensEqualLogSoftmaxAndTopK() {
        let generator = Generator(seed: 9)
        for (rows, width, count) in [(3, 101, 10), (2, 5003, 17), (1, 8, 8), (4, 50257, 10)] {
            let logits = Tensor.randn([rows, width], generator: generator) * 4
            for excluded in [[], count < width ? [0, width - 1].prefix(width - count).map { $0 } : []] {
                var scores = logits.to(.float64).logSoftmax(1)
                for id in excluded { scores = scores.maskedFill(Tensor.arange(0, width) .== Double(id), -.infinity) }
                let wanted = scores.topK(count, dim: 1)
                let got = logits.bestTokens(count, excluding: excluded)
                #expect(got.ids.array(of: Int64.self) == wanted.indices.array(of: Int64.self))
                #expect(maximumDifference(got.logProbabilities, wanted.values) < 1e-5)
            }
        }
        // Among equals the smaller id.
        let flat = Tensor([Float](repeating: 1, count: 40), shape: [1, 40]).bestTokens(9)
        #expect(flat.ids.array(of: Int64.self) == Array(0..<9))
        #expect(abs(flat.logProbabilities[0][8].item() + log(40)) < 1e-6)
    }

    /// Prompt at once, then tokens singly and in pairs, over a cache that has to grow, equals all at once.
    @Test(arguments: [false, true]) func cacheEqualsNoCache(isPadded: Bool) throws {
        let model = try GPT2LanguageModel(folder: fixture("tiny"))
        var numbers = FixtureNumbers(seed: 3)
        let ids = Tensor((0..<4 * 50).map { _ in Int64(numbers.next() * 101) }, shape: [4, 50])
        let rows = [0, 3, 1, 2].map { padding in (0..<50).map { !isPadded || $0 >= padding } }
        let mask = Tensor(rows.flatMap { $0 }, shape: [4, 50])
        inferenceMode {
            let whole = model(ids, attentionMask: isPadded ? mask : nil)
            let cache = KeyValueCache(layerCount: 3, headCount: 5, headSize: 6, block: 8)
            var parts: [Tensor] = []
            for range in [0..<4, 4..<5, 5..<7, 7..<8] + (8..<50).map({ $0..<$0 + 1 }) {
                parts.append(
                    model(
                        ids.slice(1, range), attentionMask: isPadded ? mask.slice(1, 0..<range.upperBound) : nil,
                        cache: cache))
                #expect(cache.length == range.upperBound)
            }
            #expect(maximumDifference(.cat(parts, dim: 1), whole) < tolerance)
        }
    }

    /// Rows that change places, multiply and end take their histories along.
    @Test func selectedRowsKeepTheirHistory() throws {
        let model = try GPT2LanguageModel(folder: fixture("tiny"))
        let ids = try expected().tensor("tiny.ids")
        inferenceMode {
            for rows in [[0, 1, 2, 3], [1, 0, 2, 3], [0, 0, 3, 3], [3, 2, 1, 0], [2], [0, 0, 1, 1, 2, 3, 3]] {
                let cache = model.makeCache()
                _ = model(ids, cache: cache)
                cache.select(rows: rows)
                let index = Tensor(rows.map(Int64.init))
                let next = ids.slice(1, 2..<3).indexSelect(0, index)
                let direct = model(.cat([ids.indexSelect(0, index), next], dim: 1))
                #expect(maximumDifference(model(next, cache: cache), direct.slice(1, 7..<8)) < tolerance, "\(rows)")
            }
        }
    }

    @Test func gradientsEqualTransformers() throws {
        let model = try GPT2LanguageModel(folder: fixture("odd-sharded"), memory: .owned)
        model.setRequiresGrad(true)
        let reference = try expected()
        let loss = try model.loss(
            embeddings: model.embed(reference.tensor("odd.ids")), labels: reference.tensor("odd.labels"))
        loss.backward()
        #expect(abs(loss.item() - (try reference.tensor("odd.loss").item())) < 1e-5)
        var compared = 0
        for parameter in model.namedParameters() {
            let gradient = try #require(parameter.tensor.grad, "no gradient reached \(parameter.key)")
            #expect(
                maximumDifference(gradient, try reference.tensor("odd.grad.\(parameter.key)")) < 1e-5,
                "\(parameter.key)")
            compared += 1
        }
        #expect(compared == reference.entries.keys.filter { $0.hasPrefix("odd.grad.") }.count)
    }

    /// The gradient of a tied head joins that of the embedding; a frozen model passes one to its input alone.
    @Test func lossOfChosenPositionsEqualsTheWholeOne() throws {
        let model = try GPT2LanguageModel(folder: fixture("tiny"), memory: .owned)
        let reference = try expected()
        let prefix = try reference.tensor("tiny.prefix")
        let ids = try reference.tensor("tiny.ids")
        for isTrained in [true, false] {
            model.setRequiresGrad(isTrained)
            var gradients: [[Tensor]] = []
            for isFused in [true, false] {
                let input = prefix.clone()
                input.requiresGrad = true
                for parameter in model.namedParameters() { parameter.tensor.grad = nil }
                let embeddings = Tensor.cat([input, model.embed(ids)], dim: 1)  // [4, 12, 30]
                let loss: Tensor
                if isFused {
                    loss = model.loss(embeddings: embeddings, targets: ids, from: 4, ignoring: 7)
                } else {
                    let logits = model(embeddings: embeddings).slice(1, 4..<11)
                    loss = Functional.crossEntropy(logits.reshaped(-1, 101), ids.reshaped(-1), ignoring: 7)
                }
                loss.backward()
                var found = [loss, try #require(input.grad)]
                if isTrained { found += try model.namedParameters().map { try #require($0.tensor.grad) } }
                gradients.append(found)
            }
            for (fused, plain) in zip(gradients[0], gradients[1]) { #expect(maximumDifference(fused, plain) < 1e-5) }
        }
    }

    @Test func dropoutNeedsTrainingAndAGenerator() throws {
        let model = try GPT2LanguageModel(folder: fixture("tiny"))
        let ids = try expected().tensor("tiny.ids")
        let plain = model(ids)
        model.setTraining(true)
        #expect(maximumDifference(model(ids), plain) == 0)
        model.dropoutGenerator = Generator(seed: 1)
        let first = model(ids)
        #expect(maximumDifference(first, plain) > 0.01)
        #expect(maximumDifference(model(ids), first) > 0.01)
        model.dropoutGenerator = Generator(seed: 1)
        #expect(maximumDifference(model(ids), first) == 0)
        model.setTraining(false)
        #expect(maximumDifference(model(ids), plain) == 0)
    }

    /// Dropped attention weights are rescaled, so over many draws the result is that without dropout on average.
    @Test func attentionDropoutIsUnbiased() throws {
        var configuration = GPT2Configuration()
        configuration.hiddenSize = 6
        configuration.headCount = 2
        configuration.attentionDropout = 0.3
        configuration.residualDropout = 0
        let attention = GPT2Attention(configuration, layer: 0)
        let generator = Generator(seed: 4)
        for layer in [attention.queryKeyValue, attention.output] {
            layer.weight.normalInPlace(generator: generator)
            layer.bias.fillInPlace(0)
        }
        let x = Tensor.randn([1, 5, 6], generator: generator)
        let pattern = AttentionPattern(mask: nil, past: 0, newCount: 5, device: .cpu)
        let plain = attention(x, pattern: pattern, cache: nil, layer: 0, dropout: nil)
        let many = attention(
            x.expanded(20000, 5, 6).contiguous(), pattern: pattern, cache: nil, layer: 0, dropout: generator)
        #expect(maximumDifference(many.mean(0, keep: true), plain) < 0.15)
        // The first position attends to itself alone, dropped or rescaled.
        #expect(maximumDifference(many[0][0], plain[0][0]) > 0.01)
    }

    @Test func initialisationHasGPT2sSpread() throws {
        var configuration = GPT2Configuration()
        configuration.vocabularySize = 300
        configuration.contextLength = 200
        configuration.hiddenSize = 96
        configuration.headCount = 4
        configuration.layerCount = 8
        let model = GPT2LanguageModel(configuration)
        model.initialize(generator: Generator(seed: 5))
        func spread(_ tensor: Tensor) -> Double { tensor.square().mean().sqrt().item() }
        #expect(abs(spread(model.decoder.tokens.weight) - 0.02) < 0.001)
        #expect(abs(spread(model.decoder.blocks[3].attention.queryKeyValue.weight) - 0.02) < 0.001)
        for layer in [model.decoder.blocks[7].attention.output, model.decoder.blocks[7].mlp.down] {
            #expect(abs(spread(layer.weight) - 0.02 / 4) < 0.0005)
            #expect(layer.bias.abs().max().item() == 0)
        }
        #expect(model.decoder.finalNorm.weight.min().item() == 1)
        let again = GPT2LanguageModel(configuration)
        again.initialize(generator: Generator(seed: 5))
        #expect(maximumDifference(again.decoder.blocks[2].mlp.up.weight, model.decoder.blocks[2].mlp.up.weight) == 0)
    }

    @Test func writtenFoldersReadBackTheSame() throws {
        for name in ["tiny", "odd-sharded", "base-layout"] {
            let model = try GPT2LanguageModel(folder: fixture(name))
            try withTemporaryFolder { folder in
                try model.saveFolder(folder)
                let again = try GPT2LanguageModel(folder: folder)
                #expect(again.configuration == model.configuration)
                let keys = try Weights(path: "\(folder)/model.safetensors").entries.keys
                #expect(keys.contains("lm_head.weight") == !model.configuration.tiesHead)
                #expect(keys.contains("transformer.h.1.mlp.c_proj.weight"))
                // transformers wrote the fixture: the same names, no more and no fewer.
                if name != "base-layout" { #expect(Set(keys) == Set(try Weights(path: fixture(name)).entries.keys)) }
                let ids = Tensor([Int64(1), 5, 3], shape: [1, 3])
                #expect(maximumDifference(again(ids), model(ids)) == 0)
            }
        }
    }
}

@Suite struct GPT2FullSizeTests {
    private static let folder = TestCondition.file(named: "GMAIL_GPT2_REFERENCE")

    /// GPT-2 small, written with its reference by Fixtures/make_gpt2_reference.py.
    @Test(.enabled(if: folder != nil, "GMAIL_GPT2_REFERENCE, a folder of make_gpt2_reference.py"))
    func smallSizeEqualsTransformers() throws {
        let folder = try #require(Self.folder)
        let model = try GPT2LanguageModel(folder: folder)
        let reference = try Weights(path: "\(folder)/expected.safetensors")
        try inferenceMode {
            let ids = try reference.tensor("ids")
            let mask = try reference.tensor("mask")
            let kept = mask.to(.float32).unsqueezed(2)
            let logits = model(ids, attentionMask: mask, positions: try reference.tensor("positions"))
            let difference = maximumDifference(logits * kept, try reference.tensor("logits") * kept)
            print("report: GPT-2 small: logits differ from transformers by at most \(difference)")
            #expect(difference < tolerance)
            let rows = ids.array(of: Int64.self).map { Int($0) }
            let paddings = mask.to(.int64).sum(1).array(of: Int64.self).map { 37 - Int($0) }
            let prompts = paddings.enumerated().map { row, padding in
                Prompt(tokens: Array(rows[row * 37 + padding..<(row + 1) * 37]))
            }
            for (name, strategy) in [("greedy", GenerationSettings.Strategy.greedy), ("beams", .beams(.init()))] {
                let tokens = try model.generate(prompts, GenerationSettings(strategy, maximumNewTokens: 12))
                let wanted = try reference.tensor(name).array(of: Int64.self).map { Int($0) }
                #expect(tokens.flatMap { $0[0].tokens } == wanted, "\(name)")
            }
        }
    }
}
