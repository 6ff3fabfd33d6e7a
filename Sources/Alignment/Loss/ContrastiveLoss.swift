import Torch

/// InfoNCE on paired embeddings: pure functions of float32 tensors.
///
/// Legend: B pairs, D dimension; row i of one side pairs with row i of the other; the other rows are its negatives.
public enum ContrastiveLoss {
    /// Eq. 1 of GMAIL: the mean over i of `-log softmax_j(sim(anchor_i, target_j) / τ)` at j = i.
    /// - Parameters:
    ///   - anchors: `[B, D]`, any length; compared by cosine.
    ///   - targets: `[B, D]`.
    ///   - temperature: τ.
    ///   - excluding: bool `[B, B]`: true where target j is not a negative of anchor i (`repeats(of:)`); nil excludes
    ///     none.
    /// - Returns: scalar in nats; `log(B)` for uninformative embeddings.
    public static func oneDirection(
        _ anchors: Tensor, _ targets: Tensor, temperature: Double, excluding: Tensor? = nil
    ) -> Tensor {
        direction(similarities(anchors, targets, temperature), excluding)
    }

    /// The mean of both directions (CLIP, Radford et al. 2021, fig. 3).
    /// - Parameters:
    ///   - excluding: as for `oneDirection`; must be symmetric, as `repeats(of:)` is.
    ///   - smoothing: the share of each target that is spread evenly over all that is not excluded.
    public static func symmetric(
        _ a: Tensor, _ b: Tensor, temperature: Double, excluding: Tensor? = nil, smoothing: Double = 0
    ) -> Tensor {
        symmetric(logits: similarities(a, b, temperature), excluding: excluding, smoothing: smoothing)
    }

    /// The same of scores `[B, B]`.
    static func symmetric(logits: Tensor, excluding: Tensor?, smoothing: Double) -> Tensor {
        (direction(logits, excluding, smoothing) + direction(logits.transposed(0, 1), excluding, smoothing)) * 0.5
    }

    /// Where rows i ≠ j belong to the same group (the same real image): bool `[B, B]`; nil when all groups differ.
    public static func repeats<Group: Hashable>(of groups: [Group], device: Device = .cpu) -> Tensor? {
        var numbers: [Group: Int] = [:]
        let ids = groups.map { group in
            if let number = numbers[group] { return number }
            numbers[group] = numbers.count
            return numbers.count - 1
        }
        guard numbers.count < groups.count else { return nil }
        let column = Tensor(ids).to(device).unsqueezed(1)  // [B, 1]
        let order = Tensor.arange(0, ids.count).to(device)
        return (column .== column.transposed(0, 1)) .& (order.unsqueezed(1) .!= order.unsqueezed(0))
    }

    private static func similarities(_ a: Tensor, _ b: Tensor, _ temperature: Double) -> Tensor {
        a.to(.float32).normalized().matmul(b.to(.float32).normalized().transposed(0, 1)) / temperature  // [B, B]
    }

    private static func direction(_ logits: Tensor, _ excluding: Tensor?, _ smoothing: Double = 0) -> Tensor {
        let rows = excluding.map { logits.maskedFill($0, -.infinity) } ?? logits
        let order = Tensor.arange(0, logits.size(0), device: logits.device)
        let loss = Functional.crossEntropy(rows, order)
        guard smoothing > 0 else { return loss }
        // All scores of a row share one normaliser, so what moves from the target to the others is their difference.
        let own = logits.gather(1, order.unsqueezed(1)).mean()
        let all =
            excluding.map { excluded in
                logits.maskedFill(excluded, 0).sum(1) / (Double(logits.size(1)) - excluded.to(.float32).sum(1))
            } ?? logits.mean(1)
        return loss + (own - all.mean()) * smoothing
    }
}
