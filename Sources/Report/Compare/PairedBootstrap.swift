import Randomness

/// The interval of a mean difference over seeds and images.
///
/// Seeds are drawn with replacement, and in each the images. Runs on one set of images share the draw of images, since
/// an image that is easy is easy for every seed; images that are new for every seed are drawn apart.
enum PairedBootstrap {
    /// - Parameters:
    ///   - differences: one list per seed, one number per image; none is empty.
    ///   - isShared: whether image `i` is the same image in every list.
    /// - Returns: the 2.5th and the 97.5th percentile.
    static func interval(
        _ differences: [[Double]], isShared: Bool, draws: Int = 2000, seed: UInt64 = 0
    ) -> (low: Double, high: Double) {
        var random = SplitMix64(seed: seed)
        func pick(_ count: Int) -> Int { Int(random.next(below: UInt64(count))) }
        let means = (0..<draws).map { _ -> Double in
            let seeds = differences.indices.map { _ in pick(differences.count) }
            let shared = isShared ? differences[0].indices.map { _ in pick(differences[0].count) } : nil
            var sum = 0.0
            for seed in seeds {
                let values = differences[seed]
                let images = shared ?? values.indices.map { _ in pick(values.count) }
                sum += images.reduce(0.0) { $0 + values[$1] } / Double(images.count)
            }
            return sum / Double(seeds.count)
        }.sorted()
        func quantile(_ share: Double) -> Double {
            let position = share * Double(means.count - 1)
            let lower = Int(position)
            return means[lower] + (position - Double(lower)) * (means[min(lower + 1, means.count - 1)] - means[lower])
        }
        return (quantile(0.025), quantile(0.975))
    }
}
