import Torch

/// A linear layer whose weight is stored `[in, out]`, as in GPT-2's files (transformers' `Conv1D`).
///
/// The weight is multiplied in the layout of the file: matrix products read either order equally fast, and a transposed
/// copy would cost the weight's memory and a pass over the file before the first token.
open class Conv1D: Module {
    @Parameter("weight") public final var weight: Tensor  // [in, out]
    @Parameter("bias") public final var bias: Tensor  // [out]

    /// How batches of rows are multiplied at inference; set by the model.
    package final var kernel = LinearKernel.plain
    private var packed: PackedLinear?

    public init(_ inputSize: Int, _ outputSize: Int) {
        super.init()
        weight = .empty([inputSize, outputSize])
        bias = .empty([outputSize])
    }

    /// A layer over existing tensors, shared and not copied (for adapters, which wrap layers).
    public init(sharing other: Conv1D) {
        kernel = other.kernel
        super.init()
        weight = other.weight
        bias = other.bias
    }

    public final override func dropDerivedWeights() { packed = nil }

    open func callAsFunction(_ x: Tensor) -> Tensor {
        guard kernel == .packed, PackedRows.areWorthIt(x), !x.requiresGrad, !weight.requiresGrad else {
            return Functional.fewRowsLinear(x, weight: weight, isInputFirst: true, bias: bias)
        }
        let layer = packed ?? PackedLinear(weight: weight.transposed(0, 1).contiguous(), bias: bias)
        packed = layer
        return layer(x)
    }
}

/// When oneDNN's packed weights are used: for batches, on the CPU. For a few rows the plain weight is faster.
package enum PackedRows {
    package static func areWorthIt(_ x: Tensor) -> Bool {
        let shape = x.shape
        return shape.dropLast().reduce(1, *) >= 32 && x.device == .cpu
    }
}
