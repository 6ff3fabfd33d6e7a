import CTorch

/// Layers as functions, in PyTorch's conventions (`torch.nn.functional`).
public enum Functional {
    /// `x · weightᵀ + bias`: `[..., in]`, `[out, in]`, `[out]` give `[..., out]`.
    public static func linear(
        _ x: Tensor, weight: Tensor, bias: Tensor? = nil, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("linear", file, line) { ct_linear(x.handle, weight.handle, bias?.handle, $0) }
    }

    /// `x` in the dtype that autocast gives matrix products; unchanged outside of autocast. Several layers on one input
    /// use it so that each does not cast again.
    public static func autocastInput(_ x: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("autocastInput", file, line) { ct_autocast_input(x.handle, $0) }
    }

    /// Two-dimensional convolution: `x` `[B, C, H, W]`, `weight` `[out, C / groups, kh, kw]`.
    public static func conv2d(
        _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, groups: Int = 1,
        file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("conv2d", file, line) {
            ct_conv2d(x.handle, weight.handle, bias?.handle, Int64(stride), Int64(padding), Int64(groups), $0)
        }
    }

    /// Rows of `weight` `[V, D]` at `indices` (int32 or int64, any shape): `[..., D]`.
    public static func embedding(
        _ indices: Tensor, weight: Tensor, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("embedding", file, line) { ct_embedding(weight.handle, indices.handle, $0) }
    }

    /// Layer normalisation over the last dimension.
    public static func layerNorm(
        _ x: Tensor, weight: Tensor?, bias: Tensor?, eps: Double, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("layerNorm", file, line) { ct_layer_norm(x.handle, weight?.handle, bias?.handle, eps, $0) }
    }

    /// `x + added` and its layer normalisation, in one pass over memory where the CPU has AVX-512. Without `added`, `x`
    /// itself and its norm.
    ///
    /// The norm has autocast's dtype, because the product that follows needs it; libtorch would give float32.
    public static func addedLayerNorm(
        _ x: Tensor, adding added: Tensor?, weight: Tensor, bias: Tensor, eps: Double, file: StaticString = #fileID,
        line: UInt = #line
    ) -> (sum: Tensor, normed: Tensor) {
        if ct_scope_failed() { return (.poisoned(), .poisoned()) }
        var sum: CTTensor?
        var normed: CTTensor?
        let status = ct_added_layer_norm(
            x.handle, added?.handle, weight.handle, bias.handle, eps, &sum, &normed)
        guard check(status, "addedLayerNorm", file, line), let sum, let normed else {
            return (.poisoned(), .poisoned())
        }
        return (Tensor(owning: sum), Tensor(owning: normed))
    }

    public static func groupNorm(
        _ x: Tensor, groups: Int, weight: Tensor?, bias: Tensor?, eps: Double, file: StaticString = #fileID,
        line: UInt = #line
    ) -> Tensor {
        Tensor.make("groupNorm", file, line) {
            ct_group_norm(x.handle, Int64(groups), weight?.handle, bias?.handle, eps, $0)
        }
    }

    /// Batch normalisation over `[B, C]` or `[B, C, ...]`; in training the running statistics are updated in place.
    public static func batchNorm(
        _ x: Tensor, weight: Tensor?, bias: Tensor?, runningMean: Tensor, runningVariance: Tensor, training: Bool,
        momentum: Double, eps: Double, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("batchNorm", file, line) {
            ct_batch_norm(
                x.handle, weight?.handle, bias?.handle, runningMean.handle, runningVariance.handle, training, momentum,
                eps, $0)
        }
    }

    /// Sets elements to zero with probability `p` and scales the others by 1 / (1 - p); `generator` draws the choice.
    public static func dropout(
        _ x: Tensor, p: Double, generator: Generator, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        guard p > 0 else { return x }
        return Tensor.make("dropout", file, line) { ct_dropout(x.handle, p, generator.handle, $0) }
    }

