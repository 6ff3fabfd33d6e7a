import ArgumentParser
import CaptionMetrics
import Foundation
import Terminal

/// `gmail data meteor`: compiles METEOR's tables into the file that `gmail evaluate captions` maps.
struct DataMeteor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "meteor",
        abstract: "Compile METEOR's paraphrases, synonyms and word lists into one file.",
        discussion: """
            The tables come from pip's pycocoevalcap 1.2 (METEOR: LGPL 2.1; WordNet: Princeton WordNet 3.0 licence):

              pip download --no-deps pycocoevalcap==1.2
              gmail data meteor --from pycocoevalcap-1.2-py3-none-any.whl

            Needs the programs unzip and gzip. Running it again with the same sources changes nothing.
            """)

    @Option(
        name: .customLong("from"),
        help: "The installed package pycocoevalcap, its wheel, meteor-1.5.jar, or a folder of the plain tables.")
    var source: String

    @Option(help: "The file to write (default: meteor-en.bin in GMAIL_DATA_DIR or in the user's data folder).")
    var out: String?

    @Flag(help: "Compile even if the file is up to date.")
    var force = false

    func run() async throws {
        let result = try MeteorData.compile(from: source, to: out, force: force) { line in
            Terminal.note(line)
        }
        let state = result.wasWritten ? "written" : "up to date"
        try Terminal.output(
            "\(result.path): \(state); \(result.bytes) bytes, \(result.words) words, \(result.phrases) phrases, "
                + "\(result.paraphrases) paraphrases, sources \(result.sourceHash.prefix(12))")
    }
}
