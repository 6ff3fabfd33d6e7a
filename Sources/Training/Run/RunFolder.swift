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

    /// Begins a run: makes the folder and writes the resolved recipe.
    /// - Throws: ``TrainingError/runExists(path:)`` when it holds one already.
    public static func create(_ path: String, recipe: AlignmentRecipe) throws -> RunFolder {
        let run = RunFolder(path: path)
        guard !FileSystem.exists(run.recipePath) else { throw TrainingError.runExists(path: path) }
        try FileSystem.createFolder(run.checkpoints.folder)
        try AtomicFile.write(recipe.yaml, to: run.recipePath)
        return run
    }

    /// Opens a run to go on with it.
    /// - Parameter recipe: what the run is asked to do now; nil takes the recipe it was begun with. The length
    ///   (`training.steps`, `training.epochs`) and how often is logged or kept may differ, nothing else.
    /// - Throws: ``TrainingError/noRun(path:)``, ``TrainingError/recipeChanged(path:keys:)``.
    public static func resume(_ path: String, recipe: AlignmentRecipe? = nil) throws -> RunFolder {
        let run = RunFolder(path: path)
        let begun = try run.recipe()
        try run.checkpoints.removeLeftovers()
        guard let recipe else { return run }
        let free = [
            "name", "description", "paper.table", "paper.row", "paper.numbers", "training.steps", "training.epochs",
            "training.checkpointEvery", "training.keepCheckpoints", "data.maximumSkippedShare",
        ]
        let changed = recipe.differences(from: begun).filter { !free.contains($0) }
        guard changed.isEmpty else { throw TrainingError.recipeChanged(path: path, keys: changed) }
        if recipe != begun { try AtomicFile.write(recipe.yaml, to: run.recipePath) }
        return run
    }

    /// Opens a run to read from it.
    public static func open(_ path: String) throws -> RunFolder {
        let run = RunFolder(path: path)
        guard FileSystem.exists(run.recipePath) else { throw TrainingError.noRun(path: path) }
        return run
    }

    /// The resolved recipe.
    public func recipe() throws -> AlignmentRecipe {
        guard FileSystem.exists(recipePath) else { throw TrainingError.noRun(path: path) }
        return try AlignmentRecipe(recipePath)
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
