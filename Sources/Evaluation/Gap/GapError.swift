import Foundation

/// Why a gap could not be measured.
public enum GapError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case noPairs
    case invalidShape(what: String, values: Int, dimension: Int)
    case noDirection(what: String, row: Int, length: Double)
    case unequalDimensions(first: Int, second: Int)
    case unequalCounts(what: String, expected: Int, got: Int)
    case rowOutOfRange(pair: Int, row: Int, count: Int)
    case tooFewPoints(method: String, expected: Int, got: Int)
    case notFinite(what: String)
    case nothingReadable(manifest: String, pairs: Int, first: String)

    public var description: String {
        switch self {
        case .noPairs: "no pair has both images: nothing to compare. 'gmail data check' names broken files"
        case .nothingReadable(let manifest, let pairs, let first):
            "\(manifest): none of the \(pairs) pairs has two readable images; the first: \(first)"
        case .invalidShape(let what, let values, let dimension):
            "\(what): \(values) numbers are no whole rows of \(dimension)"
        case .noDirection(let what, let row, let length):
            "\(what) row \(row): its length is \(length), expected a finite number above 0; a cosine has no value there. "
                + "Try --dtype float32, or check the model's weights"
        case .unequalDimensions(let first, let second):
            "embeddings of dimension \(first) and \(second) cannot be compared, expected equal ones"
        case .unequalCounts(let what, let expected, let got): "\(what): \(got) rows, expected \(expected), one per pair"
        case .rowOutOfRange(let pair, let row, let count):
            "pair \(pair) names row \(row) of the real images, expected one of 0..<\(count)"
        case .tooFewPoints(let method, let expected, let got):
            "\(method) of \(got) points: expected \(expected) or more; choose --map none"
        case .notFinite(let what): "\(what): a number is not finite. Try --dtype float32"
        }
    }

    public var errorDescription: String? { description }
}
