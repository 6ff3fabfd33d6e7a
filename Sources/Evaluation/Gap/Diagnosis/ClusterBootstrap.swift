import Randomness

/// Intervals of numbers that are functions of sums over pairs: real images are drawn again with replacement, each with
/// all of its pairs.
struct ClusterBootstrap {
    /// For each draw, how often each image was drawn; small numbers, since each is drawn once on average.
    private let draws: [[UInt8]]
    private let realRow: [Int]

    init(images: Int, realRow: [Int], draws count: Int = 1000, seed: UInt64 = 0) {
        self.realRow = realRow
        var random = SplitMix64(seed: seed)
        draws = (0..<count).map { _ in
            var times = [UInt8](repeating: 0, count: images)
            for _ in 0..<images { times[Int(random.next(below: UInt64(images)))] += 1 }
            return times
        }
    }

    /// The 2.5th and 97.5th percentile of a function of means.
    /// - Parameters:
    ///   - columns: one number per pair each.
    ///   - statistic: of the columns' means, in their order; a draw without a value is left out.
    func interval(_ columns: [[Double]], _ statistic: ([Double]) -> Double?) -> [Double]? {
        let images = draws.first?.count ?? 0
        var sums = columns.map { _ in [Double](repeating: 0, count: images) }
        var counts = [Double](repeating: 0, count: images)
        for (pair, row) in realRow.enumerated() {
            counts[row] += 1
            for column in columns.indices { sums[column][row] += columns[column][pair] }
        }
        let values = draws.compactMap { times -> Double? in
            func total(_ values: [Double]) -> Double {
                var sum = 0.0
                for image in 0..<images { sum += Double(times[image]) * values[image] }
                return sum
            }
            let pairs = total(counts)
            return statistic(sums.map { total($0) / pairs })
        }.filter(\.isFinite).sorted()
        guard values.count > draws.count / 2 else { return nil }
        return [Self.quantile(values, 0.025), Self.quantile(values, 0.975)]
    }

    /// Between order statistics linearly, as NumPy's default does.
    static func quantile(_ sorted: [Double], _ share: Double) -> Double {
        let position = share * Double(sorted.count - 1)
        let lower = Int(position)
        let upper = min(lower + 1, sorted.count - 1)
        return sorted[lower] + (position - Double(lower)) * (sorted[upper] - sorted[lower])
    }
}
