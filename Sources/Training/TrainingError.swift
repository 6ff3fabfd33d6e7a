import Files
import Foundation

/// What is wrong with a recipe, a run folder, or a training step; the text says what, where, expected, got, and the next
/// step when there is one.
public enum TrainingError: Error, Equatable, Sendable {
    // Recipe
    case brokenRecipe(source: String, reason: String)
    case unknownRecipe(name: String, known: [String], nearest: String?)
    case unknownRecipeKey(source: String, key: String, nearest: String?)
    /// A key that is for another kind of model than the recipe's.
    case recipeKeyOfAnotherKind(source: String, key: String, kind: String)
    case recipeType(source: String, key: String, expected: String, got: String)
    case recipeValue(source: String, key: String, expected: String, got: String)
    case badOverride(text: String)
    case recipeCycle(names: [String])
    case indivisible(what: String, total: Int, by: String, part: Int)

    // Run folder
    case runExists(path: String)
    /// A folder that is to be read as a run; `advice` says what to do with what it holds.
    case noRun(path: String, advice: String)
    /// A folder that is to be resumed.
    case nothingToResume(path: String)
    case recipeChanged(path: String, keys: [String])
    case sourceChanged(path: String, role: String, begun: RunManifest.Source, given: RunManifest.Source?)
    case sourceAdded(path: String, role: String, given: String)
    case metricsShorter(path: String, expected: Int, got: Int)
    case badState(path: String, reason: String)
    case damagedCheckpoint(path: String, file: String, reason: String)
    case checkpointFailed(step: Int, path: String, reason: String, latest: Int?)

    // Loop
    case nonFiniteLoss(step: Int, value: String, samples: [String])
    /// A task that did not look, so that the step was made.
    case lossTurnedNonFinite(step: Int, value: String, samples: [String])
    case dataEnded(step: Int, expected: Int)
    case noBestMetric(name: String, known: [String])
    case generatorMismatch(path: String, expected: [String], got: [String])

    // Feature cache
    case badFeatureShard(path: String, reason: String)
    case featureShape(expected: [Int], got: [Int])
    case featureMissing(space: String, key: String)
}

extension TrainingError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .brokenRecipe(let source, let reason):
            "\(source) is not valid YAML: \(reason)"
        case .unknownRecipe(let name, let known, let nearest):
            "no recipe '\(name)': it is neither a file nor a shipped recipe."
                + (nearest.map { " Did you mean '\($0)'?" } ?? "") + " Shipped are \(known.joined(separator: ", "))"
        case .unknownRecipeKey(let source, let key, let nearest):
            "\(source): unknown recipe key '\(key)'." + (nearest.map { " Did you mean '\($0)'?" } ?? "")
        case .recipeKeyOfAnotherKind(let source, let key, let kind):
            "\(source): recipe key '\(key)' is for \(kind), which this recipe does not ask for; leave it out"
        case .recipeType(let source, let key, let expected, let got):
            "\(source): recipe key '\(key)' should be \(expected), got \(got)"
        case .recipeValue(let source, let key, let expected, let got):
            "\(source): recipe key '\(key)': expected \(expected), got \(got)"
        case .badOverride(let text):
            "--set \(abbreviated(text)): expected key=value, such as training.learningRate=2e-4"
        case .recipeCycle(let names):
            "recipe '\(names[0])' extends itself: \(names.joined(separator: " -> "))"
        case .indivisible(let what, let total, let by, let part):
            "\(what) \(total) is not a multiple of \(by) \(part); change one of them"
        case .runExists(let path):
            "'\(path)' already holds a run; continue it with --resume, or choose another folder"
        case .noRun(let path, let advice):
            "'\(path)' is no run's folder: it has no recipe.yaml. \(advice)"
        case .nothingToResume(let path):
            "'\(path)' holds no run to resume (no recipe.yaml); leave out --resume to begin one"
        case .recipeChanged(let path, let keys):
            "'\(path)' was begun with another recipe; different are \(keys.joined(separator: ", ")). "
                + "Resume with the same settings, or choose another folder"
        case .sourceChanged(let path, let role, let begun, let given):
            "'\(path)' was begun with the \(role) '\(begun.path)' (\(begun.sha256.prefix(12))); "
                + (given.map { "'\($0.path)' (\($0.sha256.prefix(12))) was given" } ?? "none was given")
                + ". Resume with the same, or choose another folder"
        case .sourceAdded(let path, let role, let given):
            "'\(path)' was begun without the \(role) '\(given)'; leave it out"
        case .metricsShorter(let path, let expected, let got):
            "'\(path)' has \(got) bytes, the checkpoint was written when it had \(expected); it was cut short since. "
                + "Put it back, or resume from an earlier checkpoint"
        case .badState(let path, let reason):
            "checkpoint state '\(path)' cannot be used: \(reason)"
        case .damagedCheckpoint(let path, let file, let reason):
            "checkpoint '\(path)': '\(file)' \(reason); delete that folder to resume from the one before"
        case .checkpointFailed(let step, let path, let reason, let latest):
            "the checkpoint of step \(step) could not be written to '\(path)': \(reason). "
                + (latest.map {
                    "The last complete one is step \($0), from which the run goes on once the cause is mended"
                }
                    ?? "There is no earlier one")
        case .nonFiniteLoss(let step, let value, let samples):
            "the loss of step \(step) is \(value); stopped before the optimizer step, no weight was changed. Samples: "
                + Self.list(samples) + ". Look at them, or lower the learning rate"
        case .lossTurnedNonFinite(let step, let value, let samples):
            "the loss of step \(step) is \(value), and the optimizer step was made with it; its weights are not kept, the "
                + "last checkpoint is from before. Samples: " + Self.list(samples)
        case .dataEnded(let step, let expected):
            "the data ended at step \(step) of \(expected)"
        case .noBestMetric(let name, let known):
            "training.bestMetric is '\(name)', "
                + (known.isEmpty
                    ? "and there are no validation pairs; give some with --validation"
                    : "which validation does not measure; it measures \(known.joined(separator: ", "))")
        case .generatorMismatch(let path, let expected, let got):
            "'\(path)': expected states of the generators [\(expected.joined(separator: ", "))], "
                + "got [\(got.joined(separator: ", "))]; was it written by another version?"
        case .badFeatureShard(let path, let reason):
            "feature cache '\(path)': \(reason); delete that file, its features are computed again"
        case .featureShape(let expected, let got):
            "features should have shape \(expected), got \(got)"
        case .featureMissing(let space, let key):
            "feature cache '\(space)' has no features for '\(key)'; they must be computed and inserted first"
        }
    }

    private static func list(_ samples: [String]) -> String {
        let shown = samples.prefix(10).joined(separator: ", ")
        return samples.count > 10 ? "\(shown) and \(samples.count - 10) more" : shown
    }
}
