import Foundation

/// Embeddings outside the tensor library: `[count, dimension]` float32, row-major.
///
/// Statistics and maps of a few thousand rows need no device, and plain arrays can be passed between threads.
public struct EmbeddingRows: Sendable, Equatable {
    public let values: [Float]
    public let count: Int
    public let dimension: Int

    /// - Throws: ``GapError/invalidShape(what:values:dimension:)`` if `values` are not whole rows.
    public init(_ values: [Float], dimension: Int, what: String = "embeddings") throws {
        guard dimension > 0, values.count % dimension == 0 else {
            throw GapError.invalidShape(what: what, values: values.count, dimension: dimension)
        }
        self.values = values
        self.dimension = dimension
        count = values.count / dimension
    }

    /// Every row at length 1.
    /// - Throws: ``GapError/noDirection(what:row:length:)`` for a row that is zero or not finite.
    public func normalized(what: String) throws -> EmbeddingRows {
        var result = values
        for row in 0..<count {
            var sum = 0.0
            for index in row * dimension..<(row + 1) * dimension {
                sum += Double(values[index]) * Double(values[index])
            }
            guard sum.isFinite, sum > 0 else {
                throw GapError.noDirection(what: what, row: row, length: sum.squareRoot())
            }
            let scale = 1 / sum.squareRoot()
            for index in row * dimension..<(row + 1) * dimension {
                result[index] = Float(Double(values[index]) * scale)
            }
        }
        return try EmbeddingRows(result, dimension: dimension, what: what)
    }

    /// Rows by index; an index may repeat.
    public func rows(_ indices: [Int]) throws -> EmbeddingRows {
        var picked: [Float] = []
        picked.reserveCapacity(indices.count * dimension)
        for row in indices { picked += values[row * dimension..<(row + 1) * dimension] }
        return try EmbeddingRows(picked, dimension: dimension)
    }

    /// These rows, then those of `other`.
    public func appending(_ other: EmbeddingRows) throws -> EmbeddingRows {
        guard other.dimension == dimension else {
            throw GapError.unequalDimensions(first: dimension, second: other.dimension)
        }
        return try EmbeddingRows(values + other.values, dimension: dimension)
    }

    /// Dot product of two rows in double precision.
    func dot(_ row: Int, _ other: EmbeddingRows, _ otherRow: Int) -> Double {
        var sum = 0.0
        for index in 0..<dimension {
            sum += Double(values[row * dimension + index]) * Double(other.values[otherRow * dimension + index])
        }
        return sum
    }
}
