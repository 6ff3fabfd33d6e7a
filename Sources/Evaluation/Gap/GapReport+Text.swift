import Alignment
import Foundation

extension GapReport {
    /// The numbers for people.
    public var text: String {
        func cell(_ value: Double?) -> String { value.map { String(format: "%10.4f", $0) } ?? "         -" }
        func cosine(_ value: CosineDistribution?) -> String {
            value.map { String(format: "%10.4f ± %.4f", $0.mean, $0.std) } ?? "         -"
        }
        func line(_ label: String, _ before: String, _ after: String?, _ end: String = "") -> String {
            // Wide enough for a closure with its interval, both ends negative.
            func column(_ text: String) -> String { text + String(repeating: " ", count: max(0, 25 - text.count)) }
            return label.padding(toLength: 22, withPad: " ", startingAt: 0) + column(before)
                + (after.map { column($0) } ?? "") + end
        }
        func row(_ label: String, _ paper: String, _ pick: (GapStatistics) -> String) -> String {
            line(label, pick(before), after.map(pick), paper)
        }
        func diagnosed(_ label: String, _ pick: (GapDiagnosis) -> String) -> String {
            line(label, pick(gap.before), gap.after.map(pick))
        }
        let paperNote = String(
            format: "(paper, Table 14: %.2f%@)", paper.before,
            after == nil ? "" : String(format: " -> %.2f", paper.after))
        var lines = [
            "\(counts.pairs) pairs, \(counts.realImages) real and \(counts.generatedImages) generated images",
            line("", "    before", after.map { _ in "    after" }),
            row("cosine real/generated", paperNote) { cosine($0.realGenerated) },
            row("cosine real/text", "") { cosine($0.realText) },
            row("cosine generated/text", "") { cosine($0.generatedText) },
            row("centroid distance", "") { cell($0.centroidDistance) },
            diagnosed("floor (random pairs)") { cell($0.floor) },
            diagnosed("ceiling (captions)") { cell($0.ceiling) },
            diagnosed("closure") { Self.closure($0) },
            diagnosed("mean-shift share") { cell($0.meanShiftShare) },
            diagnosed("linear AUC") { cell($0.auc) },
            diagnosed("R@1, median rank") { Self.found($0.recallAt1, $0.medianRank) },
            diagnosed("fitted temperature") { cell($0.temperature) },
        ]
        for kind in ClosedFormMap.Kind.allCases where !gap.before.repairs.isEmpty {
            lines.append(
                diagnosed("with \(kind.title)") { side in
                    side.repairs[kind.rawValue].map { cell($0.cosine) + ($0.closure.map(Self.share) ?? "") }
                        ?? cell(nil)
                })
        }
        lines = lines.map { String($0.reversed().drop { $0 == " " }.reversed()) }
        lines.append("advice: \(gap.before.advice)")
        if let after = gap.after { lines.append("after alignment: \(after.advice)") }
        for warning in gap.before.warnings { lines.append("warning: \(warning)") }
        for note in [before.textNote, after?.textNote, gap.before.temperatureNote].compactMap({ $0 }) {
            lines.append("note: \(note)")
        }
        if !skipped.isEmpty {
            lines.append("\(skipped.count) files skipped, \(counts.requested - counts.pairs) pairs with them")
        }
        return lines.joined(separator: "\n")
    }

    private static func closure(_ side: GapDiagnosis) -> String {
        guard let closure = side.closure else { return "         -" }
        return String(format: "%10.4f", closure)
            + (side.closureInterval.map { String(format: " [%.2f, %.2f]", $0[0], $0[1]) } ?? "")
    }

    private static func share(_ closure: Double) -> String { String(format: " (%.2f)", closure) }

    private static func found(_ recall: Double, _ rank: Double) -> String {
        String(format: "%10.4f", recall) + String(format: ", %.0f", rank)
    }
}
