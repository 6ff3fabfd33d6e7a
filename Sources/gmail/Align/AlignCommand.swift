import Alignment
import ArgumentParser
import Encoders
import Foundation
import Torch
import Training

/// `gmail align`: trains f_g against f_r.
struct AlignCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "align",
        abstract: "Align the encoder of generated images with the one of real images.",
        discussion: """
            Trains f_g (a copy of CLIP's image encoder with LoRA) on generated images, so that each lands where the frozen \
            f_r puts the real image of the same caption (GMAIL, ICML 2025, Eq. 1). Writes a run folder: recipe.yaml, \
            manifest.json, metrics.jsonl, TensorBoard events, and checkpoints whose adapter PEFT can load.

            Ctrl-C and SIGTERM write a checkpoint and stop; --resume goes on at the same step, to the same bits.

              gmail align --recipe gmail --model clip-vit-base-patch32 --pairs pairs.jsonl --out runs/gmail \\
                  --set training.batchSize=64 --set training.steps=2000

            Shipped recipes: \(AlignmentRecipe.shippedNames.joined(separator: ", ")).
            """)

    @Option(help: "Name of a shipped recipe, or a YAML file.")
    var recipe: String

    @Option(help: "Folder of the CLIP model.", completion: .directory)
    var model: String

    @Option(help: "Pairs manifest (JSON Lines).", completion: .file())
    var pairs: String

    @Option(help: "Held-out pairs: loss, paired cosine and recall on them show whether the generated data helps.")
    var validation: String?

    @Option(help: "The run's folder.")
    var out: String

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Change a setting of the recipe; may be repeated.", valueName: "key=value"))
    var overrides: [String] = []

    @Flag(help: "Go on with the run in --out where its last checkpoint stands.")
    var resume = false

    @Option(help: "Features of the frozen encoders, shared by runs; default: the cache folder that gmail doctor names.")
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
        let recipe = try AlignmentRecipe(recipe, overrides: overrides)
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

    private func train(_ recipe: AlignmentRecipe, _ run: RunFolder, _ device: Device, _ stop: StopSignal) throws
        -> LoopOutcome
    {
        let weightsHash = try FileHashes().sha256(of: CLIPCheckpoint.path(folder: model))
        let versions = [
            "gmail": Gmail.configuration.version, "libtorch": try TorchRuntime.version(),
            "cpu_kernels": try TorchRuntime.cpuCapability(),
        ]
        guard recipe.trainsSomething else {
            try run.write(
                .untrained(
                    recipe, model: model, weightsHash: weightsHash, pairs: pairs, device: device, versions: versions))
            return .finished(step: 0)
        }
        let inputs = AlignmentTrainer.Inputs(
            model: model, pairs: pairs, validation: validation, cache: cache ?? "\(CacheFolder.path)/features",
            weightsHash: weightsHash, device: device)
        let progress = ProgressReporter(style: .automatic(quiet: quiet), total: 0)
        let trainer = try AlignmentTrainer(recipe, inputs) { progress.note($0) }
        let settings = LoopSettings(recipe, pairCount: trainer.manifest.count)
        let manifest = try trainer.runManifest(versions: versions)
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
        ) { position, skipped in
            try trainer.batches(from: position, skipped: skipped)
        }
        let outcome = try loop.run()
        if let latest = try run.checkpoints.latest() {
            var completed = manifest
            completed.skipped = try run.checkpoints.state(of: latest).skipped
            try run.write(completed)
        }
        return outcome
    }

    private func report(_ outcome: LoopOutcome, _ run: RunFolder) throws {
        let step: Int
        switch outcome {
        case .finished(let last), .interrupted(let last, _): step = last
        }
        let checkpoint = try run.checkpoints.latest()?.folder
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            struct Summary: Encodable {
                let run: String
                let step: Int
                let checkpoint: String?
                let finished: Bool
            }
            let summary = Summary(run: run.path, step: step, checkpoint: checkpoint, finished: outcome.exitCode == 0)
            print(String(decoding: try encoder.encode(summary), as: UTF8.self))
        } else if !quiet {
            print(
                outcome.exitCode == 0
                    ? "\(run.path): \(step) steps done" : "\(run.path): stopped at step \(step); go on with --resume")
            if let checkpoint { print("adapter and projections: \(checkpoint)") }
        }
    }
}

extension AlignmentRecipe {
    /// Whether a run of it changes any weight; rows of the paper without alignment do not.
    var trainsSomething: Bool { loss.kind != .none || loss.generatedTextWeight > 0 || loss.realTextWeight > 0 }
}

extension RunManifest {
    /// Of a run that trains nothing: it says which encoder reads what, for the steps that follow.
    static func untrained(
        _ recipe: AlignmentRecipe, model: String, weightsHash: String, pairs: String, device: Device,
        versions: [String: String]
    ) throws -> RunManifest {
        RunManifest(
            sources: [
                .init(role: "pairs", path: pairs, sha256: try FileHashes().sha256(of: pairs)),
                .init(role: "model", path: model, sha256: weightsHash),
            ], parameterGroups: [], frozenElements: 0, seed: recipe.training.seed, device: "\(device)",
            dtype: "float32",
            versions: versions, steps: 0)
    }
}