    /// Scaled dot-product attention: `q` `[B, heads, T, d]`, `k` and `v` `[B, heads, S, d]` give `[B, heads, T, d]`.
    /// - Parameters:
    ///   - mask: broadcastable to `[B, heads, T, S]`; bool (true = may attend) or float (added to the scores).
    ///   - causal: position t attends to positions up to t; excludes `mask`.
    ///   - scale: of the scores; nil is 1 / √d.
    public static func attention(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, mask: Tensor? = nil, causal: Bool = false, scale: Double? = nil,
        file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("attention", file, line) {
            ct_attention(q.handle, k.handle, v.handle, mask?.handle, causal, scale ?? 0, $0)
        }
    }

    /// Attention of tokens with several heads: `q` `[B, P, C]`, `k` and `v` `[B, S, C]` give `[B, P, C]`. A head is C /
    /// heads neighbouring channels.
    ///
    /// On a CPU with AVX-512, in float32 and bfloat16, a kernel of our own computes it, with gradients; it never holds
    /// all scores and needs no copy with the heads apart. Elsewhere libtorch computes it.
    /// - Parameters:
    ///   - causal: position p attends to keys up to p + S - P.
    ///   - scale: of the scores; nil is 1 / √(C / heads).
    public static func attention(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, heads: Int, causal: Bool = false, scale: Double? = nil,
        file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("attention", file, line) {
            ct_heads_attention(q.handle, k.handle, v.handle, Int64(heads), causal, scale ?? 0, $0)
        }
    }

    /// Mean negative log-likelihood of `targets` `[N]` (int64) under softmax of `logits` `[N, C]`, in nats.
    public static func crossEntropy(
        _ logits: Tensor, _ targets: Tensor, ignoring ignored: Int = -100, smoothing: Double = 0,
        file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("crossEntropy", file, line) {
            ct_cross_entropy(logits.handle, targets.handle, Int64(ignored), smoothing, 1, $0)
        }
    }

    public static func meanSquaredError(_ a: Tensor, _ b: Tensor, file: StaticString = #fileID, line: UInt = #line)
        -> Tensor
    {
        Tensor.make("meanSquaredError", file, line) { ct_mse_loss(a.handle, b.handle, $0) }
    }

    /// Nearest-neighbour enlargement of `[B, C, H, W]` by a whole factor.
    public static func upsampleNearest(
        _ x: Tensor, factor: Int, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("upsampleNearest", file, line) { ct_upsample_nearest2d(x.handle, Int64(factor), $0) }
    }
}

/// A linear layer in oneDNN's own weight layout, fused with what follows it: inference on the CPU only.
///
/// It is used where `LinearKernel` says that it is faster than `Functional.linear`. The packed copy costs the size of
/// the weight in memory, and no gradient flows through it. The layout depends on the weight alone, not on the number of
/// rows of the first input, so equal inputs give equal bits in a program that begins with another batch.
public final class PackedLinear {
    public enum Activation: Int32, Sendable {
        case none = 0
        case relu = 1
        case gelu = 2
        /// `x · sigmoid(x)`; QuickGELU is this after scaling (`swish(1.702 x) / 1.702`), folded into the weights by the caller.
        case swish = 3
    }

    let weight: Tensor
    let bias: Tensor?
    let activation: Activation

    /// - Parameters:
    ///   - weight: `[out, in]` on the CPU.
    public init(
        weight: Tensor, bias: Tensor?, activation: Activation = .none, file: StaticString = #fileID, line: UInt = #line
    ) {
        self.weight = Tensor.make("PackedLinear", file, line) { ct_onednn_pack_linear(weight.handle, $0) }
        self.bias = bias
        self.activation = activation
    }

    /// `activation(x · weightᵀ + bias)`
    public func callAsFunction(_ x: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("PackedLinear", file, line) {
            ct_onednn_linear(x.handle, weight.handle, bias?.handle, activation.rawValue, $0)
        }
    }

    /// `x · weightᵀ + bias + other`: the residual sum in the same pass.
    public func callAsFunction(
        _ x: Tensor, adding other: Tensor, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        precondition(activation == .none, "a fused sum follows a layer without activation", file: file, line: line)
        return Tensor.make("PackedLinear", file, line) {
            ct_onednn_linear_add(x.handle, other.handle, weight.handle, bias?.handle, $0)
        }
    }
}
