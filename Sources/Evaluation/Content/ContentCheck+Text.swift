import Foundation

extension ContentCheck {
    /// Numbers over all pairs.
    public struct Summary: Sendable, Equatable, Encodable {
        public let pairs: Int
        public let readable: Int
        public let generatedText: Double
        public let realText: Double
        /// Share of the pairs whose generated image is less similar to the caption than the real one.
        public let below: Double
        /// Of the differences, from the worst: the 5th, 25th and 50th percentile.
        public let percentiles: [Double]

        enum CodingKeys: String, CodingKey {
            case pairs, readable, below, percentiles
            case generatedText = "generated_text"
            case realText = "real_text"
        }
    }

    public var summary: Summary {
        let differences = rows.map(\.difference)
        return Summary(
            pairs: pairs, readable: rows.count, generatedText: rows.map(\.generatedText).mean,
            realText: rows.map(\.realText).mean,
            below: Double(differences.count { $0 < 0 }) / Double(differences.count),
            percentiles: [0.05, 0.25, 0.5].map { ClusterBootstrap.quantile(differences, $0) })
    }

    /// For people.
    public var text: String {
        let summary = summary
        func number(_ value: Double) -> String { String(format: "%.4f", value) }
        var lines = [
            "content of \(summary.readable) pairs: cosine with the caption \(number(summary.generatedText)) generated, "
                + "\(number(summary.realText)) real",
            "less similar than the real image: \(String(format: "%.1f", summary.below * 100)) % of the pairs; difference "
                + "at the 5th, 25th and 50th percentile "
                + summary.percentiles.map { String(format: "%+.4f", $0) }.joined(separator: ", "),
        ]
        for row in rows.prefix(5) {
            lines.append(
                "  \(row.id): \(number(row.generatedText)) against \(number(row.realText)) "
                    + "(\(String(format: "%+.4f", row.difference)))")
        }
        if !skipped.isEmpty { lines.append("\(skipped.count) files skipped, \(pairs - rows.count) pairs with them") }
        return lines.joined(separator: "\n")
    }
}
