import Files
import Foundation

/// Settings against the first one, image by image and seed by seed.
public struct RunComparison: Sendable {
    /// One setting less the first one, in one metric.
    public struct Contrast: Sendable, Equatable, Encodable {
        public let setting: String
        public let metric: String
        /// Mean over the seeds of the mean over the images.
        public let difference: Double
        /// 95 %, by a bootstrap over seeds and images.
        public let interval: [Double]
        /// The seeds that both settings have.
        public let seeds: [Int]
        /// Images that both runs of a seed have, by seed.
        public let images: [Int]
        /// Of the seeds' differences; nil with a single seed.
        public let standardDeviation: Double?
        /// 95 %, by a paired t test over the seeds; nil with a single seed.
        public let tInterval: [Double]?
        /// To find `wantedDifference` in four of five cases; nil with a single seed, or above a thousand.
        public let seedsNeeded: Int?
        public let notes: [String]

        enum CodingKeys: String, CodingKey {
            case setting, metric, difference, interval, seeds, images, notes
            case standardDeviation = "standard_deviation"
            case tInterval = "t_interval"
            case seedsNeeded = "seeds_needed"
        }
    }

    /// Something in which the settings differ.
    public struct Difference: Sendable, Equatable, Encodable {
        /// A recipe's key, `source ROLE`, `version NAME`, `device`, `dtype`, or `scores KEY`.
        public let key: String
        /// In the order of the settings; null where there is no such thing.
        public let values: [String?]
        /// Whether the caller said that this is what is compared.
        public let isCompared: Bool

        enum CodingKeys: String, CodingKey {
            case key, values
            case isCompared = "is_compared"
        }
    }

    public let settings: [String]
    public let contrasts: [Contrast]
    public let differences: [Difference]
    public let wantedDifference: Double?

    /// - Parameters:
    ///   - metrics: names as in the files of scores per image; empty takes all that every setting has.
    ///   - compares: keys of ``Difference`` that are meant to differ.
    ///   - difference: how large a difference should be found, in the metric's unit.
    /// - Throws: ``ReportError`` if there is nothing to compare.
    public init(
        _ runs: RunSet, metrics: [String] = [], compares: Set<String> = [], difference: Double? = nil
    ) throws {
        guard runs.settings.count > 1 else {
            throw ReportError.nothingToCompare(
                reason: "the \(runs.runs.count) runs differ in nothing but the seed; give runs of two settings")
        }
        settings = runs.settings.map(\.label)
        wantedDifference = difference
        let differences = Self.differences(runs.settings, compares)
        self.differences = differences
        if let unknown = compares.sorted().first(where: { key in !differences.contains { $0.key == key } }) {
            let known = differences.map(\.key).joined(separator: ", ")
            throw ReportError.nothingToCompare(
                reason: "the runs do not differ in '\(unknown)', which --compares names; they differ in \(known)")
        }
        let names = try Self.names(runs.settings, metrics)
        let base = runs.settings[0]
        contrasts = try runs.settings.dropFirst().flatMap { setting in
            try names.map { try Self.contrast(setting, base, $0, difference) }
        }
    }

    private static func names(_ settings: [RunSet.Setting], _ wanted: [String]) throws -> [String] {
        func names(_ run: RunRecord) -> [String] { run.predictions?.first?.scores.map(\.name) ?? [] }
        for run in settings.flatMap(\.runs) where names(run).isEmpty {
            throw ReportError.nothingToCompare(
                reason:
                    "run '\(run.label)' has no scores per image; gmail evaluate captioning writes them to per-image.jsonl "
                    + "beside its predictions.jsonl")
        }
        let shared = names(settings[0].runs[0]).filter { name in
            settings.allSatisfy { $0.runs.allSatisfy { names($0).contains(name) } }
        }
        if let missing = wanted.first(where: { !shared.contains($0) }) {
            throw ReportError.nothingToCompare(
                reason: "not every run has '\(missing)' per image; all have \(shared.joined(separator: ", "))")
        }
        guard !shared.isEmpty else {
            throw ReportError.nothingToCompare(reason: "no metric is there per image in every run")
        }
        return wanted.isEmpty ? shared : wanted
    }

