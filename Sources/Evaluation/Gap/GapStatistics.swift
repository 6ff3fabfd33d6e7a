import Foundation

/// The distribution of values between -1 and 1.
public struct CosineDistribution: Sendable, Equatable, Codable {
    public let count: Int
    public let mean: Double
    /// Standard deviation of the population: divided by `count`.
    public let std: Double
    public let minimum: Double
    /// First quartile; quantiles interpolate linearly between order statistics, as NumPy's default does.
    public let lowerQuartile: Double
    public let median: Double
    public let upperQuartile: Double
    public let maximum: Double
    /// Values in 20 equal bins from -1 to 1; a bin holds its lower edge, the last one both.
    public let histogram: [Int]

    public static let binCount = 20

    enum CodingKeys: String, CodingKey {
        case count, mean, std, median, histogram
        case minimum = "min"
        case maximum = "max"
        case lowerQuartile = "q25"
        case upperQuartile = "q75"
    }

    /// - Throws: ``GapError/noPairs`` without values.
    public init(_ values: [Double]) throws {
        guard !values.isEmpty else { throw GapError.noPairs }
        guard values.allSatisfy(\.isFinite) else { throw GapError.notFinite(what: "cosines") }
        count = values.count
        let mean = values.reduce(0, +) / Double(values.count)
        self.mean = mean
        std = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)).squareRoot()
        let sorted = values.sorted()
        func quantile(_ share: Double) -> Double {
            let position = share * Double(sorted.count - 1)
            let lower = Int(position)
            let upper = min(lower + 1, sorted.count - 1)
            return sorted[lower] + (position - Double(lower)) * (sorted[upper] - sorted[lower])
        }
        minimum = sorted[0]
        maximum = sorted[sorted.count - 1]
        lowerQuartile = quantile(0.25)
        median = quantile(0.5)
        upperQuartile = quantile(0.75)
        var bins = [Int](repeating: 0, count: Self.binCount)
        for value in values {
            // Rounding can make a cosine a little larger than 1.
            bins[max(0, min(Self.binCount - 1, Int(((value + 1) * Double(Self.binCount) / 2).rounded(.down))))] += 1
        }
        histogram = bins
    }
}

/// How far apart the two kinds of image, and their captions, are in one embedding space (GMAIL, Table 14).
public struct GapStatistics: Sendable, Equatable, Codable {
    public let realGenerated: CosineDistribution
    /// nil if texts have another dimension than images.
    public let realText: CosineDistribution?
    public let generatedText: CosineDistribution?
    /// Euclidean distance between the mean normalised embeddings of distinct real images and of generated ones.
    public let centroidDistance: Double
    /// Why captions are not compared; nil if they are.
    public let textNote: String?

    enum CodingKeys: String, CodingKey {
        case realGenerated = "real_generated"
        case realText = "real_text"
        case generatedText = "generated_text"
        case centroidDistance = "centroid_distance"
        case textNote = "text_note"
    }

    /// - Parameters:
    ///   - real: one row per distinct image.
    ///   - realRow: for each pair, its row of `real`.
    ///   - generated: one row per pair.
    ///   - text: one row per pair; compared if its dimension is the images'. nil without a text encoder.
    /// - Throws: ``GapError``
    public init(real: EmbeddingRows, realRow: [Int], generated: EmbeddingRows, text: EmbeddingRows?) throws {
        let pairs = realRow.count
        guard pairs > 0 else { throw GapError.noPairs }
        guard real.dimension == generated.dimension else {
            throw GapError.unequalDimensions(first: real.dimension, second: generated.dimension)
        }
        guard generated.count == pairs else {
            throw GapError.unequalCounts(what: "generated images", expected: pairs, got: generated.count)
        }
        if let text, text.count != pairs {
            throw GapError.unequalCounts(what: "captions", expected: pairs, got: text.count)
        }
        for (pair, row) in realRow.enumerated() where !(0..<real.count).contains(row) {
            throw GapError.rowOutOfRange(pair: pair, row: row, count: real.count)
        }
        let real = try real.normalized(what: "real images")
        let generated = try generated.normalized(what: "generated images")
        realGenerated = try CosineDistribution((0..<pairs).map { real.dot(realRow[$0], generated, $0) })
        if let text, text.dimension == real.dimension {
            let text = try text.normalized(what: "captions")
            realText = try CosineDistribution((0..<pairs).map { real.dot(realRow[$0], text, $0) })
            generatedText = try CosineDistribution((0..<pairs).map { generated.dot($0, text, $0) })
            textNote = nil
        } else {
            realText = nil
            generatedText = nil
            textNote =
                text.map {
                    "captions are not compared: their embeddings have dimension \($0.dimension), the images' "
                        + "\(real.dimension)"
                } ?? "captions are not compared: the model has no text encoder"
        }
        centroidDistance = Self.distance(Self.centroid(real), Self.centroid(generated))
    }

    static func centroid(_ rows: EmbeddingRows) -> [Double] {
        var mean = [Double](repeating: 0, count: rows.dimension)
        for row in 0..<rows.count {
            for index in 0..<rows.dimension { mean[index] += Double(rows.values[row * rows.dimension + index]) }
        }
        return mean.map { $0 / Double(rows.count) }
    }

    private static func distance(_ a: [Double], _ b: [Double]) -> Double {
        zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
    }
}
