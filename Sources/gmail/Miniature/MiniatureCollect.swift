import ArgumentParser
import Foundation
import Miniature
import Terminal

/// `gmail miniature collect`: writes finished trainings as the folder that ships.
struct MiniatureCollect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "collect",
        abstract: "Put finished trainings together: model folders, their records, and a manifest of hashes.",
        discussion: """
            Writes OUT/clip, OUT/stable-diffusion and OUT/gpt2 (folders that transformers and diffusers load), \
            OUT/training/<model> (recipe, data hashes, curves, sessions) and OUT/manifest.json. --check compares a folder \
            with its manifest.
            """)

    @Option(help: "Run of `gmail miniature train clip`.", completion: .directory)
    var clip: String?

    @Option(help: "Run of `gmail miniature train autoencoder`.", completion: .directory)
    var autoencoder: String?

    @Option(help: "Run of `gmail miniature train unet`.", completion: .directory)
    var unet: String?

    @Option(help: "Run of `gmail miniature train language-model`.", completion: .directory)
    var languageModel: String?

    @Option(help: "Commit of the code that trained.")
    var commit = ""

    @Option(help: "The folder to write, or to check.", completion: .directory)
    var out: String

    @Flag(help: "Compare the files of --out with its manifest; nothing is written.")
    var check = false

    func validate() throws {
        let runs = [clip, autoencoder, unet, languageModel]
        guard check || !runs.contains(nil) else {
            throw ValidationError("--clip, --autoencoder, --unet and --language-model are all needed (or --check)")
        }
    }

    func run() throws {
        let collection: ModelCollection
        if check {
            collection = try ModelCollection(folder: out)
            let differences = try collection.differences(in: out)
            guard differences.isEmpty else {
                throw CommandError("'\(out)' is not what its manifest says:\n" + differences.joined(separator: "\n"))
            }
        } else {
            let runs: [(ModelCollection.Model, String?)] = [
                (.clip, clip), (.autoencoder, autoencoder), (.unet, unet), (.languageModel, languageModel),
            ]
            collection = try ModelCollection(
                collecting: Dictionary(uniqueKeysWithValues: runs.compactMap { model, run in run.map { (model, $0) } }),
                commit: commit, to: out)
        }
        try Terminal.output(
            String(
                format: "%@: %d files, %.1f MiB", out, collection.files.count,
                Double(collection.totalBytes) / 1_048_576))
    }
}
