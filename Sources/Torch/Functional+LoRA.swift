import CTorch

/// The tensors of one linear layer with a low-rank update (LoRA, Hu et al. 2021).
public struct LoRAOperands {
    public let weight: Tensor  // [out, in]
    public let bias: Tensor?  // [out]
    public let a: Tensor  // [r, in]
    public let b: Tensor  // [out, r]
    public let scale: Double

    /// - Parameter scale: factor on `b · a`.
    public init(weight: Tensor, bias: Tensor?, a: Tensor, b: Tensor, scale: Double) {
        self.weight = weight
        self.bias = bias
        self.a = a
        self.b = b
        self.scale = scale
    }
}

extension Functional {
    /// `linear(x, weight, bias) + scale · (x · aᵀ) · bᵀ` of every layer, all on one input.
    ///
    /// It is one operation: it keeps `x` and `x · aᵀ` for the backward pass once for all layers, and computes no
    /// gradients of weights and biases unless they require them. Under autocast the operands are cast like those of
    /// `linear`.
    /// - Parameter dropped: what the low-rank branch reads instead of `x`, in its shape (`x` after dropout); nil is
    ///   `x`.
    /// - Returns: `[..., out]` of each layer.
    public static func loraLinears(
        _ x: Tensor, dropped: Tensor? = nil, _ layers: [LoRAOperands], file: StaticString = #fileID, line: UInt = #line
    ) -> [Tensor] {
        if ct_scope_failed() { return layers.map { _ in .poisoned() } }
        let weights: [CTTensor?] = layers.map(\.weight.handle)
        let biases: [CTTensor?] = layers.map { $0.bias?.handle }
        let downs: [CTTensor?] = layers.map(\.a.handle)
        let ups: [CTTensor?] = layers.map(\.b.handle)
        var outputs = [CTTensor?](repeating: nil, count: layers.count)
        let status = withExtendedLifetime((x, dropped, layers)) {
            ct_lora_linears(
                x.handle, dropped?.handle, Int32(layers.count), weights, biases, downs, ups, layers.map(\.scale),
                &outputs)
        }
        guard check(status, "loraLinears", file, line) else { return layers.map { _ in .poisoned() } }
        return outputs.map { $0.map(Tensor.init(owning:)) ?? .poisoned() }
    }
}
