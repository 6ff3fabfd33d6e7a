import Torch
import TorchNN

// The transformer block of GPT-2. Reference: transformers `modeling_gpt2.py`.
//
// Shapes: B rows, T new positions, S = past + T positions, C hidden size, H heads, d = C / H, F feed-forward size.
// Without gradients a block works in place where it may: the same numbers with fewer passes over memory.

/// Which positions a query may attend to, worked out once per call and used by every layer.
struct GPT2AttentionPattern {
    /// Bool, broadcastable to `[B, H, T, S]`, true = may attend; nil when `isCausal` says it all.
    let mask: Tensor?
    /// Bool `[B, S]`, which of its positions a row's one new token may attend to, for `KeyValueCache.attend`.
    var rows: Tensor? { mask.map { $0.reshaped($0.size(0), -1) } }
    /// Whether the queries are all positions there are, each attending to those up to itself.
    let isCausal: Bool

    /// - Parameters:
    ///   - mask: `[B, S]`, 1 = may be attended to.
    ///   - past: positions before the new ones.
    init(mask: Tensor?, past: Int, newCount: Int, device: Device) {
        let length = past + newCount
        guard let mask else {
            isCausal = past == 0 && newCount > 1
            self.mask = past == 0 || newCount == 1 ? nil : Self.causal(past: past, newCount: newCount, device: device)
            return
        }
        isCausal = false
        // [B, 1, 1, S]
        let kept = (mask.to(.int64) .!= Tensor.zeros([1], dtype: .int64, device: device)).reshaped(-1, 1, 1, length)
        guard newCount > 1 else {
            self.mask = kept
            return
        }
        // A masked query attends to itself at least: softmax over nothing would be NaN, and reach others through products.
        let queries = Tensor.arange(past, length, device: device).unsqueezed(1)  // [T, 1]
        let keys = Tensor.arange(0, length, device: device).unsqueezed(0)  // [1, S]
        self.mask = ((keys .<= queries) .& kept) .| (keys .== queries)  // [B, 1, T, S]
    }

    private static func causal(past: Int, newCount: Int, device: Device) -> Tensor {
        let queries = Tensor.arange(past, past + newCount, device: device).unsqueezed(1)  // [T, 1]
        return Tensor.arange(0, past + newCount, device: device).unsqueezed(0) .<= queries  // [T, S]
    }
}

/// Multi-head self-attention with query, key and value as one product: `[B, T, C]` gives `[B, T, C]`.
public final class GPT2Attention: Module {
    @Child("c_attn") public var queryKeyValue: Conv1D  // [C, 3 C]
    @Child("c_proj") public var output: Conv1D  // [C, C]

    let headCount: Int
    let scale: Double
    let attentionDropout: Double
    let residualDropout: Double

    init(_ configuration: GPT2Configuration, layer: Int) {
        headCount = configuration.headCount
        let headSize = configuration.hiddenSize / configuration.headCount
        scale =
            (configuration.scalesAttention ? 1 / Double(headSize).squareRoot() : 1)
            / (configuration.scalesAttentionByLayer ? Double(layer + 1) : 1)
        attentionDropout = configuration.attentionDropout
        residualDropout = configuration.residualDropout
        super.init()
        queryKeyValue = Conv1D(configuration.hiddenSize, 3 * configuration.hiddenSize)
        output = Conv1D(configuration.hiddenSize, configuration.hiddenSize)
    }

    func callAsFunction(
        _ x: Tensor, pattern: GPT2AttentionPattern, cache: KeyValueCache?, layer: Int, dropout: Generator?
    ) -> Tensor {
        let shape = x.shape  // [B, T, C]
        let joined = queryKeyValue(x).reshaped(shape[0], shape[1], 3, headCount, -1)  // [B, T, 3, H, d]
        if shape[1] == 1, dropout == nil, let cache,
            let mixed = cache.attend(joined, mask: pattern.rows, scale: scale, layer: layer)
        {
            return output(mixed.reshaped(shape))
        }
        if cache == nil, dropout == nil || attentionDropout == 0, pattern.mask == nil, shape[1] == 1 || pattern.isCausal
        {
            let parts = joined.reshaped(shape[0], shape[1], 3, -1)  // [B, T, 3, C]
            let mixed = Functional.attention(
                parts.select(2, 0), parts.select(2, 1), parts.select(2, 2), heads: headCount, causal: pattern.isCausal,
                scale: scale)
            return dropped(output(mixed), dropout)
        }
        let query = joined.select(2, 0).transposed(1, 2)  // [B, H, T, d]
        let key: Tensor  // [B, H, S, d]
        let value: Tensor
        if let cache {
            (key, value) = cache.append(joined.slice(2, 1..<3), layer: layer)
        } else {
            key = joined.select(2, 1).transposed(1, 2)
            value = joined.select(2, 2).transposed(1, 2)
        }
        let mixed = attend(query, key, value, pattern, dropout)  // [B, H, T, d]
        return dropped(output(mixed.transposed(1, 2).reshaped(shape)), dropout)  // [B, T, C]
    }

