import Testing

@testable import Torch

/// Operations that do several layers' work in one pass, against the layers one by one in float64.
@Suite struct FusedLayerTests {
    private let generator = Generator(seed: 21)
    private func random(_ shape: [Int]) -> Tensor { Tensor.randn(shape, generator: generator) }

    private func difference(_ a: Tensor, _ b: Tensor) -> Double {
        (a.to(.float64) - b.to(.float64)).abs().max().item()
    }

    /// The same tensors as leaves with gradients, in float64 too.
    private func leaves(_ tensors: [Tensor]) -> (own: [Tensor], wide: [Tensor]) {
        let own = tensors.map { $0.detached().clone() }
        let wide = tensors.map { $0.detached().to(.float64).clone() }
        for tensor in own + wide { tensor.requiresGrad = true }
        return (own, wide)
    }

    private func expectGradients(_ own: [Tensor], _ wide: [Tensor], _ tolerance: Double) throws {
        for (index, (a, b)) in zip(own, wide).enumerated() {
            let (gradient, truth) = (try #require(a.grad), try #require(b.grad))
            #expect(gradient.dtype == a.dtype && gradient.shape == a.shape)
            let largest: Double = truth.abs().max().item()
            #expect(difference(gradient, truth) <= tolerance * max(1, largest), "gradient \(index)")
        }
    }

    /// Widths of whole lanes, and one that libtorch's own operations take; rows beyond one part of the backward sums.
    @Test(arguments: [48, 21], [DType.float32, .bfloat16])
    func aSumAndItsNorm(width: Int, added: DType) throws {
        let shape = [7, 41, width]
        let tensors = [random(shape), random(shape).to(added), random([width]) + 1, random([width])]
        let (own, wide) = leaves(tensors)
        let (sum, normed) = Functional.addedLayerNorm(own[0], adding: own[1], weight: own[2], bias: own[3], eps: 1e-5)
        let reference = wide[0] + wide[1]
        let mean = reference.mean(-1, keep: true)
        let centred = reference - mean
        let unit = centred / (centred.square().mean(-1, keep: true) + 1e-5).sqrt()
        let expected = unit * wide[2] + wide[3]
        #expect(sum.dtype == .float32 && normed.dtype == .float32)
        #expect(difference(sum, reference) <= 1e-6)
        #expect(difference(normed, expected) <= 1e-5)
        let (direction, other) = (random(shape), random(shape))
        ((normed * direction).sum() + (sum * other).sum()).backward()
        ((expected * direction.to(.float64)).sum() + (reference * other.to(.float64)).sum()).backward()
        try expectGradients(own, wide, added == .bfloat16 ? 0x1p-8 : 2e-5)
    }

    @Test func theNormAloneAndTheSumAlone() throws {
        let shape = [5, 9, 32]
        let (own, wide) = leaves([random(shape), random(shape)])
        let (weight, bias) = (random([32]), random([32]))
        let (same, normed) = Functional.addedLayerNorm(own[0], adding: nil, weight: weight, bias: bias, eps: 1e-5)
        #expect(difference(same, own[0]) == 0)
        #expect(
            difference(normed, Functional.layerNorm(own[0].detached(), weight: weight, bias: bias, eps: 1e-5)) <= 1e-5)
        // Only the sum is used: the norm's part of the gradient is missing, not wrong.
        let (sum, _) = Functional.addedLayerNorm(own[0], adding: own[1], weight: weight, bias: bias, eps: 1e-5)
        sum.square().sum().backward()
        (wide[0] + wide[1]).square().sum().backward()
        try expectGradients(own, wide, 1e-6)
    }

    @Test func autocastGetsItsDType() {
        let x = random([4, 5, 32])
        let (sum, normed) = autocast(.bfloat16, device: .cpu) {
            Functional.addedLayerNorm(
                x, adding: random([4, 5, 32]).to(.bfloat16), weight: Tensor.ones([32]), bias: Tensor.zeros([32]),
                eps: 1e-5)
        }
        #expect(sum.dtype == .float32)
        #expect(normed.dtype == .bfloat16 || !hasLanes)
    }

    /// Whether the CPU has what the kernel is written for; elsewhere libtorch's autocast gives float32.
    private var hasLanes: Bool { (try? TorchRuntime.cpuCapability())?.hasPrefix("AVX512") ?? false }

    /// Ranks below, at and above a group of four; layers that share their input; 1 to 70 rows of whole lanes.
    @Test(arguments: [[4, 4, 4], [1], [6, 3], [16]], [1, 6, 70])
    func lowRankUpdates(ranks: [Int], rows: Int) throws {
        let x = random([rows, 48])
        let frozen = ranks.indices.map { (random([32 + 16 * $0, 48]), random([32 + 16 * $0])) }
        let low = ranks.enumerated().flatMap { [random([$1, 48]), random([32 + 16 * $0, $1])] }
        let (own, wide) = leaves([x] + low)
        let outputs = Functional.loraLinears(
            own[0],
            frozen.enumerated().map {
                LoRAOperands(weight: $1.0, bias: $1.1, a: own[1 + 2 * $0], b: own[2 + 2 * $0], scale: 0.75)
            })
        let expected = frozen.enumerated().map { index, layer in
            wide[0].matmul(layer.0.to(.float64).transposed()) + layer.1.to(.float64)
                + wide[0].matmul(wide[1 + 2 * index].transposed()).matmul(wide[2 + 2 * index].transposed()) * 0.75
        }
        var loss = Tensor.zeros([])
        var truth = Tensor.zeros([], dtype: .float64)
        for (output, reference) in zip(outputs, expected) {
            #expect(difference(output, reference) <= 2e-4)  // values to 60
            let direction = random(output.shape)
            loss = loss + (output * direction).sum()
            truth = truth + (reference * direction.to(.float64)).sum()
        }
        loss.backward()
        truth.backward()
        try expectGradients(own, wide, 1e-5)
    }

    /// Values around the powers' ends, of both dtypes, in lengths that lanes do not divide.
    @Test(arguments: [DType.float32, .bfloat16])
    func quickGELU(dtype: DType) throws {
        let special = Tensor([0, -0.0, 100, -100, 1e4, -1e4, 1e-30, -60, 60] as [Float]).to(dtype)
        let values = Tensor.cat([random([1000]).to(dtype) * 3, special])
        let (own, wide) = leaves([values])
        let y = own[0].quickGELU()
        let expected = wide[0] * (wide[0] * 1.702).sigmoid()
        #expect(y.dtype == dtype)
        #expect(difference(y, expected) <= (dtype == .bfloat16 ? 0x1p-9 * 1e4 : 1e-3))
        #expect(difference(y[0..<1000], expected[0..<1000]) <= (dtype == .bfloat16 ? 0x1p-5 : 2e-6))
        y.to(.float32).sum().backward()
        expected.sum().backward()
        try expectGradients(own, wide, dtype == .bfloat16 ? 0x1p-8 : 1e-5)
    }
}
