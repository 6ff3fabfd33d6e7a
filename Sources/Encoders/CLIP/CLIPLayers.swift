import Torch
import TorchNN

// The pre-norm transformer block of CLIP's towers; SigLIP's towers are made of the same. References: transformers
// `modeling_clip.py`, `modeling_siglip.py`.
//
// Shapes: B batch, T positions, D hidden size, H heads, d = D / H, F intermediate size, R positions that are asked for.
// Without gradients a block works in place where it may: the same numbers with fewer passes over memory.

/// Multi-head self-attention with separate query, key, value and output layers: `[B, T, D]` gives `[B, R, D]`.
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

    /// - Parameter outputs: the positions that are asked for; the others are only attended to.
    func callAsFunction(_ x: Tensor, causal: Bool, outputs: Range<Int>) -> Tensor {
        let projected = query(x, with: [key, value])  // [B, T, D] each
        let queries = outputs.count == x.size(1) ? projected[0] : projected[0].slice(1, outputs)
        return output(Functional.attention(queries, projected[1], projected[2], heads: headCount, causal: causal))
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

    /// One block of a stack in which the last sum is not computed yet: the sum at the end of a layer and the norm at
    /// the beginning of the next are one pass over memory.
    /// - Parameters:
    ///   - pending: what is still to be added to `x`.
    ///   - kernel: how linear layers run; `.packed` is for inference on the CPU.
    ///   - outputs: the positions that are asked for; all without it. Not together with `causal`.
    /// - Returns: two tensors `[B, R, D]` whose sum is the block's result; the second may be missing.
    func advance(
        _ x: Tensor, pending: Tensor?, causal: Bool, kernel: LinearKernel, outputs: Range<Int>? = nil
    ) -> (Tensor, pending: Tensor?) {
        let outputs = outputs ?? 0..<x.size(1)
        precondition(outputs.count == x.size(1) || !causal, "a causal layer gives all its positions")
        func kept(_ x: Tensor) -> Tensor { outputs.count == x.size(1) ? x : x.slice(1, outputs) }
        if kernel == .packed, x.device == .cpu, !(attention.hasAdapters || mlp.hasAdapters) {
            let layer = packed ?? CLIPPackedLayer(self)
            packed = layer
            let whole = pending.map { x + $0 } ?? x
            return (layer(whole, outputs: outputs, norm1: norm1, norm2: norm2, causal: causal), nil)
        }
        let (whole, normed) = norm1.adding(pending, to: x)
        let (attended, again) = norm2.adding(attention(normed, causal: causal, outputs: outputs), to: kept(whole))
        return (attended, mlp(again))
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

    /// - Parameter layers: how many of the layers run, from the first; all of them by default.
    func callAsFunction(_ x: Tensor, causal: Bool, kernel: LinearKernel, layers: Int? = nil) -> Tensor {
        run(x, causal: causal, kernel: kernel, layers: layers)
    }

    /// The last layer's state at the first position alone, `[B, D]`: what a pooled class token reads. The other positions of the
    /// last layer would be computed for nothing: a twelfth of a tower of twelve layers.
    func firstPosition(_ x: Tensor, kernel: LinearKernel) -> Tensor { onePosition(0, x, kernel) }

    /// The same for the last position: what SigLIP pools a text at.
    func lastPosition(_ x: Tensor, kernel: LinearKernel) -> Tensor { onePosition(x.size(1) - 1, x, kernel) }

    private func onePosition(_ position: Int, _ x: Tensor, _ kernel: LinearKernel) -> Tensor {
        run(x, causal: false, kernel: kernel, outputs: position..<position + 1).select(1, 0)
    }

    /// - Parameter outputs: for the last layer.
    private func run(
        _ x: Tensor, causal: Bool, kernel: LinearKernel, outputs: Range<Int>? = nil, layers count: Int? = nil
    ) -> Tensor {
        var state: (Tensor, pending: Tensor?) = (x, nil)
        for (index, layer) in layers.prefix(count ?? layers.count).enumerated() {
            state = layer.advance(
                state.0, pending: state.pending, causal: causal, kernel: kernel,
                outputs: index == layers.count - 1 ? outputs : nil)
        }
        return state.pending.map { state.0 + $0 } ?? state.0
    }
}

extension Module {
    /// Whether a linear layer below was replaced by an adapted one, whose extra terms packed weights would lose.
    var hasAdapters: Bool {
        namedModules().contains { $0.module is Linear && type(of: $0.module) != Linear.self }
    }
}
