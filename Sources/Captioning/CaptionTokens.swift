import Torch

/// Captions as token ids, and which of them count in the loss.
public struct CaptionTokens {
    /// Marks a target that does not count.
    static let uncounted = -100

    /// Tokens that count in the loss.
    public let countedTokens: Int
    /// `[B, T - 1]` int64: every row without its last token, filled up with 0. A counted token attends only to what
    /// stands before it and never sees the filling, so no mask is needed.
    let inputs: Tensor
    /// `[B, T]` int64: the ids that count, ``uncounted`` elsewhere; target k is predicted by position `P - 1 + k`.
    let targets: Tensor

    /// - Parameters:
    ///   - rows: ids of every caption, including its end token.
    ///   - ignored: an id that never counts.
    public init(_ rows: [[Int]], ignoring ignored: Int? = nil) {
        let length = max(1, rows.map(\.count).max() ?? 0)
        var inputs = [Int](repeating: 0, count: rows.count * (length - 1))
        var targets = [Int](repeating: Self.uncounted, count: rows.count * length)
        var counted = 0
        for (row, ids) in rows.enumerated() {
            for (column, id) in ids.enumerated() {
                if column < ids.count - 1 { inputs[row * (length - 1) + column] = id }
                guard id != ignored else { continue }
                targets[row * length + column] = id
                counted += 1
            }
        }
        self.inputs = Tensor(inputs, shape: [rows.count, length - 1])
        self.targets = Tensor(targets, shape: [rows.count, length])
        countedTokens = counted
    }
}
