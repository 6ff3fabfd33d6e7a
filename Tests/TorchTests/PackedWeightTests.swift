import Testing

@testable import Torch

/// Frozen weights packed for the products of training steps: the same numbers to rounding, never those of an earlier weight.
@Suite struct PackedWeightTests {
    /// Rows enough for packing; no size is another's multiple.
    private let generator = Generator(seed: 11)
    private func random(_ shape: [Int]) -> Tensor { Tensor.randn(shape, generator: generator) }

    private func difference(_ a: Tensor, _ b: Tensor) -> Double {
        (a.to(.float64) - b.to(.float64)).abs().max().item()
    }

    /// Output and gradient of x of a linear layer, under autocast or without.
    private func run(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ dtype: DType?, isPacking: Bool) -> (
        Tensor, Tensor
    ) {
        let input = x.detached().clone()
        input.requiresGrad = true
        func body() -> Tensor {
            let y = autocast(dtype, device: .cpu) { Functional.linear(input, weight: weight, bias: bias) }
            y.to(.float32).square().sum().backward()
            return y
        }
        let y = isPacking ? packingFrozenWeights(body) : body()
        return (y.detached(), input.grad!)
    }

    /// float32 sums of 40 products; bfloat16 rounds outputs to eight bits.
    @Test(arguments: [nil, DType.bfloat16], [true, false])
    func sameNumbers(dtype: DType?, hasBias: Bool) {
        let (x, weight) = (random([3, 7, 40]), random([56, 40]))
        let bias = hasBias ? random([56]) : nil
        let plain = run(x, weight, bias, dtype, isPacking: false)
        let packed = run(x, weight, bias, dtype, isPacking: true)
        #expect(packed.0.dtype == plain.0.dtype)
        #expect(packed.0.shape == [3, 7, 56])
        #expect(packed.1.dtype == .float32)
        let (values, gradients) = dtype == nil ? (1e-4, 1e-2) : (0.13, 4.0)  // of values to 30, gradients to 700
        #expect(difference(packed.0, plain.0) <= values)
        #expect(difference(packed.1, plain.1) <= gradients)
        #expect(difference(plain.1, plain.1 * 0) > 100 * gradients)  // the tolerance is no licence
    }

    @Test func aWeightWrittenInPlaceIsPackedAnew() {
        let (x, weight) = (random([32, 40]), random([56, 40]))
        let before = run(x, weight, nil, nil, isPacking: true).0
        withoutGradients { weight.addInPlace(random([56, 40])) }
        let after = run(x, weight, nil, nil, isPacking: true).0
        #expect(difference(before, after) > 1)
        #expect(difference(after, run(x, weight, nil, nil, isPacking: false).0) <= 1e-4)
    }

    @Test func aTrainedWeightKeepsItsGradient() {
        let (x, weight) = (random([32, 40]), random([56, 40]))
        weight.requiresGrad = true
        packingFrozenWeights { Functional.linear(x, weight: weight, bias: nil).sum().backward() }
        #expect(weight.grad != nil)
    }

    /// A packed product in inference mode and one with gradients share the packed weight.
    @Test func inferenceModeAndTrainingMeet() {
        let (x, weight) = (random([32, 40]), random([56, 40]))
        let unrecorded = packingFrozenWeights {
            inferenceMode { Functional.linear(x, weight: weight, bias: nil).clone() }
        }
        #expect(difference(run(x, weight, nil, nil, isPacking: true).0, unrecorded) == 0)
    }

    @Test(arguments: [nil, DType.bfloat16])
    func lowRankLayersToo(dtype: DType?) {
        let x = random([5, 9, 40])
        let layers = [24, 56].map {
            (weight: random([$0, 40]), bias: random([$0]), a: random([3, 40]), b: random([$0, 3]))
        }
        func run(isPacking: Bool) -> (outputs: [Tensor], gradients: [Tensor]) {
            let input = x.clone()
            let trained = layers.map { ($0.a.clone(), $0.b.clone()) }
            for tensor in [input] + trained.flatMap({ [$0.0, $0.1] }) { tensor.requiresGrad = true }
            func body() -> [Tensor] {
                let outputs = autocast(dtype, device: .cpu) {
                    Functional.loraLinears(
                        input,
                        zip(layers, trained).map {
                            LoRAOperands(weight: $0.weight, bias: $0.bias, a: $1.0, b: $1.1, scale: 0.5)
                        })
                }
                outputs.map { $0.to(.float32).square().mean() }.reduce(Tensor.zeros([])) { $0 + $1 }.backward()
                return outputs
            }
            let outputs = isPacking ? packingFrozenWeights(body) : body()
            return (outputs, ([input] + trained.flatMap { [$0.0, $0.1] }).map { $0.grad! })
        }
        let plain = run(isPacking: false)
        let packed = run(isPacking: true)
        let tolerance = dtype == nil ? 1e-5 : 0.02  // relative to the largest
        for (a, b) in zip(plain.outputs + plain.gradients, packed.outputs + packed.gradients) {
            #expect(a.shape == b.shape)
            #expect(difference(a, b) <= tolerance * a.to(.float32).abs().max().item())
        }
    }
}
