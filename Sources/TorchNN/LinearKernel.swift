import Torch

/// How linear layers run at inference on the CPU.
public enum LinearKernel: String, Sendable, Hashable {
    /// `at::linear` on the weights in the layout of the file: nothing is copied.
    case plain
    /// oneDNN's fused layers on packed copies of the weights, which cost the weights' size in memory.
    case packed

    /// What `choose` chose.
    public struct Choice: Sendable, Equatable {
        public let kernel: LinearKernel
        public let dtype: DType
        /// The kind of CPU.
        public let cpu: String

        /// For logs and sidecars: "packed for bfloat16: an Intel CPU with AMX".
        public var reason: String { "\(kernel.rawValue) for \(dtype): \(cpu)" }
    }

    /// The faster way on this kind of CPU, as measured in docs/cpu.md; `.plain` on a CPU of an unknown kind.
    ///
    /// It depends only on the CPU, the dtype and `GMAIL_CPU_KERNELS`. The two ways round differently, so a choice by
    /// measurement would let equal commands give different numbers.
    /// - Throws: `TorchError` when libtorch cannot be loaded.
    public static func choose(dtype: DType) throws -> Choice {
        Choice(
            kernel: try TorchRuntime.packsLayers(dtype) ? .packed : .plain, dtype: dtype,
            cpu: try TorchRuntime.cpuDescription())
    }
}

extension Activation {
    /// Applies the activation in the memory of `x`: inference only.
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
