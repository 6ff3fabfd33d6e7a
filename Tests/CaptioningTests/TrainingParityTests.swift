import LanguageModels
import Testing
import Torch
import TorchNN
import Training

@testable import Captioning

/// Rounding of float32 in another order of operations; losses are around 5, gradients below 1.
private let tolerance = 1e-5

/// Training steps against plain torch; see make_clipcap_fixtures.py.
@Suite struct TrainingParityTests {
    enum Case: String, CaseIterable, Sendable {
        /// GPT-2 trained, embeddings of length one, padding ignored, gradients clipped.
        case mlp
        /// GPT-2 frozen, and as the authors' code has it: embeddings as they are, token 0 ignored, AdamW's epsilon 1e-6.
        case transformer

        var recipe: CaptionerRecipe {
            var recipe = CaptionerRecipe()
            recipe.clipcap.prefixLength = 5
            recipe.clipcap.clipLength = 3
            recipe.clipcap.layers = 2
            recipe.languageModel.dropout = false
            recipe.training.learningRate = 2e-3
            recipe.training.schedule = .constant
            recipe.training.warmupSteps = 0
            if self == .transformer {
                recipe.clipcap.mapper = .transformer
                recipe.clipcap.normalizeFeatures = false
                recipe.languageModel.frozen = true
                recipe.captions.ignoreTokenZero = true
                recipe.training.epsilon = 1e-6
                recipe.training.clipNorm = nil
            }
            return recipe
        }

        /// The fixture's start.
        func task(_ change: (inout CaptionerRecipe) -> Void = { _ in }) throws -> CaptionerTask {
            var recipe = recipe
            change(&recipe)
            let language = try GPT2LanguageModel(folder: fixture("gpt2"), memory: .owned)
            let mapper = try PrefixMapper.make(
                ClipCapConfiguration(
                    recipe.clipcap,
                    CaptionerSurroundings(
                        featureSize: 10, languageModel: LanguageModelFolder(fixture("gpt2")).configuration,
                        ending: recipe.captions.ending)))
            let expected = try expected()
            try mapper.load(expected.below("start."), memory: .owned)
            return try CaptionerTask(
                model: ClipCapModel(mapper: mapper, languageModel: language), recipe: recipe,
                dtype: .float32, totalSteps: 3)
        }

        func expected() throws -> Weights { try Weights(path: fixture("\(rawValue)/expected.safetensors")) }

        func batch(_ step: Int) throws -> CaptionerTask.Batch {
            let expected = try expected()
            let tokens = try #require(expected["tokens.\(step)"]).tensor()
            let lengths = try #require(expected["lengths.\(step)"]).tensor().array(of: Int.self)
            let rows = lengths.enumerated().map { row, length in Array(tokens[row].array(of: Int.self).prefix(length)) }
            let ignored = recipe.captions.ignoreTokenZero ? 0 : nil
            return CaptionerTask.Batch(
                ids: rows.indices.map { "caption-\($0)" },
                features: try #require(expected["features.\(step)"]).tensor(),
                tokens: { CaptionTokens(Array(rows[$0]), ignoring: ignored) })
        }
    }

    @Test(arguments: Case.allCases)
    func firstGradientsAreTorchs(of example: Case) throws {
        let task = try example.task()
        let expected = try example.expected()
        let batch = try example.batch(0)
        let loss = try #require(task.model.loss(features: batch.features, captions: batch.tokens(0..<4)))
        #expect(
            abs(loss.item() - expected["losses"]!.tensor().array(of: Double.self)[0]) < tolerance)
        loss.backward()
        let keys = expected.entries.keys.filter { $0.hasPrefix("gradient.") }
        let parameters = task.optimizer.groups.flatMap(\.parameters)
        #expect(Set(keys.map { String($0.dropFirst(9)) }) == Set(parameters.map(\.key)))
        for parameter in parameters {
            let gradient = try #require(parameter.tensor.grad, "\(parameter.key)")
            let want = try #require(expected["gradient.\(parameter.key)"]).tensor()
            #expect(maximumDifference(gradient, want) < tolerance, "\(parameter.key)")
        }
        if example == .transformer {
            for parameter in task.model.languageModel.namedParameters() { #expect(parameter.tensor.grad == nil) }
        }
    }

    @Test(arguments: Case.allCases)
    func threeStepsAreTorchs(of example: Case) throws {
        let task = try example.task()
        let expected = try example.expected()
        let losses = expected["losses"]!.tensor().array(of: Double.self)
        for step in 0..<3 {
            let report = try task.step(example.batch(step), step: step)
            #expect(abs(report.loss - losses[step]) < tolerance, "step \(step)")
        }
        var largest = 0.0
        for parameter in task.optimizer.groups.flatMap(\.parameters) {
            let want = try #require(expected["trained.\(parameter.key)"], "\(parameter.key)").tensor()
            for part in Self.determined(parameter.key, width: want.size(0)) {
                largest = max(largest, maximumDifference(parameter.tensor[part], want[part]))
            }
        }
        print("\(example): largest difference of a parameter after three steps \(largest)")
        #expect(largest < tolerance)
    }

