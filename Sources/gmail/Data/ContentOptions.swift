import Alignment
import ArgumentParser
import Datasets
import Evaluation
import Files
import Foundation
import Report
import Terminal

/// `gmail data check --content`: whether generated images show what their captions say.
struct ContentOptions: ParsableArguments {
    @Flag(help: "Compare generated images with their captions, against the real ones.")
    var content = false

    @Option(help: "With --content: folder of a CLIP with image and text encoder.", completion: .directory)
    var model: String?

    @Option(help: ArgumentHelp("With --content: a contact sheet of the worst pairs (HTML).", valueName: "file"))
    var sheet: String?

    @Option(help: "Pairs on the sheet.")
    var sheetPairs = 48

    @Option(
        help: ArgumentHelp("With --content: every pair's numbers, the worst first (JSON Lines).", valueName: "file"))
    var scores: String?

    @Option(help: "With --filtered: the share of the pairs that go, by rank, 0...1.")
    var dropWorst: Double?

    @Option(help: ArgumentHelp("With --content: the manifest without the worst pairs, beside it.", valueName: "file"))
    var filtered: String?

    @OptionGroup var compute: ComputeOptions

    @OptionGroup var batch: BatchOptions

    func validate() throws {
        let others = [
            ("--model", model != nil), ("--sheet", sheet != nil), ("--scores", scores != nil),
            ("--filtered", filtered != nil), ("--drop-worst", dropWorst != nil),
        ]
        if !content, let (name, _) = others.first(where: \.1) {
            throw ValidationError("\(name) goes with --content")
        }
        guard !content || model != nil else { throw ValidationError("--content needs --model, a CLIP") }
        guard (filtered == nil) == (dropWorst == nil) else {
            throw ValidationError("--filtered and --drop-worst go together: where to write, and how much to leave out")
        }
        try Check.range("--drop-worst", dropWorst, 0...1, "0 to 1")
        try Check.range("--sheet-pairs", sheetPairs, 1...2000)
    }

    /// What `--json` prints.
    struct Findings: Encodable {
        let summary: ContentCheck.Summary
        let worst: [ContentCheck.Row]
        /// Pairs of the filtered manifest, and those left out; nil without one.
        let kept: Int?
        let lost: Int?
    }

    /// - Parameter prints: prints the findings for people.
    /// - Returns: nil without `--content`.
    func check(_ path: String, prints: Bool) throws -> Findings? {
        guard content, let model else { return nil }
        let manifest = try PairsManifest(path: path)
        let (device, dtype) = try compute.resolve()
        let embedder = try Embedder(
            folder: model, device: device, dtype: dtype, batchSize: batch.batchSize, quiet: !prints, hashes: .command)
        let check = try ContentCheck(manifest, embedder.reader, batchSize: batch.batchSize, quiet: !prints)
        if prints { try Terminal.output(check.text) }
        if let scores {
            let lines = try check.rows.map { try GapReport.encode($0, pretty: false) }
            try AtomicFile.write(lines.joined(), to: scores)
        }
        if let sheet { try AtomicFile.write(page(check, manifest).html, to: sheet) }
        var kept: [Int]?
        if let filtered, let dropWorst {
            let indices = check.kept(withoutWorst: dropWorst)
            try write(indices, of: manifest, to: filtered)
            if prints {
                try Terminal.output(
                    "\(filtered): \(indices.count) of \(check.pairs) pairs kept, \(check.pairs - indices.count) lost")
            }
            kept = indices
        }
        return Findings(
            summary: check.summary, worst: Array(check.rows.prefix(10)), kept: kept?.count,
            lost: kept.map { check.pairs - $0.count })
    }

    private func page(_ check: ContentCheck, _ manifest: PairsManifest) throws -> ContentSheet {
        let shown = check.rows.prefix(sheetPairs)
        let entries = try shown.map { row in
            let pair = try manifest.pair(at: row.index)
            return ContentSheet.Entry(
                id: pair.id, caption: pair.caption, realPath: manifest.resolve(pair.real ?? ""),
                generatedPath: manifest.resolve(pair.generated), realText: row.realText,
                generatedText: row.generatedText)
        }
        return ContentSheet(
            title: "Generated images that show least of their captions",
            lead:
                "The worst \(shown.count) of \(check.rows.count) pairs, by the cosine of the generated image with the "
                + "caption less that of the real image.",
            entries: entries)
    }

    /// Paths of a manifest are relative to its folder.
    private func write(_ indices: [Int], of manifest: PairsManifest, to path: String) throws {
        func folder(_ path: String) -> URL {
            URL(fileURLWithPath: path).deletingLastPathComponent().resolvingSymlinksInPath()
        }
        guard folder(path).path == folder(manifest.path).path else {
            throw CommandError(
                "--filtered '\(path)' is in another folder than '\(manifest.path)', and the paths of a manifest are relative "
                    + "to its folder; write it beside")
        }
        guard !indices.isEmpty else {
            throw CommandError("--drop-worst \(dropWorst ?? 0) leaves no pair; take a smaller share")
        }
        try PairsManifest.write(try indices.map { try manifest.pair(at: $0) }, to: path)
    }
}
