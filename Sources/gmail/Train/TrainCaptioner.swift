import ArgumentParser
import Captioning
import Encoders
import Foundation
import LanguageModels
import Torch
import Training

/// `gmail train captioner`: ClipCap on GPT-2, on generated or real images.
struct TrainCaptioner: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "captioner",
        abstract: "Train a captioner (ClipCap on GPT-2) on the pairs of a manifest.",
        discussion: """
            The recipe's data.source says which images are read and by which encoder: real through f_r; generated through \
            f_r (nothing aligned); mixed, both through one encoder; gmail, generated through f_g of the alignment run given \
            with --run; gmail-plus-real, both, each through its own. Features are computed once per image and kept in a \
            cache. Writes a run folder: recipe.yaml, manifest.json, metrics.jsonl, TensorBoard events, checkpoints.

            Ctrl-C and SIGTERM write a checkpoint and stop; --resume goes on at the same step, to the same bits.

              gmail train captioner --recipe gmail --model clip-vit-base-patch32 --run runs/gmail \\
                  --language-model gpt2 --pairs pairs.jsonl --out runs/captioner

            Shipped recipes: \(CaptionerRecipe.shippedNames.joined(separator: ", ")).
            """)

    @Option(help: "Name of a shipped recipe, or a YAML file.")
    var recipe: String

    @Option(help: "Folder of the CLIP model.", completion: .directory)
    var model: String

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp("A run of gmail align: f_g and the projections.", valueName: "folder"))
    var alignment: String?

    @Option(help: "Folder of the language model, GPT-2 of any size.", completion: .directory)
    var languageModel: String

    @Option(help: "Pairs manifest (JSON Lines).", completion: .file())
    var pairs: String

    @Option(help: "Held-out pairs: the loss on them, on real images as they are captioned later.", completion: .file())
    var validation: String?

    @Option(help: "The run's folder.")
    var out: String

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Change a setting of the recipe; may be repeated.", valueName: "key=value"))
    var overrides: [String] = []

    @Flag(help: "Go on with the run in --out where its last checkpoint stands.")
    var resume = false

    @Option(help: "Features of the encoders, shared by runs; default: the cache folder that gmail doctor names.")
    var cache: String?

    @Option(help: "auto, cpu, cuda or cuda:N.")
    var device = "auto"

    @Option(help: "CPU threads of one operation; 0 is one per core.")
    var threads = 0

    @Flag(help: "Print a summary as JSON on standard output.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false

    func run() async throws {
        let recipe = try CaptionerRecipe(recipe, overrides: overrides)
        // Before anything slow, so that a signal during set-up is not lost.
        let stop = StopSignal()
        stop.listen()
        try TorchRuntime.load()
        if threads > 0 { TorchRuntime.threadCount = threads }
        let device = try Device(parsing: device)
        if device == .cpu { try TorchRuntime.keepFreedMemory() }

        let run = resume ? try RunFolder.resume(out, recipe: recipe) : try RunFolder.create(out, recipe: recipe)
        do {
            let outcome = try train(recipe, run, device, stop)
            try report(outcome, run)
            if outcome.exitCode != 0 { throw ExitCode(outcome.exitCode) }
        } catch {
            // A run that never began leaves nothing that would stop the next attempt.
            if !resume, try run.checkpoints.latest() == nil, !FileManager.default.fileExists(atPath: run.metricsPath) {
                try FileManager.default.removeItem(atPath: run.recipePath)
            }
            throw error
        }
    }

    private func train(_ recipe: CaptionerRecipe, _ run: RunFolder, _ device: Device, _ stop: StopSignal) throws
        -> LoopOutcome
    {
        let hashes = FileHashes()
        let inputs = CaptionerTrainer.Inputs(
            model: model, alignment: alignment, languageModel: languageModel, pairs: pairs, validation: validation,
            cache: cache ?? "\(CacheFolder.path)/features",
            modelHash: try hashes.sha256(of: CLIPCheckpoint.path(folder: model)),
            languageModelHash: try LanguageModelFiles.hash(folder: languageModel, hashes.sha256), device: device)
        let progress = ProgressReporter(style: .automatic(quiet: quiet), total: 0)
        let trainer = try CaptionerTrainer(recipe, inputs) { progress.note($0) }
        let settings = LoopSettings(recipe, sampleCount: trainer.sampleCount)
        let manifest = try trainer.runManifest(versions: [
            "gmail": Gmail.configuration.version, "libtorch": try TorchRuntime.version(),
            "cpu_kernels": try TorchRuntime.cpuCapability(),
        ])
        if resume { try checkSources(manifest, run) }
        try run.write(manifest)
        for group in manifest.parameterGroups {
            progress.note(
                "training \(group.name): \(group.tensors) tensors, \(group.elements) numbers, learning rate \(group.learningRate)"
            )
        }
        progress.note(
            "frozen: \(manifest.frozenElements) numbers; \(manifest.dtype) on \(manifest.device), \(manifest.steps) steps"
        )
        try trainer.prepare()
        let loop = TrainingLoop(
            task: trainer, run: run, settings: settings, stop: stop,
            progress: ProgressReporter(style: .automatic(quiet: quiet), total: settings.totalSteps)
        ) { position, _ in
            try trainer.batches(from: position)
        }
        let outcome = try loop.run()
        if let latest = try run.checkpoints.latest() {
            var completed = manifest
            completed.skipped = try run.checkpoints.state(of: latest).skipped
            try run.write(completed)
        }
        return outcome
    }

    /// A resumed run must go on with the models and data that it was begun with.
    private func checkSources(_ manifest: RunManifest, _ run: RunFolder) throws {
        // A run that was killed before its first step may have none.
        guard FileManager.default.fileExists(atPath: run.manifestPath) else { return }
        let begun = try run.manifest()
        for source in begun.sources where source.role != "validation" {
            let now = manifest.sources.first { $0.role == source.role }
            guard now?.sha256 == source.sha256 else {
                throw CommandError(
                    "'\(out)' was begun with the \(source.role) '\(source.path)' (\(source.sha256.prefix(12))); "
                        + (now.map { "'\($0.path)' (\($0.sha256.prefix(12))) was given" } ?? "none was given")
                        + ". Resume with the same, or choose another folder")
            }
        }
        if let added = manifest.sources.first(where: { source in
            source.role != "validation" && !begun.sources.contains { $0.role == source.role }
        }) {
            throw CommandError("'\(out)' was begun without the \(added.role) '\(added.path)'; leave it out")
        }
    }

    private func report(_ outcome: LoopOutcome, _ run: RunFolder) throws {
        let step: Int
        switch outcome {
        case .finished(let last), .interrupted(let last, _): step = last
        }
        let checkpoint = try run.checkpoints.latest()?.folder
        if json {
            struct Summary: Encodable {
                let run: String
                let step: Int
                let checkpoint: String?
                let finished: Bool
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let summary = Summary(run: run.path, step: step, checkpoint: checkpoint, finished: outcome.exitCode == 0)
            print(String(decoding: try encoder.encode(summary), as: UTF8.self))
        } else if !quiet {
            print(
                outcome.exitCode == 0
                    ? "\(run.path): \(step) steps done; caption with gmail caption --run \(run.path) IMAGE"
                    : "\(run.path): stopped at step \(step); go on with --resume")
        }
    }
}
