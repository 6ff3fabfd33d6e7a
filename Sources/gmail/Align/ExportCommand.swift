import Alignment
import ArgumentParser
import Encoders
import Files
import Foundation
import Terminal
import Torch
import Training

/// `gmail export`: a run as files that other tools load.
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
        guard !FileManager.default.fileExists(atPath: "\(out)/config.json"),
            !FileManager.default.fileExists(atPath: "\(out)/adapter_config.json")
        else {
            throw CommandError("--out: '\(out)' holds a model already; give a new folder")
        }
        let (aligned, folder) = try AlignedModel.open(run: runFolder, model: model)
        if adapter {
            try aligned.exportAdapter(to: out, base: folder)
        } else {
            try aligned.exportMerged(to: out, base: folder)
        }
        try Terminal.output("\(out) written (step \(aligned.step) of \(runFolder))")
    }
}

extension AlignedModel {
    /// Opens a run on its base model, whose weights must be those the run was begun with.
    /// - Parameter model: folder of the base; nil takes the manifest's.
    static func open(run: String, model: String?, device: Device = .cpu) throws -> (AlignedModel, folder: String) {
        guard
            let folder = try model ?? RunFolder.open(run).manifest().sources.first(where: { $0.role == "model" })?.path
        else {
            throw CommandError("run '\(run)' names no model in its manifest; give it with --model")
        }
        let clip = try CLIPModel(folder: folder, dtype: .float32, device: device)
        let hash = try FileHashes().sha256(of: CLIPCheckpoint.path(folder: folder))
        return (try AlignedModel(run: run, clip: clip, weightsHash: hash), folder)
    }
}
