// A training from its folder to its last checkpoint. The trainer decides what is trained, the caller what is printed.

import Datasets
import Files
import Terminal
import Torch

/// A training that keeps its run in a folder.
public protocol RunnableTrainer: TrainingTask {
    associatedtype Source: BatchSource where Source.Batch == Batch

    /// How long the run is, and how often it logs, validates and saves.
    var loopSettings: LoopSettings { get }

    /// What the run folder's manifest records.
    func runManifest(versions: [String: String]) throws -> RunManifest

    /// Computes the features of the frozen side once, before the first step.
    /// - Throws: `Interruption` if `stop` asks for it; what was computed is kept.
    func prepare(stop: StopSignal) throws

    /// The run's batches from a position on.
    func batches(from position: SamplerPosition, skipped: [SkippedSample]) throws -> Source
}

/// How a run continues after its set-up.
public enum RunStart<Trainer: RunnableTrainer> {
    case train(Trainer)
    /// The recipe changes no weight: the manifest says which encoder reads which images, for the steps that follow.
    case nothingToTrain(RunManifest)
}

/// A training in a folder, from its beginning or from its last checkpoint.
public struct TrainingJob {
    /// The run's folder.
    public let folder: String
    /// Whether it continues the run in `folder`.
    public let resumes: Bool
    /// The name of the writer, for the lock: `gmail align`.
    public let owner: String
    /// Program, libtorch, CPU capability, …
    public let versions: [String: String]
    public let progress: ProgressLine.Style

    public init(
        folder: String, resumes: Bool, owner: String, versions: [String: String], progress: ProgressLine.Style = .quiet
    ) {
        self.folder = folder
        self.resumes = resumes
        self.owner = owner
        self.versions = versions
        self.progress = progress
    }

    /// Takes lines for the user.
    public var note: (String) -> Void {
        let reporter = ProgressReporter(style: progress, total: 0)
        return { reporter.note($0) }
    }

    /// Trains to the end, or to a signal.
    ///
    /// One process at a time writes into the folder. A run that fails before its first step leaves the folder free for
    /// another attempt.
    /// - Parameters:
    ///   - stop: already listening, so that a signal during set-up is not lost.
    ///   - begin: reads models and data; if it throws, the run ends before it has begun.
    /// - Returns: the run, and how the loop ended.
    /// - Throws: `FileError.locked`; ``TrainingError``, also if a resumed run gets other models or data than it was
    ///   begun with; whatever the trainer throws.
    public func run<R: Recipe, Trainer: RunnableTrainer>(
        _ recipe: R, stop: StopSignal, begin: () throws -> RunStart<Trainer>
    ) throws -> (run: RunFolder, outcome: LoopOutcome) {
        if resumes, !RunFolder.exists(folder) { throw TrainingError.nothingToResume(path: folder) }
        try FileSystem.createFolder(folder)
        let lock = try FolderLock(folder: folder, owner: owner)
        defer { withExtendedLifetime(lock) {} }
        let run = try resumes ? RunFolder.resume(folder, recipe: recipe) : RunFolder.create(folder, recipe: recipe)
        do {
            switch try begin() {
            case .train(let trainer): return (run, try drive(trainer, run, stop))
            case .nothingToTrain(let manifest):
                try publish(manifest, run)
                return (run, .finished(step: 0))
            }
        } catch {
            if !resumes { try run.removeUnlessBegun() }
            throw error
        }
    }

    private func drive(
        _ trainer: some RunnableTrainer, _ run: RunFolder, _ stop: StopSignal
    ) throws -> LoopOutcome {
        let settings = trainer.loopSettings
        let manifest = try trainer.runManifest(versions: versions)
        try publish(manifest, run)
        let note = note
        for group in manifest.parameterGroups {
            note(
                "training \(group.name): \(group.tensors) tensors, \(group.elements) numbers, learning rate \(group.learningRate)"
            )
        }
        note(
            "frozen: \(manifest.frozenElements) numbers; \(manifest.dtype) on \(manifest.device), \(manifest.steps) steps"
        )
        do {
            try trainer.prepare(stop: stop)
        } catch let interruption as Interruption {
            note("stopped before the first step of this session; what was prepared is kept")
            return .interrupted(step: try run.checkpoints.latest()?.step ?? 0, signal: interruption.signal)
        }
        let loop = TrainingLoop(
            task: trainer, run: run, settings: settings, stop: stop,
            progress: ProgressReporter(style: progress, total: settings.totalSteps)
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
        if resumes { try run.checkSources(manifest.sources) }
        try run.write(manifest)
    }
}
