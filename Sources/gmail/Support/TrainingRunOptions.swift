import ArgumentParser
import Files
import Foundation
import Terminal
import Torch
import Training

/// The options of every command that trains on a pairs manifest, in addition to its models and data.
struct TrainingRunOptions: ParsableArguments {
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

    @OptionGroup var device: DeviceOptions

    @Flag(help: "Print a summary as JSON on standard output.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false
}

extension TrainingRunOptions {
    /// Trains in the folder `--out`, from the beginning or, with `--resume`, from the last checkpoint. Prints how it
    /// ended, and exits with the code of a signal that stopped it.
    /// - Parameters:
    ///   - command: `gmail align`, for the lock and for messages.
    ///   - ending: printed on standard output when the run is done, beside the number of steps.
    ///   - begin: reads models and data; gets the device, the folder of cached features, and what takes lines for the
    ///     user.
    func train<R: Recipe, Trainer: RunnableTrainer>(
        _ recipe: R, command: String, ending: RunEnding,
        begin: (_ device: Device, _ cache: String, _ job: TrainingJob) throws -> RunStart<Trainer>
    ) throws {
        let stop = StopSignal()
        stop.listen()
        let device = try device.resolve()
        let job = TrainingJob(
            folder: out, resumes: resume, owner: command, versions: try Gmail.versions(),
            progress: .automatic(quiet: quiet))
        let (run, outcome) = try job.run(recipe, stop: stop) {
            try begin(device, cache ?? "\(CacheFolder.path)/features", job)
        }
        try conclude(outcome.exitCode) { try report(outcome, run, ending) }
    }

    private func report(_ outcome: LoopOutcome, _ run: RunFolder, _ ending: RunEnding) throws {
        let isFinished = outcome.exitCode == 0
        let checkpoint = try run.checkpoints.chosen()?.folder
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
            try Terminal.output(json: String(decoding: try encoder.encode(summary), as: UTF8.self))
        } else if !quiet {
            try Terminal.output(
                isFinished
                    ? "\(run.path): \(outcome.step) steps done" + (ending.next.map { "; \($0)" } ?? "")
                    : "\(run.path): stopped at step \(outcome.step); go on with --resume")
            if let checkpoint, let holds = ending.checkpoint { try Terminal.output("\(holds): \(checkpoint)") }
        }
    }
}

/// What a command prints when it is done, beside the number of steps.
struct RunEnding {
    /// The next command.
    var next: String?
    /// The content of the checkpoint, if its path should be printed.
    var checkpoint: String?
}

extension Gmail {
    /// What the manifest of a run records about the program.
    static func versions() throws -> [String: String] {
        [
            "gmail": configuration.version, "libtorch": try TorchRuntime.version(),
            "cpu_kernels": try TorchRuntime.cpuCapability(),
        ]
    }
}
