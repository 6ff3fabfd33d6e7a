import Torch

/// How linear layers run at inference on the CPU.
public enum LinearKernel: String, Sendable, Hashable {
    /// `at::linear` on the weights as they lie in the file: nothing is copied.
    case plain
    /// oneDNN's fused layers on packed copies of the weights, which cost the weights' size in memory.
    case packed

    /// What `choose` chose.
    public struct Choice: Sendable, Equatable {
        public let kernel: LinearKernel
        public let dtype: DType
        /// What the CPU is.
        public let cpu: String

        /// For logs and sidecars: "packed for bfloat16: an Intel CPU with AMX".
        public var reason: String { "\(kernel.rawValue) for \(dtype): \(cpu)" }
    }

    /// The way that is faster on this kind of CPU, as docs/cpu.md measured it; `.plain` on a CPU of another kind.
    ///
    /// It depends on the CPU, the dtype and `GMAIL_CPU_KERNELS` alone. The two ways round differently, so a choice by the clock
    /// would let equal commands give different numbers.
    /// - Throws: `TorchError` when libtorch cannot be loaded.
    public static func choose(dtype: DType) throws -> Choice {
        Choice(
            kernel: try TorchRuntime.packsLayers(dtype) ? .packed : .plain, dtype: dtype,
            cpu: try TorchRuntime.cpuDescription())
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
