import Files
import Foundation

/// The runs of a report: they have unique names, and those that differ only in the seed are grouped.
public struct RunSet: Sendable {
    /// Runs of one recipe on one set of data.
    public struct Setting: Sendable {
        public let label: String
        public let runs: [RunRecord]

        /// The run that represents the others where only one can be shown: the one with the lowest seed.
        public var representative: RunRecord { runs[0] }
        public var seeds: [Int] { runs.compactMap(\.seed) }
    }

    static let seedKey = "training.seed"

    /// In the order given.
    public let runs: [RunRecord]
    /// In the order of their first runs.
    public let settings: [Setting]

    /// Reads the runs.
    /// - Throws: ``ReportError``, also for a folder given twice.
    public init(paths: [String]) throws {
        guard !paths.isEmpty else { throw ReportError.noRuns }
        var seen = Set<ExactString>()
        for path in paths where !seen.insert(ExactString(FileSystem.resolved(path))).inserted {
            throw ReportError.repeatedRun(path: path)
        }
        self.init(try paths.map(RunRecord.init(path:)))
    }

    /// - Parameter records: their labels are made anew.
    init(_ records: [RunRecord]) {
        var records = records
        for (index, label) in Self.labels(records.map { RunRecord.components(of: $0.path) }).enumerated() {
            records[index].label = label
        }
        runs = records
        var groups: [[RunRecord]] = []
        var places: [Identity: Int] = [:]
        for run in records {
            let identity = Identity(run)
            if let place = places[identity] {
                groups[place].append(run)
            } else {
                places[identity] = groups.count
                groups.append([run])
            }
        }
        var labels = groups.map { $0.count == 1 ? $0[0].label : ($0[0].recipe.name ?? $0[0].label) }
        for index in labels.indices where labels.enumerated().contains(where: { $0 != index && $1 == labels[index] }) {
            labels[index] = groups[index].map(\.label).joined(separator: ", ")
        }
        settings = zip(labels, groups).map { label, group in
            Setting(
                label: label,
                runs: group.enumerated().sorted {
                    ($0.element.seed ?? 0, $0.offset) < ($1.element.seed ?? 0, $1.offset)
                }
                .map(\.element))
        }
    }

    /// The shortest ends of the paths that differ: `gmail`, or `a/gmail` and `b/gmail`.
    static func labels(_ paths: [[String]]) -> [String] {
        paths.map { path in
            let others = paths.filter { $0 != path }
            let length =
                (1...max(1, path.count)).first { count in
                    !others.contains { $0.suffix(count) == path.suffix(count) }
                } ?? path.count
            return path.suffix(length).joined(separator: "/")
        }
    }

    /// What runs of one setting have in common: the recipe except for its seed, and the data.
    private struct Identity: Hashable {
        let recipe: [String]
        let data: [String]

        init(_ run: RunRecord) {
            recipe = run.recipe.entries.filter { $0.key != seedKey }.map { "\($0.key)=\($0.value)" }
            // Models that an earlier run has trained vary with the seed; the data of the experiment do not.
            let trained = ["run", "alignment", "adapter", "projections"]
            data = (run.facts?.sources ?? []).filter { !trained.contains($0.role) }
                .map { "\($0.role)=\($0.sha256 ?? $0.path)" }
        }
    }

    /// Settings whose recipes have the same sections, that is one kind of run each.
    var kinds: [[Setting]] {
        var kinds: [(Set<String>, [Setting])] = []
        for setting in settings {
            let sections = setting.representative.recipe.sections
            if let place = kinds.firstIndex(where: { $0.0 == sections }) {
                kinds[place].1.append(setting)
            } else {
                kinds.append((sections, [setting]))
            }
        }
        return kinds.map(\.1)
    }

    /// Names of the metrics that `runs` of several settings do not compute by one protocol, so that their numbers may
    /// not be compared.
    static func mixedProtocols(_ scores: [[RunScore]]) -> Set<String> {
        var tags: [String: Set<String>] = [:]
        for score in scores.joined() {
            // The candidates are what is measured, so they may differ.
            let hashes = score.dataHashes.filter { $0.key != "candidates" }.sorted { $0.key < $1.key }.map {
                "\($0.key)=\($0.value)"
            }
            tags[score.name, default: []].insert(([score.protocolTag] + hashes).joined(separator: "|"))
        }
        return Set(tags.filter { $0.value.count > 1 }.keys)
    }
}
