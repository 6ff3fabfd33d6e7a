import Torch
import TorchNN

// The transformer block that both CLIP towers share. Reference: transformers `modeling_clip.py`.
//
// Shapes: B batch, T positions, D hidden size, H heads, d = D / H, F intermediate size.
// Without gradients a block works in place where it may: the same numbers with fewer passes over memory.

/// Multi-head self-attention with separate query, key, value and output layers: `[B, T, D]` gives `[B, T, D]`.
public final class CLIPAttention: Module {
    @Child("k_proj") public var key: Linear
    @Child("v_proj") public var value: Linear
    @Child("q_proj") public var query: Linear
    @Child("out_proj") public var output: Linear

    public let headCount: Int

    init(hiddenSize: Int, headCount: Int) {
        self.headCount = headCount
        super.init()
        key = Linear(hiddenSize, hiddenSize)
        value = Linear(hiddenSize, hiddenSize)
        query = Linear(hiddenSize, hiddenSize)
        output = Linear(hiddenSize, hiddenSize)
    }

    func callAsFunction(_ x: Tensor, causal: Bool) -> Tensor {
        let projected = query(x, with: [key, value])  // [B, T, D] each
        return output(
            Functional.attention(projected[0], projected[1], projected[2], heads: headCount, causal: causal))
    }
}

/// Two linear layers around an activation: `[B, T, D]` over `[B, T, F]` to `[B, T, D]`.
public final class CLIPMLP: Module {
    @Child("fc1") public var up: Linear
    @Child("fc2") public var down: Linear

    let activation: Activation

    init(hiddenSize: Int, intermediateSize: Int, activation: Activation) {
        self.activation = activation
        super.init()
        up = Linear(hiddenSize, intermediateSize)
        down = Linear(intermediateSize, hiddenSize)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let hidden = up(x)  // [B, T, F]
        guard hidden.requiresGrad == false else { return down(activation(hidden)) }
        activation.applyInPlace(to: hidden)
        return down(hidden)
    }
}

/// Pre-norm transformer block.
public final class CLIPEncoderLayer: Module {
    @Child("self_attn") public var attention: CLIPAttention
    @Child("layer_norm1") var norm1: LayerNorm
    @Child("mlp") public var mlp: CLIPMLP
    @Child("layer_norm2") var norm2: LayerNorm

    private var packed: CLIPPackedLayer?

    init(hiddenSize: Int, intermediateSize: Int, headCount: Int, activation: Activation, eps: Double) {
        super.init()
        attention = CLIPAttention(hiddenSize: hiddenSize, headCount: headCount)
        norm1 = LayerNorm(hiddenSize, eps: eps)
        mlp = CLIPMLP(hiddenSize: hiddenSize, intermediateSize: intermediateSize, activation: activation)
        norm2 = LayerNorm(hiddenSize, eps: eps)
    }

    public override func dropDerivedWeights() { packed = nil }

    /// - Parameter kernel: how linear layers run; `.packed` is for inference on the CPU.
    func callAsFunction(_ x: Tensor, causal: Bool, kernel: LinearKernel) -> Tensor {
        if kernel == .packed, x.device == .cpu, !(attention.hasAdapters || mlp.hasAdapters) {
            let layer = packed ?? CLIPPackedLayer(self, rows: x.size(0) * x.size(1))
            packed = layer
            return layer(x, norm1: norm1, norm2: norm2, causal: causal)
        }
        let attended = adding(attention(norm1(x), causal: causal), x)
        return adding(mlp(norm2(attended)), attended)
    }

    /// `x + residual`, in the memory of `x` when no gradient needs it.
    private func adding(_ x: Tensor, _ residual: Tensor) -> Tensor {
        guard !x.requiresGrad, !residual.requiresGrad, x.dtype == residual.dtype else { return residual + x }
        x.addInPlace(residual)
        return x
    }
}

/// The stack of blocks.
public final class CLIPEncoder: Module {
    @Children("layers") public var layers: [CLIPEncoderLayer]

    init(layerCount: Int, hiddenSize: Int, intermediateSize: Int, headCount: Int, activation: Activation, eps: Double) {
        super.init()
        layers = (0..<layerCount).map { _ in
            CLIPEncoderLayer(
                hiddenSize: hiddenSize, intermediateSize: intermediateSize, headCount: headCount,
                activation: activation,
                eps: eps)
        }
    }

    func callAsFunction(_ x: Tensor, causal: Bool, kernel: LinearKernel) -> Tensor {
        layers.reduce(x) { $1($0, causal: causal, kernel: kernel) }
    }
}

extension Module {
    /// Whether a linear layer below was replaced by an adapted one, whose extra terms packed weights would lose.
    var hasAdapters: Bool {
        namedModules().contains { $0.module is Linear && type(of: $0.module) != Linear.self }
    }
}
