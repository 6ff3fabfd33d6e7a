import Torch
import TorchNN

// The transformer block of GPT-2. Reference: transformers `modeling_gpt2.py`.
//
// Shapes: B rows, T new positions, S = past + T positions, C hidden size, H heads, d = C / H, F feed-forward size.
// Without gradients a block works in place where it can: the same numbers with fewer passes over memory.

/// Multi-head self-attention with query, key and value as one product: `[B, T, C]` gives `[B, T, C]`.
public final class GPT2Attention: Module {
    @Child("c_attn") public var queryKeyValue: Conv1D  // [C, 3 C]
    @Child("c_proj") public var output: Conv1D  // [C, C]

    let attention: CausalAttention
    let residualDropout: Double

    init(_ configuration: GPT2Configuration, layer: Int) {
        let headSize = configuration.hiddenSize / configuration.headCount
        attention = CausalAttention(
            headCount: configuration.headCount, keyHeadCount: configuration.headCount,
            scale: (configuration.scalesAttention ? 1 / Double(headSize).squareRoot() : 1)
                / (configuration.scalesAttentionByLayer ? Double(layer + 1) : 1),
            dropout: configuration.attentionDropout)
        residualDropout = configuration.residualDropout
        super.init()
        queryKeyValue = Conv1D(configuration.hiddenSize, 3 * configuration.hiddenSize)
        output = Conv1D(configuration.hiddenSize, configuration.hiddenSize)
    }

    func callAsFunction(
        _ x: Tensor, pattern: AttentionPattern, cache: KeyValueCache?, layer: Int, dropout: Generator?
    ) -> Tensor {
        let shape = x.shape  // [B, T, C]
        let joined = queryKeyValue(x).reshaped(shape[0], shape[1], 3, attention.headCount, -1)  // [B, T, 3, H, d]
        let mixed = attention(
            joined.select(2, 0), joined.slice(2, 1..<3), pattern: pattern, cache: cache, layer: layer, dropout: dropout)
        let result = output(mixed)
        return dropout.map { Functional.dropout(result, p: residualDropout, generator: $0) } ?? result
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
        _ x: Tensor, pattern: AttentionPattern, cache: KeyValueCache?, layer: Int, dropout: Generator?
    ) -> Tensor {
        let mixed = attention(norm1(x), pattern: pattern, cache: cache, layer: layer, dropout: dropout)
        let (attended, normed) = norm2.adding(mixed, to: x)
        return adding(mlp(normed, dropout: dropout), attended)
    }

    /// `x + residual`, in the memory of `x` if no gradient needs it.
    private func adding(_ x: Tensor, _ residual: Tensor) -> Tensor {
        guard !x.requiresGrad, !residual.requiresGrad, x.dtype == residual.dtype else { return residual + x }
        x.addInPlace(residual)
        return x
    }
}
