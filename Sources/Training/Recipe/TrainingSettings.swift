import Torch
import TorchOptim

// The part of a recipe that every training has: length, batch size, optimizer, and how often it is logged, validated
// and saved. Recipes differ in their defaults and in which of these keys they have.

/// Length, optimizer (AdamW), schedule and bookkeeping of a run.
public struct TrainingSettings: Sendable, Equatable {
    public enum ScheduleKind: String, Sendable, CaseIterable {
        case constant
        /// Falls to 0 at the last step.
        case linear
        /// Falls to 0 at the last step.
        case cosine
        /// Cosine annealing with warm restarts: falls to 0 within every period.
        case cosineRestarts
    }

    /// Optimizer steps; nil if `epochs` gives the length.
    public var steps: Int?
    public var epochs: Int?
    /// Samples per step.
    public var batchSize: Int
    /// Samples in memory at once; nil for the whole batch. The gradient is that of the whole batch.
    public var microBatchSize: Int?
    public var learningRate: Double
    public var weightDecay = 0.0
    /// AdamW's decay of the second moment.
    public var beta2 = 0.999
    /// AdamW's term in the denominator.
    public var epsilon = 1e-8
    public var schedule: ScheduleKind
    /// Steps of the first period of `cosineRestarts`.
    public var restartPeriod = 10_000
    /// Each later period is this many times as long.
    public var restartMultiplier = 1
    /// Linear steps before the schedule.
    public var warmupSteps = 0
    /// Upper limit of the gradient's norm; nil clips nothing.
    public var clipNorm: Double? = 1.0
    /// Decay per step of the moving average of the weights, which is kept in their place; 0 keeps the weights
    /// themselves.
    public var averageDecay = 0.0
    public var precision = Precision.auto
    /// The seed of fresh weights, the order of the samples and every other draw.
    public var seed = 0
    /// Steps between validations; 0 for none.
    public var validationEvery = 500
    public var checkpointEvery = 500
    public var logEvery = 10
    /// How many checkpoints are kept, the newest ones.
    public var keepCheckpoints = 2
    /// The validation metric whose best checkpoint is kept and used; nil keeps and uses the newest ones alone.
    public var bestMetric: String?
    /// Validations without a better `bestMetric` after which the run ends; nil never ends it early.
    public var patience: Int?

    public init(steps: Int?, batchSize: Int, learningRate: Double, schedule: ScheduleKind) {
        self.steps = steps
        self.batchSize = batchSize
        self.learningRate = learningRate
        self.schedule = schedule
    }

    /// Keys that may change when a run is resumed: how often it is saved, and its length where the schedule does not
    /// depend on it. With other schedules another length is another run from the first step.
    public var freeKeys: Set<String> {
        let always: Set = ["training.checkpointEvery", "training.keepCheckpoints"]
        return switch schedule {
        case .constant, .cosineRestarts: always.union(["training.steps", "training.epochs"])
        case .linear, .cosine: always
        }
    }
}

extension TrainingSettings {
    /// Optimizer steps for this number of samples; an epoch leaves out its last, incomplete batch.
    public func totalSteps(sampleCount: Int) -> Int { steps ?? (epochs ?? 0) * (sampleCount / batchSize) }

    /// The course of the learning rate over a run of this many steps.
    public func schedule(totalSteps: Int) -> Schedule {
        switch schedule {
        case .constant: .constant(warmup: warmupSteps)
        case .linear: .linear(steps: totalSteps, warmup: warmupSteps)
        case .cosine: .cosine(steps: totalSteps, warmup: warmupSteps, minimum: 0)
        case .cosineRestarts:
            .cosineWarmRestarts(
                firstPeriod: restartPeriod, multiplier: restartMultiplier, warmup: warmupSteps, minimum: 0)
        }
    }

