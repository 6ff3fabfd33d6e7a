import Testing

@testable import Torch

/// Attention on tokens with their heads side by side, against softmax(q kᵀ) v spelt out in float64.
@Suite struct HeadAttentionTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let queries: Int
        let keys: Int
        let heads: Int
        let width: Int
        var causal = false
        var scale: Double?
        var testDescription: String {
            "\(queries) to \(keys), \(heads) x \(width)\(causal ? ", causal" : "")\(scale.map { ", scale \($0)" } ?? "")"
        }
    }

    /// Lengths around the kernels' blocks (64 queries, 256 keys, 16 lanes); widths they take (multiples of 16) and leave.
    static let cases = [
        Case(queries: 50, keys: 50, heads: 3, width: 64),
        Case(queries: 1, keys: 7, heads: 2, width: 16),
        Case(queries: 65, keys: 257, heads: 2, width: 32),
        Case(queries: 130, keys: 128, heads: 1, width: 48),
        Case(queries: 9, keys: 600, heads: 2, width: 16),
        Case(queries: 77, keys: 77, heads: 2, width: 64, causal: true),
        Case(queries: 300, keys: 300, heads: 1, width: 32, causal: true),
        Case(queries: 5, keys: 11, heads: 2, width: 16, causal: true),
        Case(queries: 1, keys: 1, heads: 2, width: 80, causal: true),
        Case(queries: 12, keys: 20, heads: 2, width: 96, scale: 0.03),
        Case(queries: 12, keys: 20, heads: 2, width: 8),
        Case(queries: 6, keys: 9, heads: 3, width: 5, causal: true),
        Case(queries: 6, keys: 9, heads: 1, width: 272),
    ]

    static let batch = 2

    /// `[B, T, C]` to `[B, H, T, d]`, float64.
    private func split(_ x: Tensor, _ heads: Int) -> Tensor {
        x.to(.float64).reshaped(x.size(0), x.size(1), heads, -1).transposed(1, 2)
    }

    private func reference(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ item: Case) -> Tensor {
        var scores = split(q, item.heads).matmul(split(k, item.heads).transposed(2, 3))  // [B, H, P, S]
        scores = scores * (item.scale ?? 1 / Double(item.width).squareRoot())
        if item.causal {
            let last = Tensor.arange(item.keys - item.queries, item.keys).unsqueezed(1)  // [P, 1]
            scores = scores.maskedFill((Tensor.arange(0, item.keys).unsqueezed(0) .<= last).logicalNot(), -.infinity)
        }
        let mixed = scores.softmax(-1).matmul(split(v, item.heads))  // [B, H, P, d]
        return mixed.transposed(1, 2).reshaped(q.shape)
    }

    /// Errors of rounding once: to float32 after some hundred sums, to bfloat16's eight bits (operands are exact in both).
    private func tolerance(_ dtype: DType) -> Double { dtype == .bfloat16 ? 0x1p-7 : 2e-5 }

    @Test(arguments: cases, [DType.float32, .bfloat16])
    func valuesAndGradients(item: Case, dtype: DType) throws {
        let generator = Generator(seed: 5)
        let channels = item.heads * item.width
        // Slices of one tensor, as a joined projection of queries, keys and values gives them.
        let joined = Tensor.randn([Self.batch, item.keys, 3, channels], generator: generator).to(dtype)
        let q = Tensor.randn([Self.batch, item.queries, channels], generator: generator).to(dtype)
        let operands = [q, joined.select(2, 1), joined.select(2, 2)]
        let narrow = operands.map { $0.detached() }
        let wide = operands.map { $0.to(.float64).detached() }
        for operand in narrow + wide { operand.requiresGrad = true }

        let got = Functional.attention(
            narrow[0], narrow[1], narrow[2], heads: item.heads, causal: item.causal, scale: item.scale)
        let expected = reference(wide[0], wide[1], wide[2], item)
        #expect(got.dtype == dtype)
        #expect(got.shape == expected.shape)
        #expect(largestDifference(got, expected) <= tolerance(dtype))
        let unrecorded = inferenceMode {
            Functional.attention(
                operands[0], operands[1], operands[2], heads: item.heads, causal: item.causal, scale: item.scale)
        }
        #expect(largestDifference(unrecorded, expected) <= tolerance(dtype))

        let direction = Tensor.randn(expected.shape, generator: generator).to(dtype)
        (got * direction).to(.float32).sum().backward()
        (expected * direction.to(.float64)).sum().backward()
        for (operand, reference) in zip(narrow, wide) {
            let gradient = try #require(operand.grad)
            let truth = try #require(reference.grad)
            #expect(gradient.dtype == dtype)
            // bfloat16 outputs enter the backward pass rounded.
            let allowed = tolerance(dtype) * max(1, truth.abs().max().item() as Double)
            #expect(largestDifference(gradient, truth) <= allowed)
        }
    }

    @Test func largeScoresDoNotOverflow() {
        let q = Tensor.full([1, 20, 32], 40), k = Tensor.full([1, 33, 32], 30)
        let v = Tensor.arange(0, 33).to(.float32).reshaped(1, 33, 1).expanded(1, 33, 32).contiguous()
        let mixed = Functional.attention(q, k, v, heads: 2)
        // Equal scores of 27,000 weigh all values alike.
        #expect(largestDifference(mixed, Tensor.full([1, 20, 32], 16)) <= 1e-4)
    }

    @Test func aCausalFirstPositionIsItsOwnValue() {
        let generator = Generator(seed: 2)
        let x = Tensor.randn([2, 40, 48], generator: generator)
        let mixed = Functional.attention(x, x, x, heads: 3, causal: true)
        #expect(largestDifference(mixed.select(1, 0), x.select(1, 0)) <= 1e-6)
    }

    @Test func moreCausalPositionsThanKeysAreRefused() {
        let q = Tensor.zeros([1, 5, 16]), k = Tensor.zeros([1, 3, 16])
        #expect(throws: TorchError.self) {
            try catchingTorchErrors { _ = Functional.attention(q, k, k, heads: 1, causal: true) }
        }
    }

    private func largestDifference(_ a: Tensor, _ b: Tensor) -> Double {
        (a.to(.float64) - b.to(.float64)).abs().max().item()
    }
}
