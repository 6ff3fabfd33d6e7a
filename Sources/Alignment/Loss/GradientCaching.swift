import Torch

/// Large contrastive batches on the memory of small ones (Gao et al. 2021, arXiv 2101.06983).
///
/// A contrastive loss couples every pair of the batch, so the losses of parts do not add up to that of the whole.
/// Instead, the features of all parts are computed first without a graph, and the loss of the whole batch gives the
/// gradient of every feature. Then each part runs again with a graph and receives the gradient of its features. The
/// result equals the full batch within rounding and costs one more forward pass.
public enum GradientCaching {
    /// Adds the gradient of a full-batch loss to every leaf below `encode` and `loss`.
    /// - Parameters:
    ///   - part: the part of the batch with this number, nil after the last. Parts are asked for in order, and if there
    ///     are several, once more in order. A single part runs as an ordinary full batch.
    ///   - generator: draws dropout for `encode`; its state is replayed, so that both passes see the same masks.
    ///   - encode: one part to features `[b, E]`.
    ///   - loss: all features `[B, E]` to the scalar to minimise and whatever else the caller needs; modules in it
    ///     (projections, batch normalisation) see the full batch. If it throws, no gradient remains.
    /// - Throws: what `part` and `loss` throw. If a part cannot be had a second time, some of the gradient remains.
    public static func backward<Part, Result>(
        part: (Int) throws -> Part?, generator: Generator?, encode: (Part) -> Tensor,
        loss: (Tensor) throws -> (value: Tensor, result: Result)
    ) throws -> Result {
        guard let first = try part(0) else { preconditionFailure("a batch has at least one part") }
        guard let second = try part(1) else {
            let (value, result) = try loss(encode(first))
            value.backward()
            return result
        }
        var states: [[UInt8]] = []
        var parts: [Tensor] = []
        // Emptied during use, so that the pixels of a part are freed once its features are there.
        var waiting = [first, second]
        while !waiting.isEmpty {
            if let generator { states.append(generator.state) }
            parts.append(withoutGradients { encode(waiting.removeFirst()) })
            if waiting.isEmpty, let next = try part(parts.count) { waiting.append(next) }
        }
        let features = Tensor.cat(parts).detached()  // [B, E]
        features.requiresGrad = true
        let (value, result) = try loss(features)
        value.backward()
        guard let gradient = features.grad else { return result }
        var start = 0
        for index in parts.indices {
            if let generator { generator.state = states[index] }
            guard let chunk = try part(index) else { preconditionFailure("part \(index) was there in the first pass") }
            let again = encode(chunk)
            let end = start + again.size(0)
            again.backward(gradient: gradient[start..<end].to(again.dtype))
            start = end
        }
        return result
    }

    /// The same for a batch that is in memory.
    public static func backward<Result>(
        chunks: [Tensor], generator: Generator?, encode: (Tensor) -> Tensor,
        loss: (Tensor) throws -> (value: Tensor, result: Result)
    ) throws -> Result {
        try backward(
            part: { $0 < chunks.count ? chunks[$0] : nil }, generator: generator, encode: encode, loss: loss)
    }

    /// A batch in parts of at most `size` rows; views, no copy.
    public static func split(_ batch: Tensor, size: Int?) -> [Tensor] {
        let count = batch.size(0)
        guard let size, size < count else { return [batch] }
        return stride(from: 0, to: count, by: size).map { batch[$0..<min($0 + size, count)] }
    }
}
