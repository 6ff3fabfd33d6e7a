// Everything that decides what a run of `gmail align` computes, as one value. The numbers are those of GMAIL (ICML 2025)
// where the paper gives them; what it leaves open is marked "ours". Recipes/*.yaml name the table rows.

import Foundation

/// A run's settings; the default value is the paper's main model.
public struct AlignmentRecipe: Sendable, Equatable {
    public var name = "unnamed"
    public var description = ""
    public var paper = PaperReference()
    public var data = DataSettings()
    public var adapter = AdapterSettings()
    public var projection = ProjectionSettings()
    public var loss = LossSettings()
    public var training = TrainingSettings()
    public var evaluation = EvaluationSettings()

    public init() {}

    public typealias PaperReference = Training.PaperReference
    public typealias PaperNumber = Training.PaperNumber

    public struct DataSettings: Sendable, Equatable {
        public enum Images: String, Sendable, CaseIterable {
            case generated
            case real
            /// Both kinds as if they were one.
            case mixed
        }
        /// Which images the trained tower reads, and a captioner behind it.
        public var images = Images.generated
        /// Share of the pairs that may be unreadable before the run stops, 0...1 (ours).
        public var maximumSkippedShare = 0.01

        public init() {}
    }

    public struct AdapterSettings: Sendable, Equatable {
        public enum Kind: String, Sendable, CaseIterable {
            case lora
            /// Every weight of the tower is trained (Table 11).
            case full
            /// The tower stays as it is; only projections are trained, if any.
            case none
        }
        public var kind = Kind.lora
        /// Sec. 4 and Table 11.
        public var rank = 4
        /// The update is scaled by alpha / rank (ours).
        public var alpha = 8.0
        /// On the adapter's input, 0 up to but not 1 (ours).
        public var dropout = 0.0
        /// Names of the linear layers, in checkpoint words (ours: all of the attention).
        public var targets = ["q_proj", "k_proj", "v_proj", "out_proj"]

        public init() {}
    }

    public struct ProjectionSettings: Sendable, Equatable {
        public enum Kind: String, Sendable, CaseIterable {
            /// No heads: the towers' own embeddings are compared.
            case none
            /// One matrix per modality, starting as identity.
            case linear
            case mlp
        }
        /// Dual projection, Fig. 1; its depth is ours.
        public var kind = Kind.linear
        /// Sec. 4 mentions it for stability; where it stands is ours.
        public var batchNormalization = false
        /// Of the shared space; nil keeps the encoder's own.
        public var dimension: Int?
        /// Of the heads; nil is the adapter's (ours). Full matrices that start as identity move farther in a step than
        /// low-rank updates that start at zero, so few pairs want a smaller one.
        public var learningRate: Double?

        public init() {}
    }

    public struct LossSettings: Sendable, Equatable {
        public enum Kind: String, Sendable, CaseIterable {
            /// Eq. 1, each modality in its own encoder.
            case alignment
            /// One encoder for both kinds of image against the text (the Task2Sim-like baseline).
            case mixed
            /// Nothing is aligned.
            case none
        }
        public enum Direction: String, Sendable, CaseIterable {
            /// Generated to real only, Eq. 1.
            case oneWay
            case symmetric
        }
        public var kind = Kind.alignment
        public var direction = Direction.oneWay
        /// Eq. 1.
        public var temperature = 0.07
        /// Weight of the generated-image-text contrast, Sec. 3.1; 0 leaves it out (ours).
        public var generatedTextWeight = 0.0
        /// Weight of the real-image-text contrast, Sec. 3.1; 0 leaves it out (ours).
        public var realTextWeight = 0.0

        public init() {}
    }

    public struct TrainingSettings: Sendable, Equatable {
        public enum Precision: String, Sendable, CaseIterable {
            /// bfloat16 where the device multiplies it natively, else float32.
            case auto
            case float32
            case bfloat16
        }
        /// Optimizer steps; nil when `epochs` says how long.
        public var steps: Int? = 60_000
        public var epochs: Int?
        /// Pairs per step, all of them negatives of each other.
        public var batchSize = 256
        /// Pairs in memory at once; nil for the whole batch. The gradient is that of the whole batch.
        public var microBatchSize: Int?
        public var learningRate = 1e-4
        public var weightDecay = 0.01
        /// Steps of the first cosine period (ours).
        public var restartPeriod = 10_000
        /// Each later period is this many times as long (ours).
        public var restartMultiplier = 1
        /// Linear steps before the first period (ours).
        public var warmupSteps = 0
        /// Upper limit of the gradient's norm (ours; the paper clips without a number).
        public var clipNorm = 1.0
        public var precision = Precision.auto
        public var seed = 0
        /// Steps between validations; 0 for none.
        public var validationEvery = 500
        public var checkpointEvery = 500
        public var logEvery = 10
        /// Checkpoints kept, the newest ones.
        public var keepCheckpoints = 3

