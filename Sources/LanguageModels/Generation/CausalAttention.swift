import Torch

// Attention in decoders, the same for every family in which a position attends to those before it.
//
// Shapes: B rows, T new positions, S = past + T positions, H heads of queries, K heads of keys and values, d head size.
// K divides H: neighbouring H / K queries share a head of keys (grouped queries, Ainslie et al. 2023).

/// Which positions a query may attend to; computed once per call and used by every layer.
struct AttentionPattern {
    /// Bool, broadcastable to `[B, H, T, S]`, true = may attend; nil if `isCausal` says everything.
    let mask: Tensor?
    /// Bool `[B, S]`: to which of its positions the one new token of a row may attend, for `KeyValueCache.attend`.
    var rows: Tensor? { mask.map { $0.reshaped($0.size(0), -1) } }
    /// Whether the queries are all positions, and each attends to itself and those before it.
    let isCausal: Bool

    /// - Parameters:
    ///   - mask: `[B, S]`, 1 = may be attended to.
    ///   - past: positions before the new ones.
    init(mask: Tensor?, past: Int, newCount: Int, device: Device) {
        let length = past + newCount
        guard let mask else {
            isCausal = past == 0 && newCount > 1
            self.mask = past == 0 || newCount == 1 ? nil : Self.causal(past: past, newCount: newCount, device: device)
            return
        }
        isCausal = false
        // [B, 1, 1, S]
        let kept = (mask.to(.int64) .!= Tensor.zeros([1], dtype: .int64, device: device)).reshaped(-1, 1, 1, length)
        guard newCount > 1 else {
            self.mask = kept
            return
        }
        // A masked query attends at least to itself: softmax over nothing would be NaN and spread through products.
        let queries = Tensor.arange(past, length, device: device).unsqueezed(1)  // [T, 1]
        let keys = Tensor.arange(0, length, device: device).unsqueezed(0)  // [1, S]
        self.mask = ((keys .<= queries) .& kept) .| (keys .== queries)  // [B, 1, T, S]
    }

    private static func causal(past: Int, newCount: Int, device: Device) -> Tensor {
        let queries = Tensor.arange(past, past + newCount, device: device).unsqueezed(1)  // [T, 1]
        return Tensor.arange(0, past + newCount, device: device).unsqueezed(0) .<= queries  // [T, S]
    }
}

/// Attention of one layer of a decoder.
struct CausalAttention {
    /// H.
    let headCount: Int
    /// K.
    let keyHeadCount: Int
    /// Factor of the scores.
    let scale: Double
    /// Share of attention weights that training drops.
    let dropout: Double

    /// - Parameters:
    ///   - query: `[B, T, H, d]`.
    ///   - keyValue: keys, then values, of the same positions: `[B, T, 2, K, d]`.
    ///   - cache: keys and values of earlier positions; the new ones are added to it.
    ///   - layer: which of the cache's layers it is.
    ///   - generator: draws what is dropped; nil drops nothing.
    /// - Returns: `[B, T, H · d]`.
    func callAsFunction(
        _ query: Tensor, _ keyValue: Tensor, pattern: AttentionPattern, cache: KeyValueCache?, layer: Int,
        dropout generator: Generator?
    ) -> Tensor {
        let shape = query.shape
        let width = shape[2] * shape[3]
        if shape[1] == 1, generator == nil, let cache,
            let mixed = cache.attend(query, keyValue, mask: pattern.rows, scale: scale, layer: layer)
        {
            return mixed.reshaped(shape[0], 1, width)
        }
        if cache == nil, generator == nil || dropout == 0, headCount == keyHeadCount, pattern.mask == nil,
            shape[1] == 1 || pattern.isCausal
        {
            func joined(_ part: Tensor) -> Tensor { part.reshaped(shape[0], shape[1], width) }
            return Functional.attention(
                joined(query), joined(keyValue.select(2, 0)), joined(keyValue.select(2, 1)), heads: headCount,
                causal: pattern.isCausal, scale: scale)
        }
        let key: Tensor  // [B, K, S, d]
        let value: Tensor
        if let cache {
            (key, value) = cache.append(keyValue, layer: layer)
        } else {
            key = keyValue.select(2, 0).transposed(1, 2)
            value = keyValue.select(2, 1).transposed(1, 2)
        }
        let mixed = attend(query.transposed(1, 2), shared(key), shared(value), pattern, generator)  // [B, H, T, d]
        return mixed.transposed(1, 2).reshaped(shape[0], shape[1], width)
    }

    /// Each head of keys or values repeated for every head of queries that uses it: `[B, K, S, d]` to `[B, H, S, d]`.
    private func shared(_ x: Tensor) -> Tensor {
        guard headCount != keyHeadCount else { return x }
        let shape = x.shape
        return x.unsqueezed(2).expanded(shape[0], shape[1], headCount / keyHeadCount, shape[2], shape[3])
            .reshaped(shape[0], headCount, shape[2], shape[3])
    }

    private func attend(
        _ query: Tensor, _ key: Tensor, _ value: Tensor, _ pattern: AttentionPattern, _ generator: Generator?
    ) -> Tensor {
        guard let generator, dropout > 0 else {
            return Functional.attention(
                query, key, value, mask: pattern.mask, causal: pattern.isCausal, scale: scale)
        }
        // libtorch's fused attention drops only with its global generator, so the weights are computed step by step
        // here.
        var scores = (query * scale).matmul(key.transposed(2, 3))  // [B, H, T, S]
        if let mask = pattern.mask ?? (pattern.isCausal ? causalMask(query.size(2), query.device) : nil) {
            scores = scores.maskedFill(mask.logicalNot(), -.infinity)
        }
        let weights = Functional.dropout(scores.softmax(-1), p: dropout, generator: generator)
        return weights.matmul(value)
    }

    private func causalMask(_ count: Int, _ device: Device) -> Tensor {
        Tensor.arange(0, count, device: device).unsqueezed(0) .<= Tensor.arange(0, count, device: device).unsqueezed(1)
    }
}
