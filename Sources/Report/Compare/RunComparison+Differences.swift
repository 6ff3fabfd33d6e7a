extension RunComparison {
    /// All in which the settings differ, apart from names, places and seeds.
    static func differences(_ settings: [RunSet.Setting], _ compares: Set<String>) -> [Difference] {
        let runs = settings.map(\.representative)
        var rows = RecipeDifferences(runs.map(\.recipe)).rows.filter { $0.key != RunSet.seedKey }.map {
            (key: $0.key, values: $0.values)
        }
        func add(_ key: String, _ values: [String?]) {
            if Set(values).count > 1 { rows.append((key, values)) }
        }
        func ordered(_ keys: [String]) -> [String] {
            var seen = Set<String>()
            return keys.filter { seen.insert($0).inserted }
        }
        for role in ordered(runs.flatMap { $0.facts?.sources.map(\.role) ?? [] }) {
            let sources = runs.map { run in run.facts?.sources.first { $0.role == role } }
            // The content decides, not where it lies.
            guard Set(sources.map { $0.map { $0.sha256 ?? $0.path } }).count > 1 else { continue }
            add("source \(role)", sources.map { $0.map { "\($0.path) (\(($0.sha256 ?? "").prefix(8)))" } })
        }
        for name in ordered(runs.flatMap { $0.facts?.versions.map(\.name) ?? [] }) {
            add("version \(name)", runs.map { run in run.facts?.versions.first { $0.name == name }?.value })
        }
        add("device", runs.map { $0.facts?.device })
        add("dtype", runs.map { $0.facts?.dtype })
        for key in ordered(runs.flatMap { $0.scoreSettings.map(\.key) }) where !key.contains("sha256") {
            add("scores \(key)", runs.map { run in run.scoreSettings.first { $0.key == key }?.value })
        }
        return rows.map { Difference(key: $0.key, values: $0.values, isCompared: compares.contains($0.key)) }
    }
}