    private func dropped(_ result: Tensor, _ dropout: Generator?) -> Tensor {
        dropout.map { Functional.dropout(result, p: residualDropout, generator: $0) } ?? result
    }

    private func attend(
        _ query: Tensor, _ key: Tensor, _ value: Tensor, _ pattern: GPT2AttentionPattern, _ dropout: Generator?
    ) -> Tensor {
        guard let dropout, attentionDropout > 0 else {
            return Functional.attention(
                query, key, value, mask: pattern.mask, causal: pattern.isCausal, scale: scale)
        }
        // libtorch's fused attention drops with its global generator only, so the weights are spelt out.
        var scores = (query * scale).matmul(key.transposed(2, 3))  // [B, H, T, S]
        if let mask = pattern.mask ?? (pattern.isCausal ? causalMask(query.size(2), query.device) : nil) {
            scores = scores.maskedFill(mask.logicalNot(), -.infinity)
        }
        let weights = Functional.dropout(scores.softmax(-1), p: attentionDropout, generator: dropout)
        return weights.matmul(value)
    }

    private func causalMask(_ count: Int, _ device: Device) -> Tensor {
        Tensor.arange(0, count, device: device).unsqueezed(0) .<= Tensor.arange(0, count, device: device).unsqueezed(1)
    }
}

/// Two layers around an activation: `[B, T, C]` over `[B, T, F]` to `[B, T, C]`.
public final class GPT2MLP: Module {
    @Child("c_fc") public var up: Conv1D  // [C, F]
    @Child("c_proj") public var down: Conv1D  // [F, C]

    let activation: Activation
    let residualDropout: Double

    init(_ configuration: GPT2Configuration) {
        activation = configuration.activation
        residualDropout = configuration.residualDropout
        super.init()
        up = Conv1D(configuration.hiddenSize, configuration.feedForwardSize)
        down = Conv1D(configuration.feedForwardSize, configuration.hiddenSize)
    }

    func callAsFunction(_ x: Tensor, dropout: Generator?) -> Tensor {
        let hidden = up(x)  // [B, T, F]
        guard !hidden.requiresGrad else {
            let result = down(activation(hidden))
            return dropout.map { Functional.dropout(result, p: residualDropout, generator: $0) } ?? result
        }
        activation.applyInPlace(to: hidden)
        let result = down(hidden)
        return dropout.map { Functional.dropout(result, p: residualDropout, generator: $0) } ?? result
    }
}

/// Pre-norm transformer block.
public final class GPT2Block: Module {
    @Child("ln_1") public var norm1: LayerNorm
    @Child("attn") public var attention: GPT2Attention
    @Child("ln_2") public var norm2: LayerNorm
    @Child("mlp") public var mlp: GPT2MLP

    init(_ configuration: GPT2Configuration, layer: Int) {
        super.init()
        norm1 = LayerNorm(configuration.hiddenSize, eps: configuration.layerNormEps)
        attention = GPT2Attention(configuration, layer: layer)
        norm2 = LayerNorm(configuration.hiddenSize, eps: configuration.layerNormEps)
        mlp = GPT2MLP(configuration)
    }

    func callAsFunction(
        _ x: Tensor, pattern: GPT2AttentionPattern, cache: KeyValueCache?, layer: Int, dropout: Generator?
    ) -> Tensor {
        let mixed = attention(norm1(x), pattern: pattern, cache: cache, layer: layer, dropout: dropout)
        let (attended, normed) = norm2.adding(mixed, to: x)
        return adding(mlp(normed, dropout: dropout), attended)
    }

    /// `x + residual`, in the memory of `x` when no gradient needs it.
    private func adding(_ x: Tensor, _ residual: Tensor) -> Tensor {
        guard !x.requiresGrad, !residual.requiresGrad, x.dtype == residual.dtype else { return residual + x }
        x.addInPlace(residual)
        return x
    }
}
