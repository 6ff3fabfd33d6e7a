import Torch
import TorchNN

/// A transformer block in oneDNN's weight layout, with activation and residual sums fused into the matrix products.
///
/// Query, key and value run as one product. QuickGELU has no oneDNN form, but `x · σ(1.702 x) = swish(1.702 x) / 1.702`:
/// the first factor goes into the weights before the activation, the second into those after it.
final class CLIPPackedLayer {
    private let queryKeyValue: PackedLinear
    private let output: PackedLinear
    private let up: PackedLinear
    private let down: PackedLinear
    private let activation: Activation
    private let isFused: Bool
    private let headCount: Int

    init(_ layer: CLIPEncoderLayer) {
        let attention = layer.attention
        headCount = attention.headCount
        activation = layer.mlp.activation
        let parts = [attention.query, attention.key, attention.value]
        queryKeyValue = PackedLinear(
            weight: .cat(parts.map(\.weight)), bias: .cat(parts.map { $0.bias! }))  // [3 D, D]
        output = PackedLinear(weight: attention.output.weight, bias: attention.output.bias)
        let mlp = layer.mlp
        switch mlp.activation {
        case .quickGELU:
            up = PackedLinear(
                weight: mlp.up.weight * 1.702, bias: mlp.up.bias.map { $0 * 1.702 }, activation: .swish)
            down = PackedLinear(weight: mlp.down.weight / 1.702, bias: mlp.down.bias)
            isFused = true
        case .gelu, .relu, .silu:
            let fused: PackedLinear.Activation =
                mlp.activation == .gelu ? .gelu : mlp.activation == .relu ? .relu : .swish
            up = PackedLinear(weight: mlp.up.weight, bias: mlp.up.bias, activation: fused)
            down = PackedLinear(weight: mlp.down.weight, bias: mlp.down.bias)
            isFused = true
        case .geluNew, .geluTanh:
            up = PackedLinear(weight: mlp.up.weight, bias: mlp.up.bias)
            down = PackedLinear(weight: mlp.down.weight, bias: mlp.down.bias)
            isFused = false
        }
    }

    /// - Parameter outputs: the R positions that are asked for.
    func callAsFunction(
        _ x: Tensor, outputs: Range<Int>, norm1: LayerNorm, norm2: LayerNorm, causal: Bool
    ) -> Tensor {
        let joined = queryKeyValue(norm1(x)).reshaped(x.size(0), x.size(1), 3, -1)  // [B, T, 3, D]
        let mixed = Functional.attention(
            joined.select(2, 0).slice(1, outputs), joined.select(2, 1), joined.select(2, 2), heads: headCount,
            causal: causal)
        let attended = output(mixed, adding: x.slice(1, outputs).contiguous())  // [B, R, D]
        let hidden = up(norm2(attended))  // [B, R, F]
        if !isFused { activation.applyInPlace(to: hidden) }
        return down(hidden, adding: attended)  // [B, R, D]
    }
}
