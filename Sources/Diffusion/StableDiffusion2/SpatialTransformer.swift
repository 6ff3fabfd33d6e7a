import Torch
import TorchNN

// The transformer between a UNet's residual blocks. Reference: diffusers 0.42.1 `models/transformers/transformer_2d.py`,
// `models/attention.py`, `models/attention_processor.py`.
//
// Shapes: B batch, C channels, P = H · W positions, T text tokens, K width of the text states, A heads, d = C / A.

/// Text states as the attention of a UNet reads them. They stay the same over a whole walk, and so do the keys and
/// values made of them: without gradients each layer computes its own once.
public final class DiffusionTextContext {
    let states: Tensor  // [B, T, K]
    private let isKept: Bool
    private var kept: [ObjectIdentifier: (Tensor, Tensor)] = [:]

    init(_ states: Tensor, isKept: Bool) {
        self.states = states
        self.isKept = isKept
    }

    fileprivate func keysAndValues(of layer: DiffusionAttention, _ make: (Tensor) -> (Tensor, Tensor)) -> (
        Tensor, Tensor
    ) {
        guard isKept else { return make(states) }
        if let found = kept[ObjectIdentifier(layer)] { return found }
        let made = make(states)
        kept[ObjectIdentifier(layer)] = made
        return made
    }
}

/// Multi-head attention of positions `[B, P, C]` to themselves or to the text `[B, T, K]`; gives `[B, P, C]`.
public final class DiffusionAttention: Module {
    @Child("to_q") public var query: Linear  // no bias in the UNet
    @Child("to_k") public var key: Linear
    @Child("to_v") public var value: Linear
    @Child("to_out.0") public var output: Linear

    let headCount: Int
    /// Whether scores are computed in float32 whatever the dtype; no effect in float32.
    var isUpcast: Bool

    init(channels: Int, contextWidth: Int, headCount: Int, isUpcast: Bool, bias: Bool = false) {
        self.headCount = headCount
        self.isUpcast = isUpcast
        super.init()
        query = Linear(channels, channels, bias: bias)
        key = Linear(contextWidth, channels, bias: bias)
        value = Linear(contextWidth, channels, bias: bias)
        output = Linear(channels, channels)
    }

    /// Attention of `x` to itself, plus `other`.
    func callAsFunction(_ x: Tensor, adding other: Tensor) -> Tensor {
        let shared = Functional.autocastInput(x)
        return output.rows(attend(query.rows(shared), key.rows(shared), value.rows(shared)), adding: other)
    }

    /// Attention of `x` to the text, plus `other`.
    func callAsFunction(_ x: Tensor, text: DiffusionTextContext, adding other: Tensor) -> Tensor {
        let (k, v) = text.keysAndValues(of: self) { states in
            let parts = key(states, with: [value])  // [B, T, C]
            return (parts[0], parts[1])
        }
        return output.rows(attend(query.rows(x), k, v), adding: other)
    }

    private func attend(_ q: Tensor, _ k: Tensor, _ v: Tensor) -> Tensor {
        guard isUpcast, q.dtype != .float32 else { return Functional.attention(q, k, v, heads: headCount) }
        // Scores of Stable Diffusion 2.1 exceed the range of float16; autocast would narrow them again.
        let wide = autocast(nil, device: q.device) {
            Functional.attention(q.to(.float32), k.to(.float32), v.to(.float32), heads: headCount)
        }
        return wide.to(q.dtype)
    }
}

/// `down(a · gelu(g))` with `[a, g] = up(x)`: `[B, P, C]` over `[B, P, 8 C]` to `[B, P, C]`.
public final class GatedFeedForward: Module {
    @Child("net.0.proj") public var up: Linear  // [8 C, C]
    @Child("net.2") public var down: Linear  // [C, 4 C]

    init(channels: Int) {
        super.init()
        up = Linear(channels, 8 * channels)
        down = Linear(4 * channels, channels)
    }

