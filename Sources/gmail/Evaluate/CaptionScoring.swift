import CaptionMetrics
import Foundation
import Terminal

/// Tokenises and scores captions against references and writes the results, for `gmail evaluate captions` and
/// `captioning`.
struct CaptionScoring {
    let selection: MetricSelection
    /// No progress on standard error; findings about the data are still reported.
    let quiet: Bool

    /// - Parameter tags: further protocol tags of the report.
    /// - Returns: the scores, and `metrics.json`.
    func score(_ pairing: CaptionPairing, tags: [String: String]? = nil) throws -> (CaptionResults, Data) {
        for finding in pairing.findings { Self.printError("note: \(finding.summary)") }
        note("tokenising \(pairing.imageIDs.count) images")
        let captions = try pairing.tokenized()
        let evaluation = CaptionEvaluation(metrics: try selection.make(for: captions))
        let results = try evaluation.run(captions) { progress in
            if case .started(let metric, let index, let count) = progress { note("\(index + 1)/\(count) \(metric)") }
        }
        for note in results.scores.compactMap(\.note) { Self.printError("note: \(note)") }
        return (results, try CaptionReport.metrics(results, findings: pairing.findings, tags: tags))
    }

    private func note(_ text: String) {
        if !quiet { Self.printError(text) }
    }

    private static func printError(_ text: String) {
        Terminal.note(text)
    }

    static func table(_ results: CaptionResults) -> String {
        let width = max(6, results.scores.map(\.name.count).max() ?? 0)
        let rows = results.scores.map { score in
            score.name.padding(toLength: width, withPad: " ", startingAt: 0)
                + String(format: "  %8.4f", score.corpus)
                + "  \(score.protocolTag.metric): \(score.protocolTag.variant)"
        }
        return
            (["\(results.imageIDs.count) images, tokenizer \(results.scores.first?.protocolTag.tokenizer ?? "-")"]
            + rows)
            .joined(separator: "\n")
    }
}
