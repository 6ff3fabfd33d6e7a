import Torch
import TorchOptim
import Training

// What the recipes of the four small models share: which scenes are rendered, how long and with which settings the
// model is trained, and how the result is stored. `Recipes/*.yaml` are the shipped ones.

/// The renders on which a small model is trained. Training uses only the train split, validation only the validation
/// split.
public struct WorldSettings: Sendable, Equatable {
    /// Seed of the world.
    public var seed = 0
    public var scenes = 8192
    public var validationScenes = 256

    public init() {}
}

extension TrainingSettings {
    /// The settings with which a small model is trained unless its recipe says otherwise.
    static let miniature: TrainingSettings = {
        var training = TrainingSettings(steps: 1000, batchSize: 64, learningRate: 1e-3, schedule: .cosine)
        training.warmupSteps = 50
        training.beta2 = 0.99
        training.precision = .float32
        training.validationEvery = 250
        training.checkpointEvery = 250
        return training
    }()

    /// Keys that the trainer of small models does not read: its length is given in steps, it holds whole batches, it
    /// computes in float32, and its model is the last one.
    static let notOfMiniature: Set<String> = [
        "epochs", "microBatchSize", "epsilon", "restartPeriod", "restartMultiplier", "precision", "bestMetric",
        "patience",
    ]
}

/// How the finished model is stored.
public struct ExportSettings: Sendable, Equatable {
    public enum Precision: String, Sendable, CaseIterable {
        case float32, float16, bfloat16
    }

    /// Dtype of the weights in the file; training is in float32.
    public var precision = Precision.float32

    public init() {}

    var dtype: DType {
        switch precision {
        case .float32: .float32
        case .float16: .float16
        case .bfloat16: .bfloat16
        }
    }
}

/// A small model's recipe.
public protocol MiniatureRecipe: Recipe {
    var description: String { get set }
    var data: WorldSettings { get set }
    var training: TrainingSettings { get set }
    var export: ExportSettings { get set }

    /// Keys that only this kind of model has.
    static var ownFields: [RecipeField<Self>] { get }

    /// Checks `ownFields`.
    func validateOwn(source: String) throws
}

extension MiniatureRecipe {
    public static var fields: [RecipeField<Self>] {
        [
            RecipeField("name", \.name),
            RecipeField("description", \.description),
            RecipeField("data.seed", \.data.seed),
            RecipeField("data.scenes", \.data.scenes),
            RecipeField("data.validationScenes", \.data.validationScenes),
        ] + ownFields + [] + RecipeField.training(\.training, omitting: TrainingSettings.notOfMiniature) + [
            RecipeField(choice: "export.precision", \.export.precision)
        ]
    }

    public var freeKeys: Set<String> {
        training.freeKeys.union(["name", "description", "training.validationEvery", "export.precision"])
    }

    public func validate(source: String) throws {
        let check = RecipeCheck(source: source)
        try check.range("data.seed", data.seed, 0...Int.max)
        try check.range("data.scenes", data.scenes, 1...100_000_000)
        try check.range("data.validationScenes", data.validationScenes, 1...100_000_000)
        try training.validate(check)
        try check(training.steps != nil, "training.steps", "a whole number", "null")
        try check(
            [.cosine, .constant].contains(training.schedule), "training.schedule", "cosine or constant",
            training.schedule.rawValue)
        try check.range("training.batchSize", training.batchSize, 1...data.scenes)
        let steps = training.steps ?? 0
        try check(
            (0..<steps).contains(training.warmupSteps), "training.warmupSteps",
            "0 up to but not \(steps), the number of steps", training.warmupSteps)
        try validateOwn(source: source)
    }
}
