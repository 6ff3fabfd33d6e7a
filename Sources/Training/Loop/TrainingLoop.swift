import Datasets
import Files
import Foundation
import Terminal

/// How long a loop runs, and how often it logs, validates and saves.
public struct LoopSettings: Sendable, Equatable {
    /// Optimizer steps of the whole run.
    public var totalSteps: Int
    /// Steps between lines of metrics.jsonl, at least 1.
    public var logEvery: Int
    /// Steps between validations; 0 for none at all, otherwise also before step 1 and at the end.
    public var validationEvery: Int
    /// Steps between checkpoints, at least 1; the end always has one.
    public var checkpointEvery: Int
    public var keepCheckpoints: Int
    /// The validation metric whose best checkpoint is kept; nil for none.
    public var bestMetric: String?
    /// Validations without a better one after which the run ends; nil never ends it early.
    public var patience: Int?

    public init(
        totalSteps: Int, logEvery: Int = 10, validationEvery: Int = 500, checkpointEvery: Int = 500,
        keepCheckpoints: Int = 3, bestMetric: String? = nil, patience: Int? = nil
    ) {
        precondition(
            totalSteps >= 0 && logEvery > 0 && validationEvery >= 0 && checkpointEvery > 0 && keepCheckpoints > 0)
        self.totalSteps = totalSteps
        self.logEvery = logEvery
        self.validationEvery = validationEvery
        self.checkpointEvery = checkpointEvery
        self.keepCheckpoints = keepCheckpoints
        self.bestMetric = bestMetric
        self.patience = patience
    }
}

/// How a loop ended.
public enum LoopOutcome: Sendable, Equatable {
    case finished(step: Int)
    /// A signal asked to stop; the checkpoint of this step has been written.
    case interrupted(step: Int, signal: Int32)

    /// The last step done.
    public var step: Int {
        switch self {
        case .finished(let step), .interrupted(let step, _): step
        }
    }

    /// The exit code of the process: 0, or 128 plus the signal's number.
    public var exitCode: Int32 {
        switch self {
        case .finished: 0
        case .interrupted(_, let signal): 128 + signal
        }
    }
}

/// Drives a task over its data: steps, logs, validates, writes checkpoints, stops on request and continues where it
/// was.
///
/// A run that was stopped or killed any number of times and resumed has the same metrics file, parameters and optimizer
/// state as an uninterrupted one, bit for bit.
public struct TrainingLoop<Task: TrainingTask, Source: BatchSource> where Source.Batch == Task.Batch {
    private let task: Task
    private let folder: RunFolder
    private let settings: LoopSettings
    private let stop: StopSignal
    private let progress: ProgressReporter
    private let makeSource: (SamplerPosition, [SkippedSample]) throws -> Source

    /// - Parameters:
    ///   - task: freshly made; when the run is resumed, it gets the state of the checkpoint.
    ///   - stop: already listening, if signals matter.
    ///   - makeSource: the data from a position on, given the samples left out before it.
    public init(
        task: Task, run: RunFolder, settings: LoopSettings, stop: StopSignal = StopSignal(),
        progress: ProgressReporter? = nil,
        makeSource: @escaping (_ position: SamplerPosition, _ skipped: [SkippedSample]) throws -> Source
    ) {
        self.task = task
        folder = run
        self.settings = settings
        self.stop = stop
        self.progress = progress ?? ProgressReporter(style: .quiet, total: settings.totalSteps)
        self.makeSource = makeSource
    }

    /// Runs to the end, from the latest complete checkpoint or, without one, from the beginning.
    /// - Throws: ``TrainingError``, and whatever task and source throw; complete files stay usable.
    @discardableResult
    public func run() throws -> LoopOutcome {
        var session = try begin()
        if session.savedStep == nil, settings.validationEvery > 0, try validate(&session) { try checkpoint(&session) }
        let source = try makeSource(session.state.sampler, session.state.skipped)
        while session.state.step < settings.totalSteps, !isExhausted(session) {
            if let signal = stop.signalNumber {
                try checkpoint(&session)
                progress.note("stopped at step \(session.state.step); resume to go on")
                return .interrupted(step: session.state.step, signal: signal)
            }
            let start = ContinuousClock.now
            let waited = source.waited
            guard let batch = try source.next() else {
                throw TrainingError.dataEnded(step: session.state.step, expected: settings.totalSteps)
            }
            let report = try task.step(batch, step: session.state.step)
            guard report.loss.isFinite else {
                throw TrainingError.lossTurnedNonFinite(
                    step: session.state.step + 1, value: "\(report.loss)", samples: batch.ids)
            }
            session.advance(past: batch, skipped: source.skipped)
            session.state.validation.add(trainingLoss: report.loss)
            session.rate.add(
                seconds: (ContinuousClock.now - start).seconds, waited: (source.waited - waited).seconds,
                pairs: batch.count)
            try afterStep(report, &session)
        }
        if session.savedStep != session.state.step { try checkpoint(&session) }
        if let best = session.state.validation.best, let name = settings.bestMetric {
            let early = session.state.step < settings.totalSteps ? "stopped early at step \(session.state.step): " : ""
            progress.note("\(early)the best \(name) is \(ProgressReporter.short(best.value)), of step \(best.step)")
        }
        progress.finish()
        return .finished(step: session.state.step)
    }

