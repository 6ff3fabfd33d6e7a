import ArgumentParser
import Files
import Foundation
import Report
import Safetensors
import Terminal

/// `gmail report`: shows runs on one page.
struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Put runs side by side on one self-contained HTML page.",
        discussion: """
            Reads what the run folders hold and shows it: recipe.yaml and manifest.json (what was run, and in what the \
            recipes differ), metrics.jsonl (curves), metrics.json and retrieval.json (tables, with the paper's rows where a \
            recipe names them), gap.json with gap-map.json (modality gap), predictions.jsonl (captions beside the photos). \
            A file that is not there leaves its part out, and the page says so. Runs that differ in nothing but the seed \
            become one row, mean ± standard deviation.

            The page has no script and loads nothing; pictures and charts are inside it.

              gmail report runs/real runs/gmail --images val2014 --out report.html
            """)

    @Argument(help: "Run folders, of gmail align and of gmail train captioner.", completion: .directory)
    var runs: [String]

    @Option(help: ArgumentHelp("Where the page goes (HTML).", valueName: "file"))
    var out: String

    @Option(help: "Of the page.")
    var title = "Runs compared"

    @Option(
        help: ArgumentHelp(
            "Folder that the file names in predictions.jsonl are below; without it only pictures in the runs' own folders are shown.",
            valueName: "folder"),
        completion: .directory)
    var images: String?

    @Option(help: ArgumentHelp("Photos shown with captions; 0 for none.", valueName: "count"))
    var gallery = 24

    @Flag(help: "Print the findings as JSON on standard output.")
    var json = false

    @Flag(help: "No tables.")
    var quiet = false

    func validate() throws {
        guard (0...1000).contains(gallery) else { throw ValidationError("--gallery is \(gallery), expected 0 to 1000") }
    }

    func run() throws {
        let report = try RunReport(
            runs: RunSet(paths: runs), options: .init(title: title, images: images, galleryCount: gallery))
        try AtomicFile.write(report.html, to: out)
        for missing in report.missingImages.prefix(10) {
            Self.note("note: no picture of \(missing.image): \(missing.reason)")
        }
        if report.missingImages.count > 10 {
            Self.note("note: and \(report.missingImages.count - 10) more without picture")
        }
        for run in report.runs.runs where !run.notes.isEmpty {
            Self.note("note: \(run.label): \(run.notes.joined(separator: "; "))")
        }
        if json {
            try Terminal.output(json: report.json(page: out), terminator: "")
            return
        }
        if !quiet {
            for table in [report.captionTable, report.retrievalTable, report.gapTable].compactMap({ $0 }) {
                try Terminal.output(table.text(width: Self.terminalWidth) + "\n")
            }
        }
        try Terminal.output("\(out) written")
    }

    private static func note(_ text: String) { Terminal.note(text) }

    /// Columns of the terminal; nil (no limit) if standard output is not a terminal.
    private static var terminalWidth: Int? {
        var size = winsize()
        guard isatty(STDOUT_FILENO) == 1, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 20 else {
            return nil
        }
        return Int(size.ws_col)
    }
}
