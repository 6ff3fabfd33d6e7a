import ArgumentParser
import CaptionMetrics
import Foundation

/// `gmail evaluate captions`: scores generated captions against human ones.
struct EvaluateCaptions: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "captions",
        abstract: "Score captions against references with the metrics of coco-caption.",
        discussion: """
            Reads COCO caption files, COCO result files and {"image id": ["caption", …]}. Captions are tokenised as \
            coco-caption does it (Penn Treebank, lower case, no punctuation); no Java or Python is needed.

            An image is scored if it has references and a candidate; what does not fit is reported by id.

            Example:
              gmail evaluate captions --references captions_val2014.json --candidates results.json --out metrics.json

            meteor and spice read one data file, made once by gmail data meteor. spice uses a parser of our own and \
            carries the tag spice-native; docs/captions.md says how near it is to the official one.
            """)

    @Option(help: ArgumentHelp("Reference captions: COCO captions or {id: [captions]}.", valueName: "file"))
    var references: String

    @Option(help: ArgumentHelp("Captions to score: COCO results or {id: [caption]}.", valueName: "file"))
    var candidates: String

    @Option(help: ArgumentHelp("Where to write the scores, with the protocol of each, as JSON.", valueName: "file"))
    var out: String

    @OptionGroup var metricOptions: MetricOptions

    @Option(help: ArgumentHelp("Also write every image's scores, one line of JSON per image.", valueName: "file"))
    var perImage: String?

    @Flag(help: "Print the scores as JSON on standard output instead of a table.")
    var json = false

    @Flag(help: "No progress on standard error (findings about the data are still reported).")
    var quiet = false

    func run() throws {
        let start = ContinuousClock.now
        let selection = try MetricSelection(metricOptions)
        for omission in selection.omissions { Self.printError("note: \(omission)") }
        note("reading \(references) and \(candidates)")
        let pairing = try CaptionPairing(
            references: CaptionFile(contentsOf: references), candidates: CaptionFile(contentsOf: candidates))
        for finding in pairing.findings { Self.printError("note: \(finding.summary)") }
        note("tokenising \(pairing.imageIDs.count) images")
        let captions = try pairing.tokenized()
        let evaluation = CaptionEvaluation(metrics: try selection.make(for: captions))
        let results = try evaluation.run(captions) { progress in
            if case .started(let metric, let index, let count) = progress { note("\(index + 1)/\(count) \(metric)") }
        }

        let report = try CaptionReport.metrics(results, findings: pairing.findings)
        try Self.write(report, to: out)
        if let perImage { try Self.write(try CaptionReport.perImage(results), to: perImage) }
        note(
            "done in \((ContinuousClock.now - start).formatted(.units(allowed: [.seconds], fractionalPart: .show(length: 2))))"
        )
        if json {
            FileHandle.standardOutput.write(report)
        } else {
            print(Self.table(results))
        }
    }

    private func note(_ text: String) {
        if !quiet { Self.printError(text) }
    }

    private static func printError(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    /// Written under another name, then renamed: a file under its final name is complete.
    private static func write(_ data: Data, to path: String) throws {
        do {
            try data.write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw CaptionOutputError(path: path, reason: error.localizedDescription)
        }
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

/// An output file that could not be written.
struct CaptionOutputError: Error, CustomStringConvertible, LocalizedError {
    let path: String
    let reason: String

    var description: String { "cannot write '\(path)': \(reason)" }
    var errorDescription: String? { description }
}
