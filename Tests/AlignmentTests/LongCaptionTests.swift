import Datasets
import Encoders
import Foundation
import TestSupport
import Testing
import Torch
import TorchNN

@testable import Alignment

/// What Long-CLIP's way of training adds: principal components, smoothed targets, first sentences, trained text positions.
/// The whole of it is compared with PyTorch in `TrainingParityTests`.
@Suite struct LongCaptionTests {
    private static func random(_ shape: [Int], _ seed: UInt64) throws -> Tensor {
        try TorchRuntime.load()
        return Tensor.randn(shape, generator: Generator(seed: seed))
    }

    // MARK: Eigenvectors

    @Test(arguments: [1, 2, 3, 7, 40])
    func eigenvectors(count: Int) throws {
        let half = try Self.random([count, count], UInt64(count)).to(.float64)
        let product = half.matmul(half.transposed(0, 1))
        try check(product, count)
        // Of no definite sign, and the other way round.
        try check((half + half.transposed(0, 1)), count)
    }

    @Test func degenerateMatrices() throws {
        try TorchRuntime.load()
        for values in [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 5, 5], [3, 0, 0, -1]] as [[Double]] {
            let matrix = (0..<4).map { i in (0..<4).map { $0 == i ? values[i] : 0 } }
            let eigen = try #require(SymmetricEigen(matrix))
            #expect(eigen.values == values.sorted(by: >))
        }
        // One direction, many times.
        let ones = Tensor.ones([6, 6], dtype: .float64)
        try check(ones, 6)
        #expect(SymmetricEigen([[.nan, 1], [1, 2]])?.values.allSatisfy(\.isFinite) != true)
    }

    private func check(_ matrix: Tensor, _ count: Int) throws {
        let numbers = matrix.array(of: Double.self)
        let rows = (0..<count).map { Array(numbers[$0 * count..<($0 + 1) * count]) }
        let eigen = try #require(SymmetricEigen(rows))
        #expect(eigen.values == eigen.values.sorted(by: >))
        let vectors = Tensor(eigen.vectors.flatMap(\.self), shape: [count, count])
        let values = Tensor(eigen.values, shape: [count, 1])
        let scale = max(1, matrix.abs().max().item())
        #expect(maximumDifference(vectors.matmul(matrix), vectors * values) < 1e-12 * scale * Double(count))
        let identity = (Tensor.arange(0, count).unsqueezed(0) .== Tensor.arange(0, count).unsqueezed(1)).to(.float64)
        #expect(maximumDifference(vectors.matmul(vectors.transposed(0, 1)), identity) < 1e-12 * Double(count))
    }

    // MARK: Principal components

    @Test func whatIsKept() throws {
        // In a plane through the mean two components are all there is.
        let plane = try Self.random([9, 2], 1).matmul(Self.random([2, 5], 2)) + Self.random([1, 5], 3)
        #expect(maximumDifference(PrincipalComponents.reconstruct(plane, count: 2), plane) < 1e-5)
        #expect(maximumDifference(PrincipalComponents.reconstruct(plane, count: 1), plane) > 1e-2)
        // A batch that has no more components stays, whatever its size.
        let few = try Self.random([4, 6], 4)
        for count in [3, 4, 32] {
            #expect(maximumDifference(PrincipalComponents.reconstruct(few, count: count), few) == 0)
        }
        // The mean is kept, and a second time changes nothing.
        let batch = try Self.random([8, 6], 5)
        let once = PrincipalComponents.reconstruct(batch, count: 3)
        #expect(maximumDifference(once.mean(0), batch.mean(0)) < 1e-6)
        #expect(maximumDifference(PrincipalComponents.reconstruct(once, count: 3), once) < 1e-5)
    }

    /// Against differences: the components turn with the batch.
    @Test func theGradientKnowsTheComponents() throws {
        let batch = try Self.random([7, 5], 6).to(.float64), weight = try Self.random([7, 5], 7).to(.float64)
        func value(_ x: Tensor) -> Tensor { (PrincipalComponents.reconstruct(x, count: 2) * weight).sum() }
        let leaf = batch.clone()
        leaf.requiresGrad = true
        value(leaf).backward()
        let gradient = try #require(leaf.grad).array(of: Double.self)
        var numbers = batch.array(of: Double.self)
        for i in numbers.indices {
            let before = numbers[i]
            func at(_ shift: Double) -> Double {
                numbers[i] = before + shift
                return withoutGradients { value(Tensor(numbers, shape: [7, 5])).item() }
            }
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5
            numbers[i] = before
            #expect(abs(difference - gradient[i]) < 1e-6 * max(1, abs(difference)), "\(i)")
        }
    }

    // MARK: Smoothed targets

    @Test func smoothingIsLibtorchs() throws {
        let (a, b) = (try Self.random([5, 4], 8), try Self.random([5, 4], 9))
        let logits = a.normalized().matmul(b.normalized().transposed(0, 1)) / 0.2
        let order = Tensor.arange(0, 5)
        let want =
            (Functional.crossEntropy(logits, order, smoothing: 0.1)
                + Functional.crossEntropy(logits.transposed(0, 1), order, smoothing: 0.1)) / 2
        let got = ContrastiveLoss.symmetric(a, b, temperature: 0.2, smoothing: 0.1)
        #expect(abs(got.item() - want.item()) < 1e-5)
        // What is excluded gets no share, and leaves the loss finite.
        let excluded = ContrastiveLoss.repeats(of: [0, 1, 0, 2, 3])
        let finite = ContrastiveLoss.symmetric(a, b, temperature: 0.2, excluding: excluded, smoothing: 0.1)
        #expect(finite.item().isFinite && abs(finite.item() - got.item()) > 1e-3)
    }

    // MARK: First sentences

    @Test(arguments: [
        ("A dog runs. It is brown. The sky is blue.", "A dog runs"),
        ("A dog\nruns. It is\nbrown.", "A dog runs"),
        ("A dog runs.", "A dog runs."),
        ("A dog runs.\nIt is brown.", "A dog runs"),
        ("Wow... a dog. Then", "Wow.."),
        ("At 3.5 metres a dog", "At 3.5 metres a dog"),
        ("", ""),
        ("\u{1F415}. x", "\u{1F415}"),
    ])
    func firstSentences(caption: String, short: String) {
        #expect(Pair(id: "p", caption: caption, real: nil, generated: "g").shortCaption == short)
    }

    // MARK: Trained positions

    @Test func positionsUpToTwentyStay() throws {
        let task = try Case.longCLIP.task()
        let before = (try #require(task.towers.trunk as? CLIPModel)).textPositions.clone()
        let batches = try Case.longCLIP.batches()
        for step in 0..<3 { _ = try task.step(batches[step]) }
        let tuned = try #require(task.towers.tuned as? CLIPModel).textPositions.detached()
        #expect(tuned.shape == [25, 16])
        #expect(maximumDifference(tuned[0..<20], before[0..<20]) == 0)
        #expect(maximumDifference(tuned[20..<25], before[20..<25]) > 1e-4)
        #expect(try #require(task.optimizer.groups.last).name == "text_positions")
        // A checkpoint's positions give another encoder the same texts.
        try withTemporaryFolder { folder in
            try task.save(to: folder)
            let fresh = try Case.longCLIP.trunk()
            let ids = batches.ids[0]
            let text = try #require(fresh as? any TextEncoder)
            let plain = withoutGradients { text.textFeatures(ids) }
            try TunedText.load("\(folder)/\(AlignmentTask.Files.textPositions)", into: [fresh])
            let (got, want) = withoutGradients { (text.textFeatures(ids), task.text!.features(ids)) }
            #expect(maximumDifference(got, want) < 1e-6)
            #expect(maximumDifference(got, plain) > 1e-4)
        }
    }

    @Test func encodersWithoutSuchPositions() throws {
        func refusal(_ run: Case) throws -> String {
            message { _ = try run.task { $0.trainsTextPositions = true } }
        }
        let end = "; leave it false, or give a Long-CLIP (gmail model stretch makes one)"
        #expect(
            try refusal(.loraText)
                == "text.trainPositions trains a CLIP's text positions from 20 on; the model has 9 positions" + end)
        #expect(
            try refusal(.sigLIPSigmoid)
                == "text.trainPositions trains a CLIP's text positions from 20 on; the model has 8 positions" + end)
    }

    // MARK: Recipes

    @Test func theRecipeIsLongCLIPs() throws {
        let recipe = try AlignmentRecipe("long-clip")
        let settings = AlignmentSettings(recipe, encoder: try trunk(), dtype: .float32)
        #expect(settings.loss.shortCaptionWeight == 1 && settings.loss.generatedTextWeight == 1)
        #expect(settings.loss.principalComponents == 32 && settings.loss.labelSmoothing == 0.1)
        #expect(settings.loss.textTemperature == 0.01 && settings.loss.temperature == 0.07)
        #expect(settings.trainsTextPositions && settings.textLearningRate == 1e-6)
        #expect(recipe.paper.numbers.first { $0.metric == "ShareGPT4V i2t R@1" }?.value == 97.2)
    }

    @Test(arguments: [
        (
            ["loss.shortCaptionWeight=1", "training.batchSize=33"],
            "recipe key 'training.batchSize': expected at least 34: fewer pairs have no more than the 32 principal components "
                + "that loss.shortCaptionWeight keeps, got 33"
        ),
        (
            ["text.trainPositions=true"],
            "recipe key 'text.trainPositions': expected false, or a loss with text: loss.generatedTextWeight or another above "
                + "0, got true"
        ),
        (["loss.labelSmoothing=1"], "recipe key 'loss.labelSmoothing': expected 0 up to but not 1, got 1.0"),
        (["loss.principalComponents=0"], "recipe key 'loss.principalComponents': expected 1 to 1000000, got 0"),
        (["text.learningRate=0"], "recipe key 'text.learningRate': expected "),
        (["loss.textTemperature=-1"], "recipe key 'loss.textTemperature': expected "),
    ])
    func settingsThatDoNotFit(overrides: [String], text: String) {
        #expect(message { _ = try AlignmentRecipe("gmail", overrides: overrides) }.contains(text))
    }

    @Test func theSigmoidLossHasNoShortCaptions() {
        var loss = AlignmentLoss(objective: .sigmoid)
        loss.shortCaptionWeight = 1
        #expect(
            message { try loss.validate(projection: .none, input: 4, textInput: 4) }
                == "setting 'loss.shortCaptionWeight' is 1.0, expected 0 with the sigmoid loss, which compares by cosine"
        )
    }
}
