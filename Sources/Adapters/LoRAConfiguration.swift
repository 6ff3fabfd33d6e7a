// LoRA: Low-Rank Adaptation of Large Language Models (Hu et al. 2021, arXiv 2106.09685).

/// Which linear layers get a low-rank update, and how large it is.
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

    /// - Parameter alpha: nil is `rank`, a scale of 1.
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

    /// Factor on `B·A`.
    public var scale: Double {
        alpha / (isRankStabilized ? Double(rank).squareRoot() : Double(rank))
    }

    /// - Throws: `AdapterError.invalidSetting` for numbers that no adapter can have.
    public func validate() throws {
        func require(_ holds: Bool, _ setting: String, _ expected: String, _ got: String) throws {
            if !holds { throw AdapterError.invalidSetting(setting: setting, expected: expected, got: got) }
        }
        try require(rank > 0, "rank", "a whole number above 0", "\(rank)")
        try require(alpha.isFinite, "alpha", "a finite number", "\(alpha)")
        try require(dropout >= 0 && dropout < 1, "dropout", "a number in [0, 1)", "\(dropout)")
        _ = try targets.matcher()
    }
}

/// The linear layers that an adapter changes, named as PEFT's `target_modules` names them.
public enum LoRATargets: Sendable, Equatable {
    /// Layers whose path is one of the names or ends in `.name`; with `prefix`, only those below that module.
    case names([String], prefix: String?)
    /// Layers whose whole path matches a regular expression.
    case pattern(String)

    /// Query, key, value and output of every attention block of the image tower.
    public static let attention = LoRATargets.names(["q_proj", "k_proj", "v_proj", "out_proj"], prefix: "vision_model")

    /// A predicate on module paths.
    /// - Throws: `AdapterError` for an empty list or a pattern that is no regular expression.
    func matcher() throws -> (String) throws -> Bool {
        switch self {
        case .names(let names, let prefix):
            guard !names.isEmpty, names.allSatisfy({ !$0.isEmpty }) else {
                throw AdapterError.invalidSetting(
                    setting: "target modules", expected: "at least one name, none of them empty", got: "\(names)")
            }
            let endings = names.map { ".\($0)" }
            return { path in
                if let prefix, !prefix.isEmpty, !path.hasPrefix(prefix + ".") { return false }
                return names.contains(path) || endings.contains { path.hasSuffix($0) }
            }
        case .pattern(let pattern):
            let regex: Regex<AnyRegexOutput>
            do {
                regex = try Regex(pattern)
            } catch {
                throw AdapterError.invalidPattern(pattern: pattern, reason: "\(error)")
            }
            return { path in try regex.wholeMatch(in: path) != nil }
        }
    }
}

extension LoRATargets: CustomStringConvertible {
    public var description: String {
        switch self {
        case .names(let names, nil): "[\(names.joined(separator: ", "))]"
        case .names(let names, let prefix?): "[\(names.joined(separator: ", "))] below '\(prefix)'"
        case .pattern(let pattern): "the pattern '\(pattern)'"
        }
    }
}
