import ArgumentParser
import Datasets
import Terminal

/// `gmail data unpack`: turns pairs in tars into a manifest with image files.
struct DataUnpack: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unpack",
        abstract: "Unpack WebDataset shards of pairs into a manifest and image files.",
        discussion: """
            Reads the tars that `gmail generate --format webdataset` writes, and others of that layout: .jpg the real image, \
            .gen.jpg or .gen.png the generated one, .txt the caption, .json the pair. Writes FOLDER/pairs.jsonl, which the \
            other commands take as --pairs.

              gmail data unpack 'shards/{000000..000331}.tar' --out pairs
            """)

    @Argument(help: "The tars; {000000..000331} stands for a range of numbers.")
    var tars: [String]

    @Option(help: "The folder to write; new or empty.", completion: .directory)
    var out: String

    @Flag(help: "No progress.")
    var quiet = false

    func run() async throws {
        let line = ProgressLine(style: .automatic(quiet: quiet))
        let unpacked = try PairTars.unpack(tars, to: out) { done, total in
            line.update(done: done, total: total, isLineDue: done == total) { "\(done)/\(total) tars" }
        }
        line.finish()
        try Terminal.output("\(unpacked.manifest): \(unpacked.pairs) pairs")
    }
}