    // MARK: Parts

    /// What changes while the loop runs.
    private struct Session {
        var state: TrainingState
        /// The step of the checkpoint that is on disk.
        var savedStep: Int?
        let logs: RunLogs
        var rate = RateMeter()

        mutating func advance(past batch: some TrainingBatch, skipped: [SkippedSample]) {
            state.step += 1
            state.sampler = batch.next
            state.pairsSeen += batch.count
            state.skipped = skipped
        }
    }

    private func begin() throws -> Session {
        try folder.checkpoints.removeLeftovers()
        let latest = try folder.checkpoints.latest()
        var state = TrainingState(
            step: 0, sampler: SamplerPosition(), pairsSeen: 0, generators: [:], skipped: [], metricsBytes: 0)
        let isFirstStart = FileSystem.size(folder.metricsPath) ?? 0 == 0
        if let latest {
            state = try folder.checkpoints.state(of: latest)
            try task.load(from: latest.folder)
            let states = try state.generatorStates(path: latest.statePath)
            let expected = task.generatorStates.keys.sorted()
            guard states.keys.sorted() == expected else {
                throw TrainingError.generatorMismatch(
                    path: latest.statePath, expected: expected, got: states.keys.sorted())
            }
            try task.restoreGenerators(states)
            progress.note("resuming at step \(state.step)")
        }
        let metrics = try MetricsLog(path: folder.metricsPath)
        try metrics.truncate(to: state.metricsBytes)
        let logs = RunLogs(
            metrics: metrics, folder: folder, resumedAt: isFirstStart ? nil : state.step + 1, note: progress.note)
        return Session(state: state, savedStep: latest?.step, logs: logs)
    }

    private func afterStep(_ report: StepReport, _ session: inout Session) throws {
        let step = session.state.step
        let isLogged = step % settings.logEvery == 0 || step == settings.totalSteps
        if isLogged {
            let metrics = [Metric("loss", report.loss)] + report.metrics
            session.logs.append(step: step, metrics)
            session.logs.append(
                step: step,
                timings: [
                    Metric("pairs_per_second", session.rate.pairsPerSecond),
                    Metric("data_wait_share", session.rate.waitShare),
                ])
        }
        progress.update(step: step, loss: report.loss, rate: session.rate, isLogged: isLogged)
        let isEnd = step == settings.totalSteps
        var isBest = false
        if settings.validationEvery > 0, step % settings.validationEvery == 0 || isEnd {
            isBest = try validate(&session)
        }
        if step % settings.checkpointEvery == 0 || isEnd || isBest || isExhausted(session) { try checkpoint(&session) }
    }

    /// Whether the best validation is so long ago that the run ends.
    private func isExhausted(_ session: Session) -> Bool {
        settings.patience.map { session.state.validation.sinceBest >= $0 } ?? false
    }

    /// - Returns: whether `bestMetric` was better than ever.
    private func validate(_ session: inout Session) throws -> Bool {
        let found = try task.validate()
        let isBest = try session.state.validation.record(found, best: settings.bestMetric, step: session.state.step)
        let difference = session.state.validation.takeTrainingLoss().flatMap { training in
            found.first { $0.name == "loss" }.map { Metric("loss_minus_training", $0.value - training) }
        }
        let metrics = (found + [difference].compactMap { $0 }).map { Metric("validation/\($0.name)", $0.value) }
        guard !metrics.isEmpty else { return false }
        session.logs.append(step: session.state.step, metrics)
        let numbers = metrics.map { "\($0.name.dropFirst(11)) \(ProgressReporter.short($0.value))" }
        progress.note("step \(session.state.step), validation: \(numbers.joined(separator: ", "))")
        return isBest
    }

    private func checkpoint(_ session: inout Session) throws {
        guard session.savedStep != session.state.step else { return }
        // The lines up to this step must be on the disk before a checkpoint refers to them.
        do {
            try session.logs.metrics.sync()
        } catch {
            throw TrainingError.checkpointFailed(
                step: session.state.step,
                path: "\(folder.checkpoints.folder)/\(CheckpointStore.name(of: session.state.step))",
                reason: "\(error)",
                latest: try folder.checkpoints.latest()?.step)
        }
        session.state.metricsBytes = try session.logs.metrics.size()
        session.state.generators = task.generatorStates.mapValues { Data($0).base64EncodedString() }
        try folder.checkpoints.write(session.state) { try task.save(to: $0) }
        session.savedStep = session.state.step
        try folder.checkpoints.prune(keeping: settings.keepCheckpoints, and: session.state.validation.best?.step)
    }
}
