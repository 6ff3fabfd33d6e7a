import CTorch

extension Functional {
    /// `x · weight + bias` without gradients: the same numbers as `linear`, at the speed of reading the weight once when
    /// `x` has few rows (a decoding step). Where a gradient is needed, and for many rows, it is `linear`.
    /// - Parameters:
    ///   - isInputFirst: whether `weight` lies `[in, out]`; otherwise `[out, in]`.
    public static func fewRowsLinear(
        _ x: Tensor, weight: Tensor, isInputFirst: Bool, bias: Tensor? = nil, file: StaticString = #fileID,
        line: UInt = #line
    ) -> Tensor {
        Tensor.make("fewRowsLinear", file, line) {
            ct_few_rows_linear(x.handle, weight.handle, isInputFirst, bias?.handle, $0)
        }
    }

    /// Mean cross entropy in nats of the logits `x · weightᵀ` (float32), never held whole.
    ///
    /// Forward and backward go through `x` in pieces of rows that share one buffer: the logits of `[N, V]` and the two
    /// more of that size which separate operations would keep are not made.
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
    /// The `count` largest of each row of logits `[rows, V]` in descending order, as log-probabilities (softmax over the
    /// whole row) and ids int64, both `[rows, count]`; `excluded` ids are passed over but count in the softmax.
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