    private static func contrast(
        _ setting: RunSet.Setting, _ base: RunSet.Setting, _ metric: String, _ wanted: Double?
    ) throws -> Contrast {
        var notes: [String] = []
        let pairs = try pairs(setting, base, &notes)
        var lists: [(seed: Int, ids: [ExactString], values: [Double])] = []
        for (run, other) in pairs {
            try checkProtocols(run, other, metric)
            let (mine, theirs) = (scores(run, metric), scores(other, metric))
            let ids = mine.keys.filter { theirs[$0] != nil }.sorted { $0.string < $1.string }
            let left = mine.count + theirs.count - 2 * ids.count
            guard !ids.isEmpty else {
                throw ReportError.nothingToCompare(
                    reason: "'\(run.label)' and '\(other.label)' have no image with \(metric) in common")
            }
            if left > 0 {
                notes.append("\(left) images that only one of '\(run.label)', '\(other.label)' has are left out")
            }
            for side in [run, other] {
                let values = ids.compactMap { scores(side, metric)[$0] }
                let mean = values.reduce(0, +) / Double(values.count)
                if let corpus = side.scores.first(where: { $0.name == metric })?.value, abs(corpus - mean) > 1e-6,
                    left == 0
                {
                    notes.append(
                        "'\(side.label)': the mean over images is \(Axis.readable(mean)), the score of the corpus "
                            + "\(Axis.readable(corpus))")
                }
            }
            lists.append((run.seed ?? 0, ids, ids.map { (mine[$0] ?? 0) - (theirs[$0] ?? 0) }))
        }
        let isShared = lists.allSatisfy { $0.ids == lists[0].ids }
        let bounds = PairedBootstrap.interval(lists.map(\.values), isShared: isShared)
        let means = lists.map { $0.values.reduce(0, +) / Double($0.values.count) }
        let spread = SampleStatistics(means)
        let mean = spread?.mean ?? 0
        if lists.count == 1 {
            notes.append("one seed: the interval is over images alone, and says nothing of other seeds")
        }
        let half = spread?.standardDeviation.map {
            StudentT.quantile(0.975, degrees: lists.count - 1) * $0 / Double(lists.count).squareRoot()
        }
        let needed = spread?.standardDeviation.flatMap { deviation in
            wanted.flatMap { StudentT.seedsNeeded(difference: $0, deviation: deviation) }
        }
        return Contrast(
            setting: setting.label, metric: metric, difference: mean, interval: [bounds.low, bounds.high],
            seeds: lists.map(\.seed), images: lists.map(\.ids.count), standardDeviation: spread?.standardDeviation,
            tInterval: half.map { [mean - $0, mean + $0] }, seedsNeeded: needed, notes: notes)
    }

    private static func scores(_ run: RunRecord, _ metric: String) -> [ExactString: Double] {
        var values: [ExactString: Double] = [:]
        for prediction in run.predictions ?? [] {
            values[prediction.imageID] = prediction.scores.first { $0.name == metric }?.value
        }
        return values
    }

    /// Runs of equal seeds; of two single runs the seeds may differ.
    private static func pairs(
        _ setting: RunSet.Setting, _ base: RunSet.Setting, _ notes: inout [String]
    ) throws -> [(RunRecord, RunRecord)] {
        let pairs = setting.runs.compactMap { run in
            base.runs.first { $0.seed == run.seed }.map { (run, $0) }
        }
        if pairs.isEmpty, setting.runs.count == 1, base.runs.count == 1 {
            notes.append("the seeds differ: a part of the difference is theirs")
            return [(setting.runs[0], base.runs[0])]
        }
        guard !pairs.isEmpty else {
            throw ReportError.nothingToCompare(
                reason:
                    "'\(setting.label)' (seeds \(setting.seeds)) and '\(base.label)' (seeds \(base.seeds)) have no seed in "
                    + "common")
        }
        let left = setting.runs.count + base.runs.count - 2 * pairs.count
        if left > 0 { notes.append("\(left) runs whose seed the other setting lacks are left out") }
        return pairs
    }

    private static func checkProtocols(_ run: RunRecord, _ other: RunRecord, _ metric: String) throws {
        guard RunSet.mixedProtocols([run.scores, other.scores]).contains(metric) else { return }
        func tag(_ run: RunRecord) -> String { run.scores.first { $0.name == metric }?.protocolTag ?? "" }
        let same = tag(run) == tag(other) ? "; the references or other data differ" : ""
        throw ReportError.nothingToCompare(
            reason: "\(metric) of '\(run.label)' and '\(other.label)' was computed by two protocols: \(tag(run)) and "
                + tag(other) + same)
    }
}
