import CTorch

// Elementwise operations and reductions. Broadcasting and type promotion are PyTorch's.

extension Tensor {
    @inline(__always)
    private func unary(_ op: CTUnary, _ name: String, _ file: StaticString, _ line: UInt) -> Tensor {
        Tensor.make(name, file, line) { ct_unary(Int32(op.rawValue), handle, $0) }
    }

    public func exp(file: StaticString = #fileID, line: UInt = #line) -> Tensor { unary(CT_EXP, "exp", file, line) }
    public func log(file: StaticString = #fileID, line: UInt = #line) -> Tensor { unary(CT_LOG, "log", file, line) }
    public func sqrt(file: StaticString = #fileID, line: UInt = #line) -> Tensor { unary(CT_SQRT, "sqrt", file, line) }
    public func rsqrt(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        unary(CT_RSQRT, "rsqrt", file, line)
    }
    public func abs(file: StaticString = #fileID, line: UInt = #line) -> Tensor { unary(CT_ABS, "abs", file, line) }
    public func square(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        unary(CT_SQUARE, "square", file, line)
    }
    public func sin(file: StaticString = #fileID, line: UInt = #line) -> Tensor { unary(CT_SIN, "sin", file, line) }
    public func cos(file: StaticString = #fileID, line: UInt = #line) -> Tensor { unary(CT_COS, "cos", file, line) }
    public func tanh(file: StaticString = #fileID, line: UInt = #line) -> Tensor { unary(CT_TANH, "tanh", file, line) }
    public func sigmoid(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        unary(CT_SIGMOID, "sigmoid", file, line)
    }
    public func relu(file: StaticString = #fileID, line: UInt = #line) -> Tensor { unary(CT_RELU, "relu", file, line) }
    public func silu(file: StaticString = #fileID, line: UInt = #line) -> Tensor { unary(CT_SILU, "silu", file, line) }
    public func round(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        unary(CT_ROUND, "round", file, line)
    }
    /// Whether no element is NaN or infinite; on a CPU as fast as the memory can be read.
    public var isAllFinite: Bool {
        var out = true
        return check(ct_is_finite(handle, &out), "isAllFinite", #fileID, #line) && out
    }

    public func isFinite(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        unary(CT_ISFINITE, "isFinite", file, line)
    }
    public func logicalNot(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        unary(CT_LOGICAL_NOT, "logicalNot", file, line)
    }

    /// GELU by the error function, or by its tanh approximation (`gelu_new`, `gelu_pytorch_tanh`).
    public func gelu(tanhApproximation: Bool = false, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        unary(tanhApproximation ? CT_GELU_TANH : CT_GELU, "gelu", file, line)
    }

    /// `x · sigmoid(1.702 x)`: the activation of OpenAI's CLIP weights.
    public func quickGELU(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        unary(CT_QUICK_GELU, "quickGELU", file, line)
    }

    // MARK: Two operands

    @inline(__always)
    private static func binary(
        _ op: CTBinary, _ a: Tensor, _ b: Tensor, _ name: String, _ file: StaticString, _ line: UInt
    ) -> Tensor {
        make(name, file, line) { ct_binary(Int32(op.rawValue), a.handle, b.handle, $0) }
    }

    @inline(__always)
    private static func binary(
        _ op: CTBinary, _ a: Tensor, _ b: Double, reversed: Bool = false, _ name: String, _ file: StaticString,
        _ line: UInt
    ) -> Tensor {
        make(name, file, line) { ct_binary_scalar(Int32(op.rawValue), a.handle, b, reversed, $0) }
    }

    public static func + (a: Tensor, b: Tensor) -> Tensor { binary(CT_ADD, a, b, "+", #fileID, 0) }
    public static func - (a: Tensor, b: Tensor) -> Tensor { binary(CT_SUB, a, b, "-", #fileID, 0) }
    public static func * (a: Tensor, b: Tensor) -> Tensor { binary(CT_MUL, a, b, "*", #fileID, 0) }
    public static func / (a: Tensor, b: Tensor) -> Tensor { binary(CT_DIV, a, b, "/", #fileID, 0) }
    public static func + (a: Tensor, b: Double) -> Tensor { binary(CT_ADD, a, b, "+", #fileID, 0) }
    public static func - (a: Tensor, b: Double) -> Tensor { binary(CT_SUB, a, b, "-", #fileID, 0) }
    public static func * (a: Tensor, b: Double) -> Tensor { binary(CT_MUL, a, b, "*", #fileID, 0) }
    public static func / (a: Tensor, b: Double) -> Tensor { binary(CT_DIV, a, b, "/", #fileID, 0) }
    public static func + (a: Double, b: Tensor) -> Tensor { binary(CT_ADD, b, a, "+", #fileID, 0) }
    public static func - (a: Double, b: Tensor) -> Tensor { binary(CT_SUB, b, a, reversed: true, "-", #fileID, 0) }
    public static func * (a: Double, b: Tensor) -> Tensor { binary(CT_MUL, b, a, "*", #fileID, 0) }
    public static func / (a: Double, b: Tensor) -> Tensor { binary(CT_DIV, b, a, reversed: true, "/", #fileID, 0) }
    public static prefix func - (a: Tensor) -> Tensor { a.unary(CT_NEG, "-", #fileID, 0) }

    /// Elementwise comparisons give bool tensors.
    public static func .== (a: Tensor, b: Tensor) -> Tensor { binary(CT_EQ, a, b, ".==", #fileID, 0) }
    public static func .== (a: Tensor, b: Double) -> Tensor { binary(CT_EQ, a, b, ".==", #fileID, 0) }
    public static func .!= (a: Tensor, b: Tensor) -> Tensor { binary(CT_NE, a, b, ".!=", #fileID, 0) }
    public static func .< (a: Tensor, b: Tensor) -> Tensor { binary(CT_LT, a, b, ".<", #fileID, 0) }
    public static func .< (a: Tensor, b: Double) -> Tensor { binary(CT_LT, a, b, ".<", #fileID, 0) }
    public static func .<= (a: Tensor, b: Tensor) -> Tensor { binary(CT_LE, a, b, ".<=", #fileID, 0) }
    public static func .> (a: Tensor, b: Tensor) -> Tensor { binary(CT_GT, a, b, ".>", #fileID, 0) }
    public static func .> (a: Tensor, b: Double) -> Tensor { binary(CT_GT, a, b, ".>", #fileID, 0) }
    public static func .>= (a: Tensor, b: Tensor) -> Tensor { binary(CT_GE, a, b, ".>=", #fileID, 0) }
    public static func .& (a: Tensor, b: Tensor) -> Tensor { binary(CT_AND, a, b, ".&", #fileID, 0) }
    public static func .| (a: Tensor, b: Tensor) -> Tensor { binary(CT_OR, a, b, ".|", #fileID, 0) }

    public func pow(_ exponent: Double, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.binary(CT_POW, self, exponent, "pow", file, line)
    }

    public func maximum(_ other: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.binary(CT_MAXIMUM, self, other, "maximum", file, line)
    }

    /// Remainder with the sign of the divisor, as Python's `%`; integers stay integers.
    public func remainder(_ divisor: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.binary(CT_REMAINDER, self, divisor, "remainder", file, line)
    }

    public func clamped(_ low: Double, _ high: Double, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("clamped", file, line) { ct_clamp(handle, low, high, $0) }
    }

    /// Matrix product over the last two dimensions, batched over the others.
    public func matmul(_ other: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.binary(CT_MATMUL, self, other, "matmul", file, line)
    }

    /// The elements of `self` where `condition` is true, those of `other` elsewhere.
    public func whereTrue(
        _ condition: Tensor, else other: Tensor, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("whereTrue", file, line) { ct_where(condition.handle, handle, other.handle, $0) }
    }

    /// `value` where `mask` (bool) is true, `self` elsewhere.
    public func maskedFill(_ mask: Tensor, _ value: Double, file: StaticString = #fileID, line: UInt = #line) -> Tensor
    {
        Tensor.make("maskedFill", file, line) { ct_masked_fill(handle, mask.handle, value, $0) }
    }

    // MARK: Reductions (over all elements when no dimension is named)

    @inline(__always)
    private func reduce(_ op: CTReduce, _ name: String, _ dims: [Int], _ keep: Bool, _ file: StaticString, _ line: UInt)
        -> Tensor
    {
        let dims = dims.map(Int64.init)
        return Tensor.make(name, file, line) {
            ct_reduce(Int32(op.rawValue), handle, dims, Int32(dims.count), keep, $0)
        }
    }

    public func sum(_ dims: Int..., keep: Bool = false, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        reduce(CT_SUM, "sum", dims, keep, file, line)
    }
    public func mean(_ dims: Int..., keep: Bool = false, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        reduce(CT_MEAN, "mean", dims, keep, file, line)
    }
    public func max(_ dims: Int..., keep: Bool = false, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        reduce(CT_AMAX, "max", dims, keep, file, line)
    }
    public func min(_ dims: Int..., keep: Bool = false, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        reduce(CT_AMIN, "min", dims, keep, file, line)
    }
    /// Unbiased variance (n - 1), as PyTorch's default.
    public func variance(_ dims: Int..., keep: Bool = false, file: StaticString = #fileID, line: UInt = #line) -> Tensor
    {
        reduce(CT_VAR, "variance", dims, keep, file, line)
    }
    /// Euclidean norm.
    public func norm(_ dims: Int..., keep: Bool = false, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        reduce(CT_NORM2, "norm", dims, keep, file, line)
    }
    public func logSumExp(_ dim: Int, keep: Bool = false, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        reduce(CT_LOGSUMEXP, "logSumExp", [dim], keep, file, line)
    }
    public func argmax(_ dim: Int, keep: Bool = false, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        reduce(CT_ARGMAX, "argmax", [dim], keep, file, line)
    }
    public func all(file: StaticString = #fileID, line: UInt = #line) -> Bool {
        reduce(CT_ALL, "all", [], false, file, line).item(file: file, line: line) != 0
    }
    public func any(file: StaticString = #fileID, line: UInt = #line) -> Bool {
        reduce(CT_ANY, "any", [], false, file, line).item(file: file, line: line) != 0
    }
    public func cumsum(_ dim: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        reduce(CT_CUMSUM, "cumsum", [dim], false, file, line)
    }

    public func softmax(_ dim: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("softmax", file, line) { ct_softmax(handle, Int64(dim), false, $0) }
    }

    public func logSoftmax(_ dim: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("logSoftmax", file, line) { ct_softmax(handle, Int64(dim), true, $0) }
    }

    /// The `k` largest along `dim`, in descending order. libtorch promises no order among equal elements; sort stably
    /// where that matters.
    public func topK(
        _ k: Int, dim: Int = -1, file: StaticString = #fileID, line: UInt = #line
    ) -> (values: Tensor, indices: Tensor) {
        var values: CTTensor?
        var indices: CTTensor?
        guard check(ct_topk(handle, Int64(k), Int64(dim), &values, &indices), "topK", file, line), let values,
            let indices
        else {
            return (.poisoned(), .poisoned())
        }
        return (Tensor(owning: values), Tensor(owning: indices))
    }

    /// Stable sort along `dim`: equal elements keep their order.
    public func sorted(
        _ dim: Int = -1, descending: Bool = false, file: StaticString = #fileID, line: UInt = #line
    ) -> (values: Tensor, indices: Tensor) {
        var values: CTTensor?
        var indices: CTTensor?
        guard check(ct_sort(handle, Int64(dim), descending, &values, &indices), "sorted", file, line), let values,
            let indices
        else {
            return (.poisoned(), .poisoned())
        }
        return (Tensor(owning: values), Tensor(owning: indices))
    }

    /// Divides by the Euclidean norm along `dim`: `x / max(‖x‖, eps)`, as `torch.nn.functional.normalize`.
    public func normalized(_ dim: Int = -1, eps: Double = 1e-12, file: StaticString = #fileID, line: UInt = #line)
        -> Tensor
    {
        Tensor.make("normalized", file, line) { ct_normalize(handle, Int64(dim), eps, $0) }
    }
}
