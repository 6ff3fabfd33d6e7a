import Files
import Foundation
import Testing
import Torch

@testable import Alignment

/// float32 sums of a few terms.
private let rounding = 1e-6

@Suite struct ContrastiveLossTests {
    private func random(_ rows: Int, seed: UInt64) -> Tensor {
        .randn([rows, 7], generator: Generator(seed: seed))
    }

    /// Eq. 1 written out in Double.
    private func reference(_ a: Tensor, _ b: Tensor, _ temperature: Double, groups: [Int]) -> Double {
        func rows(_ tensor: Tensor) -> [[Double]] {
            let flat = tensor.array(of: Double.self)
            let width = tensor.size(1)
            return stride(from: 0, to: flat.count, by: width).map { Array(flat[$0..<$0 + width]) }
        }
        func cosine(_ x: [Double], _ y: [Double]) -> Double {
            func dot(_ x: [Double], _ y: [Double]) -> Double {
                var sum = 0.0
                for index in x.indices { sum += x[index] * y[index] }
                return sum
            }
            return dot(x, y) / (dot(x, x) * dot(y, y)).squareRoot()
        }
        let (x, y) = (rows(a), rows(b))
        let terms = x.indices.map { i -> Double in
            var denominator = 0.0
            for j in y.indices where j == i || groups[j] != groups[i] {
                denominator += exp(cosine(x[i], y[j]) / temperature)
            }
            return log(denominator) - cosine(x[i], y[i]) / temperature
        }
        return terms.reduce(0, +) / Double(terms.count)
    }

    @Test func equationOneWrittenOut() {
        let a = random(5, seed: 1)
        let b = random(5, seed: 2)
        for groups in [[0, 1, 2, 3, 4], [0, 1, 0, 3, 0], [1, 1, 2, 2, 2]] {
            let mask = ContrastiveLoss.repeats(of: groups)
            let loss = ContrastiveLoss.oneDirection(a, b, temperature: 0.07, excluding: mask).item()
            #expect(abs(loss - reference(a, b, 0.07, groups: groups)) < 1e-5)
            let both = ContrastiveLoss.symmetric(a, b, temperature: 0.2, excluding: mask).item()
            let expected = (reference(a, b, 0.2, groups: groups) + reference(b, a, 0.2, groups: groups)) / 2
            #expect(abs(both - expected) < 1e-5)
        }
    }

    @Test(arguments: [2, 3, 8]) func uninformativeEmbeddingsCostLogB(count: Int) {
        let same = random(1, seed: 3).expanded(count, 7)
        for loss in [
            ContrastiveLoss.oneDirection(same, random(count, seed: 4)[0..<1].expanded(count, 7), temperature: 0.07),
            ContrastiveLoss.symmetric(same, same, temperature: 0.07),
        ] {
            #expect(abs(loss.item() - log(Double(count))) < rounding)
        }
    }

