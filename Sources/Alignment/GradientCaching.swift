import Torch

/// Large contrastive batches on the memory of small ones (Gao et al. 2021, arXiv 2101.06983).
///
/// A contrastive loss couples every pair of the batch, so losses of parts do not add up to that of the whole. Instead the
/// features of all parts are computed first without a graph; the loss of the whole batch gives the gradient of every
/// feature; then each part runs again with a graph and takes in its features' gradient. Equal to the full batch within
/// rounding; costs one more forward pass.
public enum GradientCaching {
    /// Adds the gradient of a full-batch loss to every leaf below `encode` and `loss`.
    /// - Parameters:
    ///   - chunks: the batch in parts, `[b, …]` each; one part runs as an ordinary full batch.
    ///   - generator: what `encode` draws dropout from; its state is replayed, so that both passes see the same masks.
    ///   - encode: one part to features `[b, E]`.
    ///   - loss: all features `[B, E]` to the scalar to minimise and whatever else the caller wants back; what stands
    ///     inside (projections, batch normalisation) sees the full batch. Throwing from it leaves no gradient behind.
    public static func backward<Result>(
        chunks: [Tensor], generator: Generator?, encode: (Tensor) -> Tensor,
        loss: (Tensor) throws -> (value: Tensor, result: Result)
    ) rethrows -> Result {
        if chunks.count == 1 {
            let (value, result) = try loss(encode(chunks[0]))
            value.backward()
            return result
        }
        var states: [[UInt8]] = []
        let parts = withoutGradients {
            chunks.map { chunk in
                if let generator { states.append(generator.state) }
                return encode(chunk)
            }
        }
        let features = Tensor.cat(parts).detached()  // [B, E]
        features.requiresGrad = true
        let (value, result) = try loss(features)
        value.backward()
        guard let gradient = features.grad else { return result }
        var start = 0
        for (index, chunk) in chunks.enumerated() {
            if let generator { generator.state = states[index] }
            let again = encode(chunk)
            let end = start + again.size(0)
            again.backward(gradient: gradient[start..<end].to(again.dtype))
            start = end
        }
        return result
    }

    /// A batch in parts of at most `size` rows; views, no copy.
    public static func split(_ batch: Tensor, size: Int?) -> [Tensor] {
        let count = batch.size(0)
        guard let size, size < count else { return [batch] }
        return stride(from: 0, to: count, by: size).map { batch[$0..<min($0 + size, count)] }
    }
}