    /// Checks how the values fit together.
    /// - Parameter leastSteps: 0 for a recipe that trains nothing.
    /// - Throws: ``TrainingError``.
    public func validate(_ check: RecipeCheck, leastSteps: Int = 1) throws {
        try check(
            (steps == nil) != (epochs == nil), "training.steps",
            "exactly one of training.steps and training.epochs (set the other to null)",
            steps == nil ? "neither" : "both")
        try check.range("training.steps", steps ?? leastSteps, leastSteps...Self.largest)
        try check.range("training.epochs", epochs ?? 1, 1...Self.largest)
        try check.range("training.batchSize", batchSize, 1...1_000_000)
        try check.range("training.microBatchSize", microBatchSize ?? batchSize, 1...1_000_000)
        let part = microBatchSize ?? batchSize
        guard batchSize % part == 0 else {
            throw TrainingError.indivisible(
                what: "training.batchSize", total: batchSize, by: "training.microBatchSize", part: part)
        }
        try check.positive("training.learningRate", learningRate)
        try check.atLeast0("training.weightDecay", weightDecay)
        try check((0..<1).contains(beta2), "training.beta2", "0 up to but not 1", beta2)
        try check.positive("training.epsilon", epsilon)
        try check.range("training.restartPeriod", restartPeriod, 1...Self.largest)
        try check.range("training.restartMultiplier", restartMultiplier, 1...1000)
        try check.range("training.warmupSteps", warmupSteps, 0...Self.largest)
        if let clipNorm { try check.positive("training.clipNorm", clipNorm) }
        try check((0..<1).contains(averageDecay), "training.averageDecay", "0 up to but not 1", averageDecay)
        try check.range("training.seed", seed, 0...Int.max)
        try check.range("training.validationEvery", validationEvery, 0...Self.largest)
        try check.range("training.checkpointEvery", checkpointEvery, 1...Self.largest)
        try check.range("training.logEvery", logEvery, 1...Self.largest)
        try check.range("training.keepCheckpoints", keepCheckpoints, 1...Self.largest)
        try check(
            bestMetric == nil || validationEvery > 0, "training.validationEvery",
            "1 or more, because training.bestMetric is '\(bestMetric ?? "")'", validationEvery)
        try check.range("training.patience", patience ?? 1, 1...Self.largest)
        try check(
            patience == nil || bestMetric != nil, "training.bestMetric",
            "a validation metric such as loss, because training.patience is \(patience ?? 0)", "null")
    }

    /// Far beyond any training, to catch a typing mistake.
    private static let largest = 1_000_000_000
}

extension RecipeField {
    /// The keys below `training.`, in the order in which recipes are written.
    /// - Parameter omitted: keys that this kind of recipe does not have, because its trainer does not read them.
    package static func training(
        _ path: WritableKeyPath<R, TrainingSettings> & Sendable, omitting omitted: Set<String> = []
    ) -> [RecipeField<R>] {
        func field<Value: RecipeValue>(
            _ key: String, _ own: WritableKeyPath<TrainingSettings, Value> & Sendable
        ) -> RecipeField<R> {
            RecipeField(
                "training.\(key)", Value.self, { $0[keyPath: path][keyPath: own] },
                { $0[keyPath: path][keyPath: own] = $1 })
        }
        func choice<Value>(_ key: String, _ own: WritableKeyPath<TrainingSettings, Value> & Sendable) -> RecipeField<R>
        where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
            RecipeField(
                "training.\(key)", Choice<Value>.self, { Choice(value: $0[keyPath: path][keyPath: own]) },
                { $0[keyPath: path][keyPath: own] = $1.value })
        }
        let all: [RecipeField<R>] = [
            field("steps", \.steps), field("epochs", \.epochs), field("batchSize", \.batchSize),
            field("microBatchSize", \.microBatchSize), field("learningRate", \.learningRate),
            field("weightDecay", \.weightDecay), field("beta2", \.beta2), field("epsilon", \.epsilon),
            choice("schedule", \.schedule), field("restartPeriod", \.restartPeriod),
            field("restartMultiplier", \.restartMultiplier), field("warmupSteps", \.warmupSteps),
            field("clipNorm", \.clipNorm), field("averageDecay", \.averageDecay), choice("precision", \.precision),
            field("seed", \.seed), field("validationEvery", \.validationEvery),
            field("checkpointEvery", \.checkpointEvery), field("logEvery", \.logEvery),
            field("keepCheckpoints", \.keepCheckpoints), field("bestMetric", \.bestMetric),
            field("patience", \.patience),
        ]
        return all.filter { !omitted.contains(String($0.key.dropFirst("training.".count))) }
    }
}

extension LoopSettings {
    /// How long a run with these settings is, and how often it is logged and saved.
    public init(_ training: TrainingSettings, sampleCount: Int) {
        self.init(
            totalSteps: training.totalSteps(sampleCount: sampleCount), logEvery: training.logEvery,
            validationEvery: training.validationEvery, checkpointEvery: training.checkpointEvery,
            keepCheckpoints: training.keepCheckpoints, bestMetric: training.bestMetric, patience: training.patience)
    }
}