        public init() {}
    }

    public struct EvaluationSettings: Sendable, Equatable {
        public enum CLIPFlow: String, Sendable, CaseIterable {
            /// Real images through the original encoder and the projection for real (Alg. 1, lines 15-18).
            case original
            /// Through the tuned encoder and the projection for real (last sentence of Sec. 3.2).
            case tuned
        }
        public var clipFlow = CLIPFlow.original

        public init() {}
    }
}

extension AlignmentRecipe {
    /// Micro-batches per step.
    /// - Throws: ``TrainingError/indivisible(what:total:by:part:)``.
    public func accumulation() throws -> Int {
        let part = training.microBatchSize ?? training.batchSize
        guard part > 0, training.batchSize % part == 0 else {
            throw TrainingError.indivisible(
                what: "training.batchSize", total: training.batchSize, by: "training.microBatchSize", part: part)
        }
        return training.batchSize / part
    }

    /// Optimizer steps for a set of this many pairs; an epoch leaves out its last, incomplete batch.
    public func totalSteps(pairCount: Int) -> Int {
        training.steps ?? (training.epochs ?? 0) * (pairCount / training.batchSize)
    }

    /// Checks what single values cannot tell by themselves.
    /// - Throws: ``TrainingError``.
    public func validate(source: String) throws {
        func require(_ holds: Bool, _ key: String, _ expected: String, _ got: Any) throws {
            guard holds else {
                throw TrainingError.recipeValue(source: source, key: key, expected: expected, got: "\(got)")
            }
        }
        try require(
            (0...1).contains(data.maximumSkippedShare), "data.maximumSkippedShare", "0...1", data.maximumSkippedShare)
        try require(adapter.rank > 0, "adapter.rank", "at least 1", adapter.rank)
        try require(adapter.alpha > 0, "adapter.alpha", "a positive number", adapter.alpha)
        try require((0..<1).contains(adapter.dropout), "adapter.dropout", "0 up to but not 1", adapter.dropout)
        try require(
            adapter.kind != .lora || !adapter.targets.isEmpty, "adapter.targets", "at least one layer name", "none")
        try require((projection.dimension ?? 1) > 0, "projection.dimension", "at least 1", projection.dimension ?? 0)
        try require(
            (projection.learningRate ?? 1) > 0, "projection.learningRate",
            "a positive number, or null for the adapter's",
            projection.learningRate ?? 0)
        try require(loss.temperature > 0, "loss.temperature", "a positive number", loss.temperature)
        try require(loss.generatedTextWeight >= 0, "loss.generatedTextWeight", "0 or more", loss.generatedTextWeight)
        try require(loss.realTextWeight >= 0, "loss.realTextWeight", "0 or more", loss.realTextWeight)
        try require(
            (training.steps == nil) != (training.epochs == nil), "training.steps",
            "exactly one of training.steps and training.epochs (set the other to null)",
            training.steps == nil ? "neither" : "both")
        let least = loss.kind == .none ? 0 : 1
        try require((training.steps ?? 1) >= least, "training.steps", "at least \(least)", training.steps ?? 0)
        try require((training.epochs ?? 1) >= 1, "training.epochs", "at least 1", training.epochs ?? 0)
        let trainsSomething = adapter.kind != .none || projection.kind != .none
        try require(
            loss.kind == .none || trainsSomething, "adapter.kind", "lora or full, or a projection: something to train",
            "none")
        try require(
            training.batchSize > 1 || loss.kind == .none, "training.batchSize",
            "at least 2: the other pairs of the batch are the negatives", training.batchSize)
        try require(
            (training.microBatchSize ?? 1) > 0, "training.microBatchSize", "at least 1", training.microBatchSize ?? 0)
        _ = try accumulation()
        try require(training.learningRate > 0, "training.learningRate", "a positive number", training.learningRate)
        try require(training.weightDecay >= 0, "training.weightDecay", "0 or more", training.weightDecay)
        try require(training.restartPeriod > 0, "training.restartPeriod", "at least 1", training.restartPeriod)
        try require(
            training.restartMultiplier > 0, "training.restartMultiplier", "at least 1", training.restartMultiplier)
        try require(training.warmupSteps >= 0, "training.warmupSteps", "0 or more", training.warmupSteps)
        try require(training.clipNorm > 0, "training.clipNorm", "a positive number", training.clipNorm)
        try require(training.seed >= 0, "training.seed", "0 or more", training.seed)
        try require(
            training.validationEvery >= 0, "training.validationEvery", "0 (never) or more", training.validationEvery)
        try require(training.checkpointEvery > 0, "training.checkpointEvery", "at least 1", training.checkpointEvery)
        try require(training.logEvery > 0, "training.logEvery", "at least 1", training.logEvery)
        try require(training.keepCheckpoints > 0, "training.keepCheckpoints", "at least 1", training.keepCheckpoints)
    }
}
