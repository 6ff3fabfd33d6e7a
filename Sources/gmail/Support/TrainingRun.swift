// A training as a command runs it, from the options to the exit code; what is trained is the trainer's business.

import ArgumentParser
import Datasets
import Files
import Foundation
import Terminal
import Torch
import Training

/// A training on a pairs manifest that keeps its run in a folder.
protocol RunnableTrainer: TrainingTask {
    associatedtype Source: BatchSource where Source.Batch == Batch

    /// How long the run is, and how often it logs, validates and saves.
    var loopSettings: LoopSettings { get }

    /// What the run folder's manifest records.
    func runManifest(versions: [String: String]) throws -> RunManifest

    /// Computes what the frozen side gives, once, before the first step.
    func prepare() throws

    /// The run's batches from a position on.
    func batches(from position: SamplerPosition, skipped: [SkippedSample]) throws -> Source
}

/// What a trainer is made with, once the run has a folder and a device.
struct RunSetup {
    let device: Device
    /// Folder of the features of the frozen side.
    let cache: String
    let hashes = FileHashes()
    let versions: [String: String]
    /// Takes lines for the user.
    let note: (String) -> Void
}

/// How a run goes on after the set-up.
enum RunStart<Trainer: RunnableTrainer> {
    case train(Trainer)
    /// The recipe changes no weight: the manifest says which encoder reads what, for the steps that follow.
    case nothingToTrain(RunManifest)
}

/// What a command says when it is done, beside the number of steps.
struct RunEnding {
    /// The next command.
    var next: String?
    /// What the checkpoint holds, when its path is worth a line.
    var checkpoint: String?
}

extension TrainingRunOptions {
    /// Trains in the folder `--out`, from its beginning or, with `--resume`, from its last checkpoint; leaves with the exit
    /// code of a signal that stopped it.
    ///
    /// A run that fails before its first step leaves the folder free for another attempt.
    /// - Parameters:
    ///   - ending: what is said on standard output when the run is done.
    ///   - begin: reads models and data; what it throws ends the run before it began.
    /// - Throws: `TrainingError`, also when a resumed run is given other models or data than it was begun with, and
    ///   whatever the trainer throws.
    func train<R: Recipe, Trainer: RunnableTrainer>(
        _ recipe: R, ending: RunEnding, begin: (RunSetup) throws -> RunStart<Trainer>
    ) throws {
        // Before anything slow, so that a signal during set-up is not lost.
        let stop = StopSignal()
        stop.listen()
        let device = try device.resolve()
        let run = resume ? try RunFolder.resume(out, recipe: recipe) : try RunFolder.create(out, recipe: recipe)
        do {
            let notes = ProgressReporter(style: .automatic(quiet: quiet), total: 0)
            let setup = RunSetup(
                device: device, cache: cache ?? "\(CacheFolder.path)/features", versions: try Gmail.versions(),
                note: { notes.note($0) })
            let outcome: LoopOutcome
            switch try begin(setup) {
            case .train(let trainer): outcome = try drive(trainer, run, setup, stop)
            case .nothingToTrain(let manifest):
                try publish(manifest, run)
                outcome = .finished(step: 0)
            }
            try report(outcome, run, ending)
            if outcome.exitCode != 0 { throw ExitCode(outcome.exitCode) }
        } catch {
            if !resume { try run.removeUnlessBegun() }
            throw error
        }
    }

    private func drive(
        _ trainer: some RunnableTrainer, _ run: RunFolder, _ setup: RunSetup, _ stop: StopSignal
    ) throws -> LoopOutcome {
        let settings = trainer.loopSettings
        let manifest = try trainer.runManifest(versions: setup.versions)
        try publish(manifest, run)
        for group in manifest.parameterGroups {
            setup.note(
                "training \(group.name): \(group.tensors) tensors, \(group.elements) numbers, learning rate \(group.learningRate)"
            )
        }
        setup.note(
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

    private func publish(_ manifest: RunManifest, _ run: RunFolder) throws {
        if resume { try run.checkSources(manifest.sources) }
        try run.write(manifest)
    }

    private func report(_ outcome: LoopOutcome, _ run: RunFolder, _ ending: RunEnding) throws {
        let isFinished = outcome.exitCode == 0
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
            let summary = Summary(run: run.path, step: outcome.step, checkpoint: checkpoint, finished: isFinished)
            try Terminal.output(String(decoding: try encoder.encode(summary), as: UTF8.self))
        } else if !quiet {
            try Terminal.output(
                isFinished
                    ? "\(run.path): \(outcome.step) steps done" + (ending.next.map { "; \($0)" } ?? "")
                    : "\(run.path): stopped at step \(outcome.step); go on with --resume")
            if let checkpoint, let holds = ending.checkpoint { try Terminal.output("\(holds): \(checkpoint)") }
        }
    }
}

extension Gmail {
    /// What a run's manifest records of the program.
    static func versions() throws -> [String: String] {
        [
            "gmail": configuration.version, "libtorch": try TorchRuntime.version(),
            "cpu_kernels": try TorchRuntime.cpuCapability(),
        ]
    }
}
