// Everything that decides what a run of `gmail align` computes, as one value. The numbers are those of GMAIL (ICML
// 2025) where the paper gives them; settings that it leaves open are marked "ours". Recipes/*.yaml name the table rows.

import Datasets
import Torch
import Training

/// A run's settings; the default value is the paper's main model.
public struct AlignmentRecipe: Sendable, Equatable {
    public var name = "unnamed"
    public var description = ""
    public var paper = PaperReference()
    public var data = DataSettings()
    public var adapter = AdapterSettings()
    public var projection = ProjectionSettings()
    public var loss = LossSettings()
    public var text = TextSettings()
    public var training = AlignmentRecipe.trainingDefaults
    public var evaluation = EvaluationSettings()

    public init() {}

    public struct DataSettings: Sendable, Equatable {
        public enum Images: String, Sendable, CaseIterable {
            case generated
            case real
            /// Both kinds without distinction.
            case mixed
        }
        /// Which images train the tower, and a captioner on top of it.
        public var images = Images.generated
        /// Which pairs are aligned; the other half is for what is trained on top (ours).
        public var half = PairsHalf.all
        /// Share of the pairs that may be unreadable before the run stops, 0...1 (ours).
        public var maximumSkippedShare = 0.01

        public init() {}
    }

    public struct AdapterSettings: Sendable, Equatable {
        public enum Kind: String, Sendable, CaseIterable {
            case lora
            /// Every weight of the tower is trained (Table 11).
            case full
            /// The tower stays unchanged; only projections are trained, if any.
            case none
        }
        public var kind = Kind.lora
        /// Sec. 4 and Table 11.
        public var rank = 4
        /// The update is scaled by alpha / rank (ours).
        public var alpha = 8.0
        /// On the adapter's input; at least 0 and below 1 (ours).
        public var dropout = 0.0
        /// Names of the linear layers, as in checkpoints; nil means those that the encoder names, all of its attention
        /// (ours).
        public var targets: [String]?

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
        /// Sec. 4 mentions it for stability; its place is ours.
        public var batchNormalization = false
        /// Dimension of the shared space; nil keeps the encoder's own.
        public var dimension: Int?
        /// Learning rate of the heads; nil means the adapter's (ours). Full matrices that start as identity move
        /// farther in a step than low-rank updates that start at zero, so few pairs need a smaller rate.
        public var learningRate: Double?

        public init() {}
    }

    public struct LossSettings: Sendable, Equatable {
        public enum Kind: String, Sendable, CaseIterable {
            /// Eq. 1, each modality in its own encoder.
            case alignment
            /// SigLIP's loss in place of Eq. 1: each pair of the batch is judged by itself.
            case sigmoid
            /// One encoder for both kinds of image against the text (the Task2Sim-like baseline).
            case mixed
            /// Nothing is aligned.
            case none
            // Closed forms on the features of f_r, baselines for any alignment (``ClosedFormMap``).
            case meanShift
            case coral
            case ridge

            /// The formula in place of a training; nil for what is trained.
            public var closedForm: ClosedFormMap.Kind? { ClosedFormMap.Kind(rawValue: rawValue) }
        }
        public enum Direction: String, Sendable, CaseIterable {
            /// Generated to real only, Eq. 1.
            case oneWay
            case symmetric
        }
        public var kind = Kind.alignment
        public var direction = Direction.oneWay
        /// Eq. 1; the sigmoid loss has a scale instead.
        public var temperature = LossTemperature.fixed(0.07)
        /// Of the sigmoid loss, at the start: what cosines are multiplied by; nil for the encoder's own, or 10 (SigLIP's).
        public var scale: Double?
        /// Of the sigmoid loss, at the start: what is added then; nil for the encoder's own, or -10 (SigLIP's).
        public var bias: Double?
        /// Whether scale and bias are trained, as SigLIP's are.
        public var trainScale = true
        /// Weight of the contrast between generated images and text, Sec. 3.1; 0 leaves it out (ours).
        public var generatedTextWeight = 0.0
        /// Weight of the contrast between real images and text, Sec. 3.1; 0 leaves it out (ours).
        public var realTextWeight = 0.0
        /// τ of the terms with text; nil is `temperature` (ours).
        public var textTemperature: Double?
        /// Of the terms with text: the share of each target that is spread over the batch, as Long-CLIP's authors do.
        public var labelSmoothing = 0.0
        /// Weight of Long-CLIP's second contrast: generated images, reduced to their principal components, with the first
        /// sentence of the caption; 0 leaves it out.
        public var shortCaptionWeight = 0.0
        /// Components that are kept (Long-CLIP's authors: 32).
        public var principalComponents = 32

        public init() {}
    }

    public struct TextSettings: Sendable, Equatable {
        /// Whether the text encoder's positions from 20 on are trained, as Long-CLIP's authors do.
        public var trainPositions = false
        /// Of the positions; nil is the adapter's.
        public var learningRate: Double?

