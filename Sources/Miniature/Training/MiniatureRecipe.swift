import Torch
import TorchOptim
import Training

// What the four small models' recipes share: which scenes are rendered, how long and how is stepped, how the result is
// stored. `Recipes/*.yaml` are the shipped ones.

/// The renders that a small model is trained on. Training sees the train split alone, validation the validation split.
public struct WorldSettings: Sendable, Equatable {
    /// Of the world.
    public var seed = 0
    public var scenes = 8192
    public var validationScenes = 256

    public init() {}
}

/// Optimizer (AdamW), schedule and bookkeeping of a run.
public struct TrainingSettings: Sendable, Equatable {
    public enum ScheduleKind: String, Sendable, CaseIterable {
        /// Falls to 0 at the last step.
        case cosine
        case constant
    }

    public var steps = 1000
    public var batchSize = 64
    public var learningRate = 1e-3
    public var schedule = ScheduleKind.cosine
    /// Linear steps before the schedule.
    public var warmupSteps = 50
    /// Of matrices and filters; biases, norms, embeddings and scalars are not decayed.
    public var weightDecay = 0.0
    public var beta2 = 0.99
    public var clipNorm = 1.0
    /// Per step, of the moving average of the weights that is kept in their place; 0 keeps the weights themselves.
    public var averageDecay = 0.0
    /// Of fresh weights, the order of the scenes and every other draw.
    public var seed = 0
    public var logEvery = 10
    /// Steps between validations; 0 for none.
    public var validationEvery = 250
    public var checkpointEvery = 250
    /// Checkpoints kept, the newest ones.
    public var keepCheckpoints = 2

    public init() {}

    var learningRateSchedule: Schedule {
        switch schedule {
        case .cosine: .cosine(steps: steps, warmup: warmupSteps, minimum: 0)
        case .constant: .constant(warmup: warmupSteps)
        }
    }
}

/// How the finished model is stored.
public struct ExportSettings: Sendable, Equatable {
    public enum Precision: String, Sendable, CaseIterable {
        case float32, float16, bfloat16
    }

    /// Of the weights in the file; training is in float32.
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

    /// Keys of this kind of model alone.
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
        ] + ownFields + [
            RecipeField("training.steps", \.training.steps),
            RecipeField("training.batchSize", \.training.batchSize),
            RecipeField("training.learningRate", \.training.learningRate),
            RecipeField(choice: "training.schedule", \.training.schedule),
            RecipeField("training.warmupSteps", \.training.warmupSteps),
            RecipeField("training.weightDecay", \.training.weightDecay),
            RecipeField("training.beta2", \.training.beta2),
            RecipeField("training.clipNorm", \.training.clipNorm),
            RecipeField("training.averageDecay", \.training.averageDecay),
            RecipeField("training.seed", \.training.seed),
            RecipeField("training.logEvery", \.training.logEvery),
            RecipeField("training.validationEvery", \.training.validationEvery),
            RecipeField("training.checkpointEvery", \.training.checkpointEvery),
            RecipeField("training.keepCheckpoints", \.training.keepCheckpoints),
            RecipeField(choice: "export.precision", \.export.precision),
        ]
    }

    /// The length is free where the schedule does not depend on it; `MiniatureRun` checks that.
    public static var freeKeys: Set<String> {
        [
            "name", "description", "training.steps", "training.validationEvery", "training.checkpointEvery",
            "training.keepCheckpoints", "export.precision",
        ]
    }

    public func validate(source: String) throws {
        func check(_ holds: Bool, _ key: String, _ expected: String, _ got: Any) throws {
            try require(holds, key, expected, got, source: source)
        }
        try check(data.seed >= 0, "data.seed", "0 or more", data.seed)
        try check(data.scenes >= 1, "data.scenes", "at least 1", data.scenes)
        try check(data.validationScenes >= 1, "data.validationScenes", "at least 1", data.validationScenes)
        try check(training.steps >= 1, "training.steps", "at least 1", training.steps)
        try check(
            (1...data.scenes).contains(training.batchSize), "training.batchSize",
            "1...\(data.scenes), the number of scenes", training.batchSize)
        try check(training.learningRate > 0, "training.learningRate", "a positive number", training.learningRate)
        try check(
            (0..<training.steps).contains(training.warmupSteps), "training.warmupSteps",
            "0 up to but not \(training.steps), the number of steps", training.warmupSteps)
        try check(training.weightDecay >= 0, "training.weightDecay", "0 or more", training.weightDecay)
        try check((0..<1).contains(training.beta2), "training.beta2", "0 up to but not 1", training.beta2)
        try check(training.clipNorm > 0, "training.clipNorm", "a positive number", training.clipNorm)
        try check(
            (0..<1).contains(training.averageDecay), "training.averageDecay", "0 up to but not 1",
            training.averageDecay)
        try check(training.seed >= 0, "training.seed", "0 or more", training.seed)
        try check(training.logEvery >= 1, "training.logEvery", "at least 1", training.logEvery)
        try check(training.validationEvery >= 0, "training.validationEvery", "0 or more", training.validationEvery)
        try check(training.checkpointEvery >= 1, "training.checkpointEvery", "at least 1", training.checkpointEvery)
        try check(training.keepCheckpoints >= 1, "training.keepCheckpoints", "at least 1", training.keepCheckpoints)
        try validateOwn(source: source)
    }
}
