// LoRA: Low-Rank Adaptation of Large Language Models (Hu et al. 2021, arXiv 2106.09685).
// DoRA: Weight-Decomposed Low-Rank Adaptation (Liu et al. 2024, arXiv 2402.09353).

/// Which modules get a low-rank update, and how large it is.
///
/// A layer `y = x·Wᵀ + bias` becomes `y = x·Wᵀ + bias + scale · dropout(x)·Aᵀ·Bᵀ` with `A` `[r, in]` and `B` `[out, r]`
/// trained and `W` frozen.
public struct LoRAConfiguration: Sendable, Equatable {
    /// Rows of `A` and columns of `B`; `r` in PEFT.
    public var rank: Int
    /// `lora_alpha`: numerator of the scale.
    public var alpha: Double
    /// Probability with which an input of the low-rank branch is zeroed in training; `lora_dropout`.
    public var dropout: Double
    /// Scale `alpha / √rank` (Kalajdzievski 2023, arXiv 2312.03732) instead of `alpha / rank`; `use_rslora`.
    public var isRankStabilized: Bool
    public var targets: LoRATargets

    /// Targeted modules that get no update all the same; `exclude_modules`.
    public var exclusions: LoRATargets?
    /// The blocks whose modules get an update; nil means all.
    public var layers: LoRALayerChoice?
    /// Other ranks and alphas for modules whose path ends in what a pattern matches; the first pattern that matches
    /// counts.
    public var rankPattern: [PatternValue<Int>] = []
    public var alphaPattern: [PatternValue<Double>] = []

    // The following settings are read and computed, but not trained here.

    /// Whether every output of an updated weight has its own magnitude; `use_dora`.
    public var usesDoRA = false
    /// Which biases of the model were trained too.
    public var bias = LoRABias.none
    /// Whether `B` has a bias of its own; `lora_bias`.
    public var hasUpdateBias = false
    /// Modules that are stored as a whole; `modules_to_save`.
    public var savedModules: [String] = []

    /// - Parameter alpha: nil means `rank`, a scale of 1.
    public init(
        rank: Int = 4, alpha: Double? = nil, dropout: Double = 0, isRankStabilized: Bool = false,
        targets: LoRATargets = .attention
    ) {
        self.rank = rank
        self.alpha = alpha ?? Double(rank)
        self.dropout = dropout
        self.isRankStabilized = isRankStabilized
        self.targets = targets
    }

    /// Factor on `B·A` for modules that no pattern names.
    public var scale: Double {
        alpha / (isRankStabilized ? Double(rank).squareRoot() : Double(rank))
    }

    /// - Throws: `AdapterError.invalidSetting`, `.invalidPattern` for settings that no adapter can have.
    public func validate() throws {
        func require(_ holds: Bool, _ setting: String, _ expected: String, _ got: String) throws {
            if !holds { throw AdapterError.invalidSetting(setting: setting, expected: expected, got: got) }
        }
        for rank in [rank] + rankPattern.map(\.value) {
            try require(rank > 0, "rank", "a whole number above 0", "\(rank)")
        }
        for alpha in [alpha] + alphaPattern.map(\.value) {
            try require(alpha.isFinite && alpha >= 0, "alpha", "a number of at least 0", "\(alpha)")
        }
        try require(dropout >= 0 && dropout < 1, "dropout", "a number in [0, 1)", "\(dropout)")
        _ = try Selection(self)
    }

    /// What the adapter has that can be used but not trained here; nil if there is nothing of the kind.
    var fixedPart: String? {
        if usesDoRA { return "DoRA's magnitudes (use_dora)" }
        if bias != .none { return "biases of the model (bias)" }
        if hasUpdateBias { return "biases of its updates (lora_bias)" }
        return savedModules.isEmpty ? nil : "whole modules (modules_to_save)"
    }
}

/// A value for the modules that a Python regular expression matches; an entry of `rank_pattern` or `alpha_pattern`.
public struct PatternValue<Value: Sendable & Equatable>: Sendable, Equatable {
    public var pattern: String
    public var value: Value

    public init(_ pattern: String, _ value: Value) {
        self.pattern = pattern
        self.value = value
    }
}

/// Blocks of a stack, by index; `layers_to_transform` and `layers_pattern`.
public struct LoRALayerChoice: Sendable, Equatable {
    public var indices: [Int]
    /// Names of the stacks, such as `layers` or `h`; empty means any.
    public var stacks: [String]

    public init(_ indices: [Int], stacks: [String] = []) {
        self.indices = indices
        self.stacks = stacks
    }
}

/// PEFT's `bias`: which biases of the model an adapter contains.
public enum LoRABias: String, Sendable, Equatable, CaseIterable {
    case none
    /// Those of every module.
    case all
    /// Those of the modules that get an update.
    case updated = "lora_only"
}