        public init() {}
    }

    /// Table 12 and Sec. 4 where the paper gives a number; the rest is ours.
    static let trainingDefaults: TrainingSettings = {
        var training = TrainingSettings(steps: 60_000, batchSize: 256, learningRate: 1e-4, schedule: .cosineRestarts)
        training.weightDecay = 0.01
        training.keepCheckpoints = 3
        return training
    }()

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
    public func validate(source: String) throws {
        let check = RecipeCheck(source: source)
        try check(
            (0...1).contains(data.maximumSkippedShare), "data.maximumSkippedShare", "0...1", data.maximumSkippedShare)
        try check.range("adapter.rank", adapter.rank, 1...100_000)
        try check.positive("adapter.alpha", adapter.alpha)
        try check((0..<1).contains(adapter.dropout), "adapter.dropout", "0 up to but not 1", adapter.dropout)
        try check(
            adapter.kind != .lora || adapter.targets?.isEmpty != true, "adapter.targets",
            "at least one layer name, or null for the encoder's own", "none")
        try check.range("projection.dimension", projection.dimension ?? 1, 1...1_000_000)
        try check(
            (projection.learningRate ?? 1) > 0, "projection.learningRate",
            "a positive number, or null for the adapter's", projection.learningRate ?? 0)
        try check.positive("loss.temperature", loss.temperature.value ?? 1)
        try check(
            loss.temperature != .calibrated || (loss.kind == .alignment && data.images == .generated),
            "loss.temperature", "a number: only an alignment of generated images has pairs to calibrate it on",
            "calibrated")
        try check.positive("loss.scale", loss.scale ?? 1)
        try check(loss.bias?.isFinite ?? true, "loss.bias", "a finite number, or null", loss.bias ?? 0)
        try check.atLeast0("loss.generatedTextWeight", loss.generatedTextWeight)
        try check.atLeast0("loss.realTextWeight", loss.realTextWeight)
        try check.positive("loss.textTemperature", loss.textTemperature ?? 1)
        try check(
            (0..<1).contains(loss.labelSmoothing), "loss.labelSmoothing", "0 up to but not 1", loss.labelSmoothing)
        try check.atLeast0("loss.shortCaptionWeight", loss.shortCaptionWeight)
        try check.range("loss.principalComponents", loss.principalComponents, 1...1_000_000)
        try check(
            loss.shortCaptionWeight == 0 || training.batchSize >= loss.principalComponents + 2, "training.batchSize",
            "at least \(loss.principalComponents + 2): fewer pairs have no more than the \(loss.principalComponents) principal "
                + "components that loss.shortCaptionWeight keeps", training.batchSize)
        try check.positive("text.learningRate", text.learningRate ?? 1)
        try check(
            !text.trainPositions || loss.kind == .mixed
                || [loss.generatedTextWeight, loss.realTextWeight, loss.shortCaptionWeight].contains { $0 > 0 },
            "text.trainPositions", "false, or a loss with text: loss.generatedTextWeight or another above 0", true)
        try training.validate(check, leastSteps: trainsSomething ? 1 : 0)
        try check(training.precision != .float16, "training.precision", "auto, float32 or bfloat16", "float16")
        let hasWeights = adapter.kind != .none || projection.kind != .none
        try check(
            !trainsSomething || hasWeights, "adapter.kind", "lora or full, or a projection: something to train", "none")
        try check(
            training.batchSize > 1 || !trainsSomething, "training.batchSize",
            "at least 2: the other pairs of the batch are the negatives", training.batchSize)
        if loss.kind.closedForm != nil { try validateClosedForm(check) }
    }

    /// A closed form is one step on all pairs, and its result is the projection for generated images.
    private func validateClosedForm(_ check: RecipeCheck) throws {
        let why = "because loss.kind is \(loss.kind.rawValue)"
        try check(training.steps == 1, "training.steps", "1, \(why)", training.steps ?? 0)
        try check(adapter.kind == .none, "adapter.kind", "none, \(why)", adapter.kind.rawValue)
        try check(projection.kind == .linear, "projection.kind", "linear, \(why)", projection.kind.rawValue)
        try check(!projection.batchNormalization, "projection.batchNormalization", "false, \(why)", true)
        try check(projection.dimension == nil, "projection.dimension", "null, \(why)", projection.dimension ?? 0)
        try check(data.images == .generated, "data.images", "generated, \(why)", data.images.rawValue)
        for (key, weight) in [
            ("loss.generatedTextWeight", loss.generatedTextWeight), ("loss.realTextWeight", loss.realTextWeight),
        ] { try check(weight == 0, key, "0, \(why)", weight) }
    }

    /// Whether a run of it changes any weight; rows of the paper without alignment do not.
    public var trainsSomething: Bool {
        loss.kind != .none
            || [loss.generatedTextWeight, loss.realTextWeight, loss.shortCaptionWeight].contains { $0 > 0 }
    }
}
