/// Texts as token ids, all rows of one length.
public struct TokenBatch: Sendable, Equatable {
    /// `[N, T]`, row-major.
    public let ids: [Int64]
    /// `[N, T]`, row-major: 1 for tokens (start and end included), 0 for padding.
    public let attentionMask: [Int64]
    /// N.
    public let rowCount: Int
    /// T.
    public let contextLength: Int
    /// Rows that were cut to fit, in ascending order; empty unless truncation was asked for.
    public let truncatedRows: [Int]

    /// The ids of one row, padding included.
    public func row(_ index: Int) -> ArraySlice<Int64> {
        ids[index * contextLength..<(index + 1) * contextLength]
    }
}

/// What happens to a text with more tokens than the context holds.
public enum Truncation: Sendable, Equatable {
    /// ``TokenizerError/textTooLong(row:tokens:contextLength:text:)`` for the first such text.
    case error
    /// The text is cut, the end token kept last, and the row listed in ``TokenBatch/truncatedRows``.
    case truncate
}
