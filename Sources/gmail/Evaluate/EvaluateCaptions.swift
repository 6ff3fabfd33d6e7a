import ArgumentParser
import CaptionFiles
import CaptionMetrics
import Files
import Foundation
import Terminal

/// `gmail evaluate captions`: scores generated captions against human ones.
struct EvaluateCaptions: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "captions",
        abstract: "Score captions against references with the metrics of coco-caption.",
        discussion: """
            Reads COCO captions and results, Karpathy's dataset_coco.json, BLIP's and LAVIS's lists, {"image id": \
            ["caption", …]} and JSON Lines such as predictions.jsonl. Captions are tokenised as coco-caption does it (Penn Treebank, lower case, no punctuation); no Java or Python is needed.

            An image is scored if it has references and a candidate; what does not fit is reported by id.

            Example:
              gmail evaluate captions --references captions_val2014.json --candidates results.json --out metrics.json

            meteor and spice read one data file, made once by gmail data meteor. spice uses a parser of our own and \
            carries the tag spice-native; docs/captions.md says how near it is to the official one.
            """)

    @Option(
        help: ArgumentHelp("Reference captions: COCO, Karpathy's or BLIP's, or {id: [captions]}.", valueName: "file"))
    var references: String

    @Option(help: ArgumentHelp("Captions to score: COCO results, {id: [caption]} or JSON Lines.", valueName: "file"))
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
        let locks = try ([out] + (perImage.map { [$0] } ?? [])).map {
            try OutputLock(for: $0, owner: "gmail evaluate captions")
        }
        defer { withExtendedLifetime(locks) {} }
        let selection = try MetricSelection(metricOptions)
        for omission in selection.omissions { Self.printError("note: \(omission)") }
        note("reading \(references) and \(candidates)")
        let pairing = try CaptionPairing(
            references: CaptionFile(contentsOf: references), candidates: CaptionFile(contentsOf: candidates))
        let (results, report) = try CaptionScoring(selection: selection, quiet: quiet).score(pairing)
        try AtomicFile.write(report, to: out)
        if let perImage { try AtomicFile.write(CaptionReport.perImage(results), to: perImage) }
        note(
            "done in \((ContinuousClock.now - start).formatted(.units(allowed: [.seconds], fractionalPart: .show(length: 2))))"
        )
        if json {
            try Terminal.output(json: String(decoding: report, as: UTF8.self), terminator: "")
        } else {
            try Terminal.output(CaptionScoring.table(results))
        }
    }

    private func note(_ text: String) {
        if !quiet { Self.printError(text) }
    }

    private static func printError(_ text: String) {
        Terminal.note(text)
    }
}
