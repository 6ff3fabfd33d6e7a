import Foundation

extension RunComparison {
    /// Equal comparisons give equal bytes.
    public func json() throws -> String {
        struct Content: Encodable {
            let version = 1
            let settings: [String]
            let contrasts: [Contrast]
            let differences: [Difference]
            let wantedDifference: Double?

            enum CodingKeys: String, CodingKey {
                case version, settings, contrasts, differences
                case wantedDifference = "wanted_difference"
            }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let content = Content(
            settings: settings, contrasts: contrasts, differences: differences, wantedDifference: wantedDifference)
        return String(decoding: try encoder.encode(content), as: UTF8.self) + "\n"
    }

    /// For people.
    public var text: String {
        func number(_ value: Double) -> String { String(format: "%+.4f", value) }
        func range(_ bounds: [Double]) -> String { "[\(number(bounds[0])), \(number(bounds[1]))]" }
        var lines: [String] = []
        for contrast in contrasts {
            let seeds = contrast.seeds.count == 1 ? "1 seed" : "\(contrast.seeds.count) seeds"
            var line =
                "\(contrast.metric): \(contrast.setting) - \(settings[0]) \(number(contrast.difference)) "
                + "\(range(contrast.interval)) (\(seeds), \(contrast.images.reduce(0, +) / contrast.images.count) images)"
            if let bounds = contrast.tInterval { line += "; paired t over seeds \(range(bounds))" }
            lines.append(line)
            if let wanted = wantedDifference {
                let many =
                    contrast.seedsNeeded.map { "\($0) seeds" }
                    ?? (contrast.standardDeviation == nil ? "unknown from one seed" : "more than 1000 seeds")
                lines.append("  to find a difference of \(String(format: "%g", wanted)) in four of five cases: \(many)")
            }
            lines += contrast.notes.map { "  note: \($0)" }
        }
        for (isCompared, title) in [(true, "compared"), (false, "differs besides")] {
            let rows = differences.filter { $0.isCompared == isCompared }
            if rows.isEmpty { continue }
            lines.append("\(title):")
            for row in rows {
                let values = zip(settings, row.values).map { "\($0) \($1 ?? "-")" }.joined(separator: ", ")
                lines.append("  \(row.key): \(values)")
            }
        }
        return lines.joined(separator: "\n")
    }
}
