import Torch

/// Scales all gradients together so that their common Euclidean norm is at most `maximum`.
///
/// As `torch.nn.utils.clip_grad_norm_`: the factor `maximum / (norm + 1e-6)` is applied when it is below 1.
/// - Returns: the norm before clipping; not finite if a gradient is not.
@discardableResult
public func clipGradientNorm(_ parameters: [Tensor], maximum: Double) -> Double {
    let gradients = parameters.compactMap(\.grad)
    let norm = Optimization.totalNorm(gradients)
    let factor = maximum / (norm + 1e-6)
    if factor < 1 { Optimization.scale(gradients, by: factor) }
    return norm
}
