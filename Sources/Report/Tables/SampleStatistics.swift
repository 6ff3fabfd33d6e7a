/// Mean and spread of repeated measurements.
public struct SampleStatistics: Sendable, Equatable {
    public let count: Int
    public let mean: Double
    /// Standard deviation of the sample: divided by `count - 1`; nil for a single value.
    public let standardDeviation: Double?

    /// - Returns: nil without values.
    public init?(_ values: [Double]) {
        guard !values.isEmpty else { return nil }
        count = values.count
        let mean = values.reduce(0, +) / Double(values.count)
        self.mean = mean
        standardDeviation =
            values.count < 2
            ? nil
            : (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)).squareRoot()
    }
}