    @Test func repeatedRealImagesAreNotNegatives() {
        // Two pairs of one real image among four: uninformative embeddings see three candidates there, four elsewhere.
        let same = random(1, seed: 3).expanded(4, 7)
        let mask = ContrastiveLoss.repeats(of: ["a", "b", "a", "c"])
        let loss = ContrastiveLoss.oneDirection(same, same, temperature: 0.07, excluding: mask).item()
        #expect(abs(loss - (2 * log(3) + 2 * log(4)) / 4) < rounding)
        // All pairs of one image: nothing to tell apart.
        let all = ContrastiveLoss.repeats(of: ["a", "a", "a", "a"])
        #expect(abs(ContrastiveLoss.oneDirection(same, same, temperature: 0.07, excluding: all).item()) < rounding)
        #expect(ContrastiveLoss.repeats(of: [1, 2, 3]) == nil)
        #expect(
            mask?.array(of: Bool.self) == [
                false, false, true, false, false, false, false, false, true, false, false, false, false, false, false,
                false,
            ])
    }

    @Test func maskedPairsGiveFiniteGradients() {
        let a = random(4, seed: 5)
        let b = random(4, seed: 6)
        a.requiresGrad = true
        b.requiresGrad = true
        let mask = ContrastiveLoss.repeats(of: [0, 0, 0, 1])
        ContrastiveLoss.symmetric(a, b, temperature: 0.07, excluding: mask).backward()
        #expect(a.grad!.isFinite().array(of: Bool.self).allSatisfy { $0 })
        #expect(b.grad!.isFinite().array(of: Bool.self).allSatisfy { $0 })
    }

    @Test func alignedPairsCostNothingAndLengthDoesNotMatter() {
        let a = random(3, seed: 7)
        let eye = (Tensor.arange(0, 7).unsqueezed(0) .== Tensor.arange(0, 7).unsqueezed(1)).to(.float32)
        #expect(ContrastiveLoss.oneDirection(eye, eye * 5, temperature: 0.01).item() < 1e-4)
        let b = random(3, seed: 8)
        let first = ContrastiveLoss.oneDirection(a, b, temperature: 0.07).item()
        #expect(abs(ContrastiveLoss.oneDirection(a * 3, b * 0.2, temperature: 0.07).item() - first) < 1e-5)
    }

    @Test func orderOfThePairsDoesNotMatter() {
        let a = random(5, seed: 9)
        let b = random(5, seed: 10)
        let groups = [0, 1, 1, 2, 3]
        let order = [3, 0, 4, 2, 1]
        func loss(_ a: Tensor, _ b: Tensor, _ groups: [Int]) -> Double {
            ContrastiveLoss.oneDirection(a, b, temperature: 0.07, excluding: ContrastiveLoss.repeats(of: groups)).item()
        }
        let rows = Tensor(order)
        let permuted = loss(a.indexSelect(0, rows), b.indexSelect(0, rows), order.map { groups[$0] })
        #expect(abs(permuted - loss(a, b, groups)) < 1e-5)
    }

    @Test func termsAndWeights() {
        let generated = Embeddings<Generated>(random(4, seed: 1))
        let real = Embeddings<Real>(random(4, seed: 2))
        let text = random(4, seed: 3)
        let ids: [ExactString] = ["a", "b", "a", "c"]
        let mask = ContrastiveLoss.repeats(of: ids)
        let loss = AlignmentLoss(
            objective: .generatedToReal, temperature: 0.1, alignmentWeight: 2, generatedTextWeight: 0.5,
            realTextWeight: 0.25)
        let terms = loss(generated: generated, real: real, text: text, realIDs: ids)
        let align = ContrastiveLoss.oneDirection(generated.tensor, real.tensor, temperature: 0.1, excluding: mask)
        let generatedText = ContrastiveLoss.symmetric(generated.tensor, text, temperature: 0.1, excluding: mask)
        let realText = ContrastiveLoss.symmetric(real.tensor, text, temperature: 0.1, excluding: mask)
        #expect(terms.parts.map(\.name) == ["align", "generated_text", "real_text"])
        for (part, expected) in zip(terms.parts, [align, generatedText, realText]) {
            #expect(part.value.item() == expected.item())
        }
        let sum = 2 * align.item() + 0.5 * generatedText.item() + 0.25 * realText.item()
        #expect(abs(terms.total.item() - sum) < 1e-5)
    }

    @Test func mixedTrainingContrastsBothKindsWithText() {
        let generated = Embeddings<Generated>(random(3, seed: 1))
        let real = Embeddings<Real>(random(3, seed: 2))
        let text = random(3, seed: 3)
        let terms = AlignmentLoss(objective: .mixed, temperature: 0.1)(
            generated: generated, real: real, text: text, realIDs: ["a", "b", "c"])
        let groups = [0, 1, 2, 0, 1, 2]
        let images = Tensor.cat([generated.tensor, real.tensor])
        let texts = Tensor.cat([text, text])
        let expected =
            (reference(images, texts, 0.1, groups: groups) + reference(texts, images, 0.1, groups: groups)) / 2
        #expect(abs(terms.total.item() - expected) < 1e-5)
    }
}
