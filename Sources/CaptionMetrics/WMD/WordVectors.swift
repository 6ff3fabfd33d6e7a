/// Word vectors: one row per word, `[words, dimension]`, row-major.
public struct WordVectors: Sendable {
    public let dimension: Int
    /// The rows, one after the other.
    public let values: [Float]
    /// SHA-256 of the file from which they were read, for protocol tags.
    public let hash: String?
    /// Keyed by bytes, because Swift strings that are canonically equivalent are equal, but words of a vocabulary are
    /// not.
    private let rows: [[UInt8]: Int]

    public var count: Int { rows.count }

    /// - Parameters:
    ///   - words: as UTF-8; the first of several equal ones counts.
    ///   - values: `words.count * dimension` numbers.
    /// - Throws: `CaptionDataError.wordVectors` when the sizes do not agree.
    public init(words: [String], values: [Float], dimension: Int, hash: String? = nil) throws {
        try self.init(
            keys: words.map { Array($0.utf8) }, values: values, dimension: dimension, hash: hash, path: "in memory")
    }

    init(keys: [[UInt8]], values: [Float], dimension: Int, hash: String?, path: String) throws {
        guard dimension > 0, values.count == keys.count * dimension else {
            throw CaptionDataError.wordVectors(
                path: path, expected: "\(keys.count) words x \(dimension) numbers", got: "\(values.count) numbers")
        }
        self.dimension = dimension
        self.values = values
        self.hash = hash
        var rows: [[UInt8]: Int] = [:]
        rows.reserveCapacity(keys.count)
        for (row, key) in keys.enumerated() where rows[key] == nil { rows[key] = row }
        self.rows = rows
    }

    /// The row of a word, if it has one.
    func row(of word: some Sequence<UInt8>) -> Int? { rows[Array(word)] }
}