    /// Rows of a parameter whose gradient is not 0 by construction. A bias of all keys shifts every score of a query by
    /// the same amount, which softmax cancels. So its gradient is rounding, which AdamW scales up to whole steps.
    private static func determined(_ key: String, width: Int) -> [Range<Int>] {
        key.hasSuffix("attn.c_attn.bias") ? [0..<width / 3, 2 * width / 3..<width] : [0..<width]
    }

    /// A batch in parts has the gradient of the whole, though its parts have other numbers of tokens.
    @Test(arguments: Case.allCases)
    func partsHaveTheGradientOfTheWhole(of example: Case) throws {
        func train(_ size: Int?) throws -> (losses: [Double], keys: [String], weights: [Tensor]) {
            let task = try example.task { $0.training.microBatchSize = size }
            let losses = try (0..<3).map { try task.step(example.batch($0), step: $0).loss }
            let parameters = task.optimizer.groups.flatMap(\.parameters)
            return (losses, parameters.map(\.key), parameters.map(\.tensor))
        }
        let whole = try train(nil)
        for size in [1, 3] {
            let parts = try train(size)
            for (a, b) in zip(whole.losses, parts.losses) { #expect(abs(a - b) < tolerance) }
            for (key, (a, b)) in zip(whole.keys, zip(whole.weights, parts.weights)) {
                for part in Self.determined(key, width: a.size(0)) {
                    #expect(maximumDifference(a[part], b[part]) < tolerance, "\(key), parts of \(size)")
                }
            }
        }
    }

    /// Neither the filling of a row nor its length changes anything, because only counted tokens matter.
    @Test func paddingDoesNotCount() throws {
        let task = try Case.mlp.task()
        let batch = try Case.mlp.batch(0)
        let rows = (0..<4).map { batch.tokens($0..<$0 + 1) }
        let single = rows.enumerated().map { row, tokens in
            task.model.loss(features: batch.features[row..<row + 1], captions: tokens)!.item()
                * Double(tokens.countedTokens)
        }
        let whole = task.model.loss(features: batch.features, captions: batch.tokens(0..<4))!.item()
        let count = rows.reduce(0) { $0 + $1.countedTokens }
        #expect(abs(whole - single.reduce(0, +) / Double(count)) < tolerance)
    }

    @Test func tokenZeroCountsUnlessTheAuthorsWayIsAskedFor() {
        let rows = [[3, 0, 5], [0]]
        #expect(CaptionTokens(rows).targets.array(of: Int.self) == [3, 0, 5, 0, -100, -100])
        #expect(CaptionTokens(rows, ignoring: 0).targets.array(of: Int.self) == [3, -100, 5, -100, -100, -100])
        #expect(CaptionTokens(rows).inputs.array(of: Int.self) == [3, 0, 0, 0])
        #expect(CaptionTokens(rows).countedTokens == 4)
        #expect(CaptionTokens([[0], [0, 0]], ignoring: 0).countedTokens == 0)
    }

    @Test func aLossThatIsNotFiniteChangesNoWeight() throws {
        let task = try Case.mlp.task()
        let batch = try Case.mlp.batch(0)
        let before = task.optimizer.parameters.map { $0.detached().clone() }
        let broken = CaptionerTask.Batch(
            ids: batch.ids, features: Tensor.full([4, 10], .nan), tokens: batch.tokens)
        #expect(
            message { _ = try task.step(broken, step: 4) }
                == "the loss of step 5 is nan; stopped before the optimizer step, no weight was changed. Samples: caption-0, caption-1, "
                + "caption-2, caption-3. Look at them, or lower the learning rate"
        )
        for (a, b) in zip(before, task.optimizer.parameters) { #expect(maximumDifference(a, b) == 0) }
    }

    /// bfloat16 products, float32 weights, loss and optimizer.
    @Test(arguments: Case.allCases)
    func bfloat16IsNear(of example: Case) throws {
        let recipe = example.recipe
        let reference = try example.task()
        let task = try CaptionerTask(
            model: example.task().model, recipe: recipe, dtype: .bfloat16, totalSteps: 3)
        for step in 0..<3 {
            let near = try task.step(example.batch(step), step: step).loss
            let exact = try reference.step(example.batch(step), step: step).loss
            #expect(abs(near - exact) < 0.1 * abs(exact), "step \(step): \(near), \(exact)")
        }
        #expect(task.optimizer.parameters.allSatisfy { $0.dtype == .float32 })
    }
}
