import Torch

/// Symmetric InfoNCE over a batch of pairs (CLIP, Radford et al. 2021, fig. 3).
/// - Parameters:
///   - image: `[B, D]`, any length. - text: `[B, D]`, row i pairs with image row i.
///   - logitScale: scalar, stored as a logarithm.
/// - Returns: scalar mean loss in nats; `log(B)` for uninformative embeddings.
public func contrastiveLoss(image: Tensor, text: Tensor, logitScale: Tensor) -> Tensor {
    let logits = image.normalized().matmul(text.normalized().transposed(0, 1)) * logitScale.exp()  // [B, B]
    let targets = Tensor.arange(0, logits.size(0), device: logits.device)
    return (Functional.crossEntropy(logits, targets) + Functional.crossEntropy(logits.transposed(0, 1), targets)) / 2
}
