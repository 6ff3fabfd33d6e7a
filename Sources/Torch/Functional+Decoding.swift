import CTorch

extension Functional {
    /// `x · weight + bias` without gradients: the same numbers as `linear`, but when `x` has few rows (a decoding step)
    /// the weight is read only once. Where a gradient is needed, and for many rows, this is `linear`.
    /// - Parameters:
    ///   - isInputFirst: whether `weight` is stored `[in, out]`; otherwise `[out, in]`.
    public static func fewRowsLinear(
        _ x: Tensor, weight: Tensor, isInputFirst: Bool, bias: Tensor? = nil, file: StaticString = #fileID,
        line: UInt = #line
    ) -> Tensor {
        Tensor.make("fewRowsLinear", file, line) {
            ct_few_rows_linear(x.handle, weight.handle, isInputFirst, bias?.handle, $0)
        }
    }

    /// Whether `cachedAttention` should be used on such queries, keys and values: float32 on a CPU with AVX2, without
    /// gradients.
    public static func hasCachedAttention(
        _ query: Tensor, file: StaticString = #fileID, line: UInt = #line
    ) -> Bool {
        var found = false
        let status = withExtendedLifetime(query) { ct_has_cached_attention(query.handle, &found) }
        return check(status, "hasCachedAttention", file, line) && found
    }

    /// Attention of one new token per row to keys and values that are scattered over a cache.
    /// - Parameters:
    ///   - query: `[B, heads, d]`.
    ///   - memory: segments `[slots, capacity, 2, heads, d]`, keys first.
    ///   - starts: the position that each segment begins with, ascending from 0.
    ///   - slots: `B · length` slots: in which slot of its segment position p of row r lies.
    ///   - length: S, positions of a row.
    ///   - mask: bool `[B, S]` (or `[1, S]`), true = may be attended to; nil is all.
    /// - Returns: `[B, heads · d]`.
    public static func cachedAttention(
        _ query: Tensor, memory: [Tensor], starts: [Int], slots: [Int32], length: Int, mask: Tensor? = nil,
        scale: Double, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        precondition(memory.count == starts.count && slots.count == query.size(0) * length)
        return withExtendedLifetime((query, memory, mask)) {
            let handles: [CTTensor?] = memory.map(\.handle)
            let begins = starts.map(Int64.init)
            return Tensor.make("cachedAttention", file, line) {
                ct_cached_attention(
                    query.handle, handles, begins, Int32(begins.count), slots, Int64(length), mask?.handle, scale, $0)
            }
        }
    }

    /// Mean cross entropy in nats of the logits `x · weightᵀ` (float32), which are never held as a whole.
    ///
    /// Forward and backward passes go through `x` in pieces of rows that share one buffer. So neither the logits `[N,
    /// V]` are stored nor the two further tensors of that size that separate operations would keep.
    /// - Parameters:
    ///   - x: `[N, C]`.
    ///   - weight: `[V, C]`.
    ///   - targets: int64 `[N]`.
    public static func linearCrossEntropy(
        _ x: Tensor, weight: Tensor, targets: Tensor, rowsAtOnce: Int = 400, file: StaticString = #fileID,
        line: UInt = #line
    ) -> Tensor {
        Tensor.make("linearCrossEntropy", file, line) {
            ct_linear_cross_entropy(x.handle, weight.handle, targets.handle, Int64(rowsAtOnce), $0)
        }
    }
}

extension Tensor {
    /// The `count` largest values of each row of logits `[rows, V]` in descending order, as log-probabilities (softmax
    /// over the whole row) and int64 ids, both `[rows, count]`. `excluded` ids are skipped, but count in the softmax.
    public func bestTokens(
        _ count: Int, excluding excluded: [Int] = [], file: StaticString = #fileID, line: UInt = #line
    ) -> (logProbabilities: Tensor, ids: Tensor) {
        var values: CTTensor?
        var ids: CTTensor?
        let passed = excluded.map(Int64.init)
        let status = withExtendedLifetime(self) {
            ct_best_tokens(handle, Int64(count), passed, Int64(passed.count), &values, &ids)
        }
        guard check(status, "bestTokens", file, line), let values, let ids else { return (.poisoned(), .poisoned()) }
        return (Tensor(owning: values), Tensor(owning: ids))
    }
}
