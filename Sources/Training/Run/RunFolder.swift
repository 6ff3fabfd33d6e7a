import Files
import Foundation
import Safetensors

/// A run's folder: recipe, manifest, logs and checkpoints.
///
///     RUN/recipe.yaml  manifest.json  metrics.jsonl  timings.jsonl  events.out.tfevents.*  checkpoints/step-000500/
public struct RunFolder: Sendable {
    public let path: String

    public var recipePath: String { "\(path)/recipe.yaml" }
    public var manifestPath: String { "\(path)/manifest.json" }
    public var metricsPath: String { "\(path)/metrics.jsonl" }
    public var timingsPath: String { "\(path)/timings.jsonl" }
    public var checkpoints: CheckpointStore { CheckpointStore(folder: "\(path)/checkpoints") }

    /// Whether a run was begun in the folder.
    public static func exists(_ path: String) -> Bool { FileSystem.exists(RunFolder(path: path).recipePath) }

    /// Begins a run: creates the folder and writes the resolved recipe.
    /// - Throws: ``TrainingError/runExists(path:)`` if the folder already holds a run.
    public static func create(_ path: String, recipe: some Recipe) throws -> RunFolder {
        let run = RunFolder(path: path)
        guard !FileSystem.exists(run.recipePath) else { throw TrainingError.runExists(path: path) }
        try FileSystem.createFolder(run.checkpoints.folder)
        try AtomicFile.write(recipe.yaml, to: run.recipePath)
        return run
    }

    /// Opens a run to continue it as it was begun.
    /// - Throws: ``TrainingError/nothingToResume(path:)``.
    public static func resume(_ path: String) throws -> RunFolder {
        guard exists(path) else { throw TrainingError.nothingToResume(path: path) }
        let run = try open(path)
        try run.checkpoints.removeLeftovers()
        return run
    }

    /// Opens a run to continue it.
    /// - Parameter recipe: the present recipe; only the ``Recipe/freeKeys`` of its kind may differ from what the run
    ///   was begun with.
    /// - Throws: ``TrainingError/nothingToResume(path:)``, ``TrainingError/recipeChanged(path:keys:)``.
    public static func resume<R: Recipe>(_ path: String, recipe: R) throws -> RunFolder {
        let run = try resume(path)
        let begun = try run.recipe(of: R.self)
        let changed = recipe.differences(from: begun).filter { !begun.freeKeys.contains($0) }
        guard changed.isEmpty else { throw TrainingError.recipeChanged(path: path, keys: changed) }
        if recipe != begun { try AtomicFile.write(recipe.yaml, to: run.recipePath) }
        return run
    }

    private static func noRun(_ path: String) -> TrainingError {
        func holds(_ name: String) -> Bool { FileSystem.exists("\(path)/\(name)") }
        let advice =
            holds("adapter_config.json")
            ? "It holds an adapter: give it with --adapter"
            : holds("config.json")
                ? "It holds a model: give it with --model" : "Give the folder that gmail align or gmail train wrote"
        return .noRun(path: path, advice: advice)
    }

    /// Opens a run to read from it.
    public static func open(_ path: String) throws -> RunFolder {
        let run = RunFolder(path: path)
        guard FileSystem.exists(run.recipePath) else { throw Self.noRun(path) }
        return run
    }

    /// Removes a run that failed before its first step, so that it does not block the next attempt. A run that has
    /// begun stays.
    public func removeUnlessBegun() throws {
        guard try checkpoints.latest() == nil, !FileSystem.exists(metricsPath) else { return }
        for path in [recipePath, manifestPath] where FileSystem.exists(path) {
            try FileSystem.remove(path)
        }
    }

    /// Checks that a resumed run gets the models and data with which it was begun. Validation data may change.
    /// - Throws: ``TrainingError/sourceChanged(path:role:begun:given:)``,
    ///   ``TrainingError/sourceAdded(path:role:given:)``.
    public func checkSources(_ given: [RunManifest.Source]) throws {
        // A run that was killed before its first step may have no manifest.
        guard FileSystem.exists(manifestPath) else { return }
        let begun = try manifest().sources.filter { $0.role != "validation" }
        for source in begun {
            let now = given.first { $0.role == source.role }
            guard now?.sha256 == source.sha256 else {
                throw TrainingError.sourceChanged(path: path, role: source.role, begun: source, given: now)
            }
        }
        for source in given where source.role != "validation" && !begun.contains(where: { $0.role == source.role }) {
            throw TrainingError.sourceAdded(path: path, role: source.role, given: source.path)
        }
    }

    /// The resolved recipe of a run.
    public func recipe<R: Recipe>(of type: R.Type) throws -> R {
        guard FileSystem.exists(recipePath) else { throw Self.noRun(path) }
        return try R(recipePath)
    }

    public func write(_ manifest: RunManifest) throws {
        try AtomicFile.write(PrettyJSON.encode(manifest), to: manifestPath)
    }

    public func manifest() throws -> RunManifest {
        let data = try MappedFile(path: manifestPath).withUnsafeBytes { Data($0) }
        do {
            return try JSONDecoder().decode(RunManifest.self, from: data)
        } catch let error as DecodingError {
            throw TrainingError.badState(path: manifestPath, reason: error.shortReason)
        }
    }
}
