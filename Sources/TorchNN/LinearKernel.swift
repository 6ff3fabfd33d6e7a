import Foundation
import Torch

/// How linear layers run at inference on the CPU.
///
/// libtorch multiplies fp32 matrices with MKL, which takes its slow path on some CPUs; oneDNN with packed weights and
/// fused activations is faster there, and slower elsewhere. So it is measured on the CPU at hand, never assumed.
public enum LinearKernel: String, Sendable, Hashable {
    /// `at::linear` on the weights as they lie in the file: nothing is copied.
    case plain
    /// oneDNN's fused layers on packed copies of the weights.
    case packed

    /// What `choose` measured.
    public struct Choice: Sendable {
        public let kernel: LinearKernel
        public let dtype: DType
        /// GFLOP/s of each way, over a transformer's `[rows, width] · [width, 4 width]` and an activation.
        public let plain: Double
        public let packed: Double

        public var reason: String {
            let rates = String(format: "plain %.0f GFLOP/s, packed %.0f GFLOP/s with the activation", plain, packed)
            return "\(kernel.rawValue) for \(dtype) (\(rates))"
        }
    }

    /// Measures both ways for about a tenth of a second and takes the faster; `.plain` off the CPU.
    ///
    /// The packed copies cost the weights' size in memory, so `.packed` must win by 5 % to be worth it.
    public static func choose(dtype: DType, rows: Int = 800, width: Int = 768) throws -> Choice {
        guard try TorchRuntime.hasOneDNN(), dtype == .float32 || dtype == .bfloat16 else {
            return Choice(kernel: .plain, dtype: dtype, plain: 0, packed: 0)
        }
        return inferenceMode {
            let generator = Generator(seed: 0)
            let x = Tensor.randn([rows, width], generator: generator).to(dtype)
            let weight = Tensor.randn([4 * width, width], generator: generator).to(dtype)
            let bias = Tensor.zeros([4 * width], dtype: dtype)
            let packed = PackedLinear(weight: weight, bias: bias, activation: .swish, rows: rows)
            let flops = 2.0 * Double(rows * width * 4 * width)
            let plainRate = rate(flops) {
                let y = Functional.linear(x, weight: weight, bias: bias)
                y.applyInPlace(.quickGELU)
                return y
            }
            let packedRate = rate(flops) { packed(x) }
            return Choice(
                kernel: packedRate > 1.05 * plainRate ? .packed : .plain, dtype: dtype, plain: plainRate,
                packed: packedRate)
        }
    }

    /// Best of five, in GFLOP/s.
    private static func rate(_ flops: Double, _ body: () -> Tensor) -> Double {
        _ = body()
        let clock = ContinuousClock()
        let best = (0..<5).map { _ in clock.measure { _ = body() } }.min()!
        return flops / (Double(best.components.attoseconds) * 1e-18 + Double(best.components.seconds)) / 1e9
    }
}

extension Activation {
    /// The activation in the memory of `x`: inference only.
    package func applyInPlace(to x: Tensor) {
        switch self {
        case .gelu: x.applyInPlace(.gelu)
        case .quickGELU: x.applyInPlace(.quickGELU)
        case .geluNew, .geluTanh: x.applyInPlace(.geluTanh)
        case .relu: x.applyInPlace(.relu)
        case .silu: x.applyInPlace(.silu)
        }
    }
}
