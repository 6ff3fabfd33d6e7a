import Alignment
import ArgumentParser
import Encoders
import Files
import Foundation
import Terminal
import Torch
import Training

/// `gmail export`: writes a run as files that other tools can load.
struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a run as a merged Hugging Face folder, or its adapter alone.",
        discussion: """
            Merged: a CLIP folder whose image encoder is f_g, loadable by transformers as it is. Adapter: PEFT's files, for \
            peft.PeftModel.from_pretrained. The projections of the shared space are written beside either.

              gmail export --run runs/gmail --out clip-gmail
            """)

    @Option(name: .customLong("run"), help: "The run's folder.")
    var runFolder: String

    @Option(help: "The folder to write.")
    var out: String

    @Option(help: "Folder of the base CLIP model; default: the one that the run's manifest names.")
    var model: String?

    @Flag(help: "Write the adapter alone.")
    var adapter = false

    func run() throws {
        try TorchRuntime.load()
        for name in ["config.json", "adapter_config.json"] where FileSystem.exists("\(out)/\(name)") {
            throw CommandError("--out: '\(out)' holds a model already; give a new folder")
        }
        let manifest = try RunFolder.open(runFolder).manifest()
        guard let folder = model ?? manifest.sources.first(where: { $0.role == AlignmentRole.model })?.path else {
            throw CommandError("run '\(runFolder)' names no model in its manifest; give it with --model")
        }
        guard model != nil || FileSystem.exists(folder) else {
            throw CommandError(
                "run '\(runFolder)' was trained with the model '\(folder)', which is not there; give its place with --model"
            )
        }
        let base = try EncoderFolder.open(folder, dtype: .float32)
        let aligned = try AlignedModel(
            run: runFolder, encoder: base.image, fingerprint: base.fingerprint(.command))
        try FileSystem.createFolder(out)
        let lock = try FolderLock(folder: out, owner: "gmail export")
        defer { withExtendedLifetime(lock) {} }
        if adapter {
            try aligned.exportAdapter(to: out, base: folder)
        } else {
            try aligned.exportMerged(to: out, base: base)
        }
        try Terminal.output("\(out) written (step \(aligned.step) of \(runFolder))")
    }
}
