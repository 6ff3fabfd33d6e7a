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

    /// For tokenizers that a program adds.
    public init(ids: [Int64], attentionMask: [Int64], rowCount: Int, contextLength: Int, truncatedRows: [Int]) {
        precondition(ids.count == rowCount * contextLength && attentionMask.count == ids.count)
        self.ids = ids
        self.attentionMask = attentionMask
        self.rowCount = rowCount
        self.contextLength = contextLength
        self.truncatedRows = truncatedRows
    }

    /// The ids of one row, padding included.
    public func row(_ index: Int) -> ArraySlice<Int64> {
        ids[index * contextLength..<(index + 1) * contextLength]
    }
}

/// What happens to a text with more tokens than the context holds.
public enum Truncation: Sendable, Equatable {
    /// ``TokenizerError/textTooLong(row:tokens:contextLength:text:)`` for the first such text.
    case error
    /// The text is cut, still ends with the end token, and its row is listed in ``TokenBatch/truncatedRows``.
    case truncate
}

/// How a family turns texts into rows.
struct RowFormat {
    var start: Int?
    var end: Int?
    /// A text that ends with the end token gets no second one.
    var endsOnce = false
    var padding: Int
    /// The most tokens that the folder allows in a row; nil for no limit.
    var limit: Int?
    var padsBefore = false
    var cutsFront = false

    /// - Parameters:
    ///   - tokens: ids of each text.
    ///   - texts: for messages.
    ///   - contextLength: T; nil for the limit, or without one for the longest row.
    /// - Throws: ``TokenizerError/textTooLong(row:tokens:contextLength:text:)``,
    ///   ``TokenizerError/contextTooShort(contextLength:minimum:)``.
    func batch(
        _ tokens: [[Int32]], texts: [String], contextLength: Int?, truncation: Truncation
    ) throws(TokenizerError) -> TokenBatch {
        let around = (start == nil ? 0 : 1) + (end == nil ? 0 : 1)
        let asked = contextLength ?? limit
        let width = asked ?? (tokens.map(\.count).max() ?? 0) + around
        let longest = min(width, limit ?? width)
        guard asked == nil || longest >= max(1, around) else {
            throw .contextTooShort(contextLength: longest, minimum: max(1, around))
        }
        let room = longest - around
        var ids: [Int64] = []
        var mask: [Int64] = []
        var truncated: [Int] = []
        ids.reserveCapacity(tokens.count * width)
        mask.reserveCapacity(tokens.count * width)
        for (row, own) in tokens.enumerated() {
            if own.count > room {
                guard truncation == .truncate else {
                    throw .textTooLong(
                        row: row, tokens: own.count + around, contextLength: room + around, text: excerpt(texts[row]))
                }
                truncated.append(row)
            }
            let kept = cutsFront ? own.suffix(room) : own.prefix(room)
            let end = endsOnce && end != nil && kept.last.map(Int.init) == end ? nil : end
            let used = kept.count + (start == nil ? 0 : 1) + (end == nil ? 0 : 1)
            func pad() {
                ids.append(contentsOf: repeatElement(Int64(padding), count: width - used))
                mask.append(contentsOf: repeatElement(0, count: width - used))
            }
            if padsBefore { pad() }
            if let start { ids.append(Int64(start)) }
            for id in kept { ids.append(Int64(id)) }
            if let end { ids.append(Int64(end)) }
            mask.append(contentsOf: repeatElement(1, count: used))
            if !padsBefore { pad() }
        }
        return TokenBatch(
            ids: ids, attentionMask: mask, rowCount: tokens.count, contextLength: width, truncatedRows: truncated)
    }
}

/// The start of a text, for messages.
func excerpt(_ text: String) -> String {
    let scalars = text.unicodeScalars
    guard scalars.count > 60 else { return text }
    return String(String.UnicodeScalarView(scalars.prefix(57))) + "..."
}
