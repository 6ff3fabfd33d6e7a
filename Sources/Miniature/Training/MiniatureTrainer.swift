import Datasets
import Files
import Foundation
import Safetensors
import Terminal
import Torch
import TorchNN
import Training

/// Trains a small model according to a recipe, as `gmail miniature train` does.
///
///     RUN/recipe.yaml  manifest.json  metrics.jsonl  timings.jsonl  events…  checkpoints/  sessions.jsonl  model/
///
/// `model/` is the folder of the finished model. `sessions.jsonl` has one line for each time that the program ran:
/// steps, seconds, machine. A process that was killed leaves no line.
public struct MiniatureTrainer<R: MiniatureRecipe> {
    /// A file, beside the renders, that the run reads.
    public struct Input: Sendable {
        public var role: String
        public var path: String

        public init(role: String, path: String) {
            self.role = role
            self.path = path
        }
    }

    /// Reports while the scenes are rendered.
    public typealias RenderReport = (_ done: Int, _ total: Int) -> Void

    public let recipe: R
    public let path: String
    private let inputs: [Input]
    private let hasPictures: Bool
    private let makeObjective:
        (R, _ train: SceneData, _ validation: SceneData, _ scratch: String) throws -> any Objective

    /// - Parameters:
    ///   - path: the run's folder.
    ///   - inputs: files of models that the training reads.
    ///   - hasPictures: whether it uses the pictures, or only the captions.
    ///   - objective: makes the model and its loss; `scratch` is a folder for intermediate files.
    public init(
        _ recipe: R, path: String, inputs: [Input] = [], hasPictures: Bool = true,
        objective: @escaping (R, _ train: SceneData, _ validation: SceneData, _ scratch: String) throws -> any Objective
    ) {
        self.recipe = recipe
        self.path = path
        self.inputs = inputs
        self.hasPictures = hasPictures
        makeObjective = objective
    }

    public var modelFolder: String { "\(path)/model" }

    /// Runs from the latest checkpoint, or from the beginning, and writes the model when the last step is done.
    /// - Parameters:
    ///   - resume: whether `path` holds a run to continue.
    ///   - versions: for the manifest.
    ///   - progress: makes the loop's reporter.
    /// - Throws: `TrainingError`, `MiniatureError`, and what models and files throw.
    public func run(
        resume: Bool, versions: [String: String] = [:], stop: StopSignal = StopSignal(),
        progress: ProgressReporter? = nil, rendering: RenderReport = { _, _ in }
    ) throws -> LoopOutcome {
        if resume, !RunFolder.exists(path) { throw TrainingError.nothingToResume(path: path) }
        try FileSystem.createFolder(path)
        let lock = try FolderLock(folder: path, owner: "gmail miniature train")
        defer { withExtendedLifetime(lock) {} }
        let run = try resume ? RunFolder.resume(path, recipe: recipe) : RunFolder.create(path, recipe: recipe)
        let start = ContinuousClock.now
        let world = World(seed: UInt64(recipe.data.seed))
        let total = recipe.data.scenes + recipe.data.validationScenes
        var done = 0
        func report(_ count: Int) {
            done += count
            rendering(done, total)
        }
        let train = SceneData(
            world: world, split: .train, count: recipe.data.scenes, hasPictures: hasPictures, report: report)
        let validation = SceneData(
            world: world, split: .validation, count: recipe.data.validationScenes, hasPictures: hasPictures,
            report: report)
        let task = try ObjectiveTask(
            makeObjective(recipe, train, validation, "\(path)/files"), settings: recipe.training)
        try run.write(manifest(task, train, validation, versions))
        let settings = LoopSettings(recipe.training, sampleCount: train.count)
        let first = try run.checkpoints.latest()?.step ?? 0
        let loop = TrainingLoop(task: task, run: run, settings: settings, stop: stop, progress: progress) {
            position, _ in
            try SceneBatches(
                count: train.count, batchSize: recipe.training.batchSize, seed: UInt64(recipe.training.seed),
                position: position)
        }
        let outcome = try loop.run()
        let last: Int
        switch outcome {
        case .finished(let step), .interrupted(let step, _): last = step
        }
        try record(Session(from: first, to: last, since: start, versions: versions))
        if case .finished = outcome { try export(task) }
        return outcome
    }

    private func manifest(
        _ task: ObjectiveTask, _ train: SceneData, _ validation: SceneData, _ versions: [String: String]
    ) throws -> RunManifest {
        var sources = [
            RunManifest.Source(
                role: "train scenes", path: "world \(recipe.data.seed), train", sha256: train.contentHash,
                count: train.count),
            RunManifest.Source(
                role: "validation scenes", path: "world \(recipe.data.seed), validation",
                sha256: validation.contentHash, count: validation.count),
        ]
        for input in inputs {
            sources.append(
                .init(role: input.role, path: input.path, sha256: try ContentHash.sha256(ofFile: input.path)))
        }
        return RunManifest(
            sources: sources,
            parameterGroups: task.optimizer.groups.map {
                .init(
                    name: $0.name, tensors: $0.parameters.count, elements: $0.elementCount,
                    learningRate: $0.learningRate, weightDecay: $0.weightDecay)
            },
            frozenElements: 0, seed: recipe.training.seed, device: "cpu", dtype: "float32", versions: versions,
            steps: recipe.training.totalSteps(sampleCount: train.count))
    }

    /// The model folder, complete or absent.
    private func export(_ task: ObjectiveTask) throws {
        let partial = modelFolder + ".partial"
        try FileSystem.recreateFolder(partial)
        try task.export(to: partial, dtype: recipe.export.dtype)
        try FileSystem.remove(modelFolder)
        try FileSystem.rename(partial, to: modelFolder)
    }

    // MARK: Sessions

    /// One run of the program.
    private struct Session: Encodable {
        let fromStep: Int
        let toStep: Int
        /// Time including rendering, encoding and validation, without the export.
        let seconds: Double
        let machine: String
        let threads: Int
        let versions: [String: String]

        init(from first: Int, to last: Int, since start: ContinuousClock.Instant, versions: [String: String]) {
            fromStep = first
            toStep = last
            let elapsed = (ContinuousClock.now - start).components
            seconds = Double(elapsed.seconds) + (Double(elapsed.attoseconds) * 1e-15).rounded() / 1e3
            machine = Machine.description
            threads = TorchRuntime.threadCount
            self.versions = versions
        }

        enum CodingKeys: String, CodingKey {
            case seconds, machine, threads, versions
            case fromStep = "from_step"
            case toStep = "to_step"
        }
    }

    private func record(_ session: Session) throws {
        let file = "\(path)/sessions.jsonl"
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let before = FileSystem.exists(file) ? try RegularFile.bytes(file) : []
        try AtomicFile.write(before + [UInt8](encoder.encode(session)) + [0x0A], to: file)
    }
}

extension SceneData {
    /// SHA-256 of the pixels and captions.
    var contentHash: String {
        let pixels = pixels.withUnsafeBytes { ContentHash.sha256(of: $0) }
        return ContentHash.sha256(of: pixels + "\n" + captions.joined(separator: "\n"))
    }
}

/// The machine, in the words of its kernel.
enum Machine {
    static var description: String {
        let cores = ProcessInfo.processInfo.activeProcessorCount
        let lines =
            (FileManager.default.contents(atPath: "/proc/cpuinfo").map { String(decoding: $0, as: UTF8.self) } ?? "")
            .split(separator: "\n")
        let name = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last.map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        return "\(name ?? "unknown processor"), \(cores) cores"
    }
}
