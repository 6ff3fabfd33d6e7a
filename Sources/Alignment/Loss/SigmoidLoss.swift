import Torch
import TorchNN
import Training

/// The sigmoid loss of SigLIP (Zhai et al. 2023, arXiv 2303.15343, eq. 1): every pair of the batch is judged by itself, as
/// belonging together or not. Pure functions of float32 tensors.
public enum SigmoidLoss {
    /// `-Σ log σ(y · (t · cos + b)) / B`, with y = 1 for pairs and -1 for all others.
    /// - Parameters:
    ///   - a: `[B, D]`, any length; compared by cosine.
    ///   - b: `[B, D]`; row i belongs to row i of `a`.
    ///   - scale: t and b.
    ///   - excluding: bool `[B, B]`: true where row j of `b` is no negative of row i of `a`; nil excludes none.
    /// - Returns: scalar in nats.
    public static func loss(_ a: Tensor, _ b: Tensor, scale: SigmoidScale, excluding: Tensor? = nil) -> Tensor {
        let count = a.size(0)
        let cosines = a.to(.float32).normalized().matmul(b.to(.float32).normalized().transposed(0, 1))  // [B, B]
        let logits = cosines * scale.logarithm.exp() + scale.bias
        let order = Tensor.arange(0, count, device: a.device)
        let isPair = order.unsqueezed(0) .== order.unsqueezed(1)
        let signs = isPair.to(.float32) * 2 - 1
        // -log σ(x) is the cross entropy of the scores x and 0, which libtorch computes without overflow.
        let scores = (logits * signs).reshaped(count * count, 1)
        let both = Tensor.cat([scores, .zeros([count * count, 1], device: a.device)], dim: 1)
        var targets = Tensor.zeros([count, count], dtype: .int64, device: a.device)
        var terms = count * count
        if let excluding {
            targets = targets.maskedFill(excluding, -100)
            terms -= excluding.to(.int64).sum().integer()
        }
        return Functional.crossEntropy(both, targets.reshaped(count * count), ignoring: -100)
            * (Double(terms) / Double(count))
    }
}

/// What the sigmoid loss scales cosines by and adds: t as a logarithm, and b.
public final class SigmoidScale: Module {
    @Parameter("logit_scale") public var logarithm: Tensor  // scalar
    @Parameter("logit_bias") public var bias: Tensor  // scalar

    public init(scale: Double, bias: Double, device: Device = .cpu) {
        super.init()
        logarithm = Tensor.scalar(scale, device: device).log()
        self.bias = .scalar(bias, device: device)
    }
}

/// How the sigmoid loss begins, and whether its scale is trained.
public struct SigmoidSettings: Sendable, Equatable, Codable {
    /// t at the start; nil is the encoder's own, or 10.
    public var scale: Double?
    /// b at the start; nil is the encoder's own, or -10.
    public var bias: Double?
    public var isTrained: Bool

    public init(scale: Double? = nil, bias: Double? = nil, isTrained: Bool = true) {
        self.scale = scale
        self.bias = bias
        self.isTrained = isTrained
    }

    /// - Throws: `SettingError`
    func validate() throws(SettingError) {
        if let scale { try SettingError.require(scale > 0 && scale.isFinite, "loss.scale", "a number above 0", scale) }
        if let bias { try SettingError.require(bias.isFinite, "loss.bias", "a finite number", bias) }
    }
}