    /// The result for `x`, plus `other`.
    func callAsFunction(_ x: Tensor, adding other: Tensor) -> Tensor {
        down.rows(Functional.gatedGELU(up.rows(x)), adding: other)
    }
}

/// Pre-norm block: self-attention, attention to the text, gated feed-forward; `[B, P, C]` to `[B, P, C]`.
public final class DiffusionTransformerBlock: Module {
    @Child("norm1") var norm1: LayerNorm
    @Child("attn1") public var selfAttention: DiffusionAttention
    @Child("norm2") var norm2: LayerNorm
    @Child("attn2") public var textAttention: DiffusionAttention
    @Child("norm3") var norm3: LayerNorm
    @Child("ff") public var feedForward: GatedFeedForward

    init(channels: Int, contextWidth: Int, headCount: Int, isUpcast: Bool) {
        super.init()
        norm1 = LayerNorm(channels)
        selfAttention = DiffusionAttention(
            channels: channels, contextWidth: channels, headCount: headCount, isUpcast: isUpcast)
        norm2 = LayerNorm(channels)
        textAttention = DiffusionAttention(
            channels: channels, contextWidth: contextWidth, headCount: headCount, isUpcast: isUpcast)
        norm3 = LayerNorm(channels)
        feedForward = GatedFeedForward(channels: channels)
    }

    func callAsFunction(_ x: Tensor, text: DiffusionTextContext) -> Tensor {
        var hidden = selfAttention(norm1(x), adding: x)
        hidden = textAttention(norm2(hidden), text: text, adding: hidden)
        return feedForward(norm3(hidden), adding: hidden)
    }
}

/// Transformer blocks over the positions of an image: `[B, C, H, W]` to `[B, C, H, W]` (diffusers' `Transformer2DModel`).
public final class SpatialTransformer: Module {
    @Child("norm") var norm: GroupNorm
    @Child("proj_in") var input: PositionwiseLinear
    @Children("transformer_blocks") public var blocks: [DiffusionTransformerBlock]
    @Child("proj_out") var output: PositionwiseLinear

    init(
        channels: Int, contextWidth: Int, headCount: Int, layerCount: Int, groups: Int, isLinear: Bool, isUpcast: Bool
    ) {
        super.init()
        norm = GroupNorm(groups: groups, channels: channels, eps: 1e-6)
        input = PositionwiseLinear(channels, isLinear: isLinear)
        blocks = (0..<layerCount).map { _ in
            DiffusionTransformerBlock(
                channels: channels, contextWidth: contextWidth, headCount: headCount, isUpcast: isUpcast)
        }
        output = PositionwiseLinear(channels, isLinear: isLinear)
    }

    func callAsFunction(_ x: Tensor, text: DiffusionTextContext) -> Tensor {
        let shape = x.shape  // [B, C, H, W]
        let tokens = norm(x).permuted(0, 2, 3, 1).reshaped(shape[0], shape[2] * shape[3], shape[1])  // [B, P, C]
        let mixed = blocks.reduce(input.rows(tokens)) { $1($0, text: text) }
        let pixels = x.permuted(0, 2, 3, 1)  // [B, H, W, C]
        return output.rows(mixed, adding: pixels.reshaped(tokens.shape)).reshaped(pixels.shape).permuted(0, 3, 1, 2)
    }
}

/// The same linear layer at every position; files store it as a matrix `[C, C]` or as a 1x1 convolution `[C, C, 1, 1]`.
public final class PositionwiseLinear: Linear {
    init(_ channels: Int, isLinear: Bool) {
        super.init(channels, channels)
        if !isLinear { weight = .empty([channels, channels, 1, 1]) }
    }

    public override func callAsFunction(_ x: Tensor) -> Tensor {
        Functional.linear(x, weight: weight.rank == 2 ? weight : weight.reshaped(outputSize, inputSize), bias: bias)
    }
}
