import ArgumentParser
import Files
import Report
import Terminal

/// `gmail compare`: says how far apart runs are, and whether that is more than chance.
struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Compare runs image by image and seed by seed, with intervals.",
        discussion: """
            Every setting is compared with that of the first run, in each metric that the runs have per image \
            (predictions.jsonl or per-image.jsonl). Runs that differ in nothing but the seed are one setting; runs of equal \
            seeds are paired. The interval (95 %) is that of a bootstrap over seeds and images. Then comes all in which the \
            settings differ; --compares names what is meant to.

              gmail compare runs/real-0 runs/real-1 runs/gmail-0 runs/gmail-1 --compares data.source --difference 0.02
            """)

    @Argument(
        help: "Run folders with captions and scores; the first run's setting is compared with.", completion: .directory)
    var runs: [String]

    @Option(
        name: .customLong("metric"), help: ArgumentHelp("Only this metric; may be repeated.", valueName: "name"))
    var metrics: [String] = []

    @Option(
        help: ArgumentHelp("A difference that is meant, as this command prints it; may be repeated.", valueName: "key"))
    var compares: [String] = []

    @Option(help: "How many seeds it takes to find a difference of this size.")
    var difference: Double?

    @Option(help: ArgumentHelp("Write the findings there (JSON).", valueName: "file"))
    var out: String?

    @Flag(help: "Print the findings as JSON on standard output.")
    var json = false

    func validate() throws {
        guard difference.map({ $0 > 0 && $0.isFinite }) ?? true else {
            throw ValidationError("--difference is \(difference ?? 0), expected a number above 0")
        }
    }

    func run() throws {
        let lock = try out.map { try OutputLock(for: $0, owner: "gmail compare") }
        defer { withExtendedLifetime(lock) {} }
        let comparison = try RunComparison(
            RunSet(paths: runs), metrics: metrics, compares: Set(compares), difference: difference)
        if let out { try AtomicFile.write(comparison.json(), to: out) }
        if json {
            try Terminal.output(json: comparison.json(), terminator: "")
        } else {
            try Terminal.output(comparison.text)
        }
    }
}
