import Alignment
import ArgumentParser
import Evaluation
import Files
import Foundation
import Terminal

/// `gmail evaluate gap`: measures how far apart real and generated images are, before and after alignment.
struct EvaluateGap: AsyncParsableCommand {
    enum MapChoice: String, CaseIterable, ExpressibleByArgument {
        case none, pca, tsne
    }

    static let configuration = CommandConfiguration(
        commandName: "gap",
        abstract: "Measure the gap between real and generated images, before and after alignment.",
        discussion: """
            Cosines of paired embeddings (real/generated, real/text, generated/text) and the distance between the \
            centroids of both kinds of image: through the base model, and with --run through the aligned one. Then what \
            kind of gap it is: floor, ceiling and closure, what closed forms would reach, and one sentence of advice \
            (docs/diagnosis.md). Beside --out FILE.json come FILE-map.json and FILE.svg, a map of up to 1,000 pairs.

              gmail evaluate gap --model clip-vit-base-patch32 --run runs/a --pairs validation.jsonl --out gap.json
            """)

    @OptionGroup var encoder: EncoderOptions

    @Option(help: ArgumentHelp("Pairs of real and generated images (JSON Lines).", valueName: "file"))
    var pairs: String

    @Option(help: "Only this many pairs, from the first.")
    var limit: Int?

    @Option(help: "The map: tsne (pca below \(GapMap.fewestPairsForTSNE) pairs), pca or none.")
    var map = MapChoice.tsne

    @Option(help: "Chooses the map's pairs when there are more than \(GapMap.mostPairs).")
    var seed: UInt64 = 0

    @Option(help: ArgumentHelp("Where the numbers go (JSON).", valueName: "file"))
    var out: String

    @OptionGroup var compute: ComputeOptions

    @OptionGroup var batch: BatchOptions

    @Flag(help: "Print the report as JSON on standard output.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false

    func validate() throws { try Check.range("--limit", limit, 1...Int.max) }

    func run() async throws {
        let lock = try OutputLock(for: out, owner: "gmail evaluate gap")
        defer { withExtendedLifetime(lock) {} }
        let embedder = try encoder.embedder(compute, modality: .real, batchSize: batch.batchSize, quiet: quiet)
        let measurement = GapMeasurement(
            map: map == .none ? nil : map == .pca ? .pca : .tsne, seed: seed, limit: limit, batchSize: batch.batchSize,
            quiet: quiet, note: { if !quiet { Terminal.note($0) } })
        let (report, files) = try await measurement.write(pairs: pairs, embedder, to: out)
        if json {
            try Terminal.output(json: report.json(), terminator: "")
        } else if !quiet {
            try Terminal.output(report.text)
            try Terminal.output("\(files.joined(separator: ", ")) written")
        }
    }
}
