import Torch

extension CausalLanguageModel {
    /// Mean negative log-likelihood in nats of `targets`, computed only where there is a target.
    ///
    /// The output layer is most of a small model's work and, at `[B, T, V]`, most of its memory, and a prefix and
    /// padding do not need it. The value equals the cross entropy over all positions with the others ignored.
    /// - Parameters:
    ///   - embeddings: `[B, T, C]`.
    ///   - targets: int64 `[B, K]`; target k is the token that position `start + k` should predict.
    ///   - start: for a prefix of P positions before the tokens' embeddings, P - 1.
    ///   - ignored: targets that do not count (the authors of ClipCap ignore 0).
    ///   - attentionMask: `[B, T]`, 1 = may be attended to; nil is all ones, right for padding at the end.
    /// - Returns: a scalar; NaN if no target counts, as in PyTorch.
    public func loss(
        embeddings: Tensor, targets: Tensor, from start: Int, ignoring ignored: Int = -100,
        attentionMask: Tensor? = nil
    ) -> Tensor {
        let shape = targets.shape  // [B, K]
        precondition(
            start >= 0 && start + shape[1] <= embeddings.size(1),
            "\(shape[1]) targets from position \(start) of \(embeddings.size(1))")
        let states = hiddenStates(embeddings: embeddings, attentionMask: attentionMask, positions: nil, cache: nil)
        let width = states.size(1)
        let ids = targets.array(of: Int64.self)
        let counted = ids.indices.filter { ids[$0] != Int64(ignored) }
        let places = counted.map { Int64($0 / shape[1] * width + start + $0 % shape[1]) }
        let rows = states.reshaped(-1, states.size(2)).indexSelect(0, Tensor(places).to(states.device))  // [N, C]
        return Functional.linearCrossEntropy(
            rows, weight: headWeight, targets: Tensor(counted.map { ids[$0] }).to(states.device))
    }

    /// The loss of every token given those before it, as transformers' `labels` argument defines it.
    /// - Parameter labels: int64 `[B, T]`, the tokens of the embeddings; -100 does not count.
    public func loss(embeddings: Tensor, labels: Tensor, attentionMask: Tensor? = nil) -> Tensor {
        loss(
            embeddings: embeddings, targets: labels.slice(1, 1..<labels.size(1)), from: 0, attentionMask: attentionMask)
    }
}
