/// Checks the values of a recipe; errors name the recipe.
public struct RecipeCheck: Sendable {
    /// The recipe's name in errors.
    public let source: String

    public init(source: String) { self.source = source }

    /// - Throws: ``TrainingError/recipeValue(source:key:expected:got:)`` unless `holds` is true.
    public func callAsFunction(_ holds: Bool, _ key: String, _ expected: String, _ got: Any) throws(TrainingError) {
        guard holds else { throw .recipeValue(source: source, key: key, expected: expected, got: "\(got)") }
    }

    public func range(_ key: String, _ value: Int, _ range: ClosedRange<Int>) throws(TrainingError) {
        let expected =
            range.upperBound >= 1_000_000_000
            ? "at least \(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
        try self(range.contains(value), key, expected, value)
    }

    public func positive(_ key: String, _ value: Double) throws(TrainingError) {
        try self(value > 0 && value.isFinite, key, "a positive number", value)
    }

    public func atLeast0(_ key: String, _ value: Double) throws(TrainingError) {
        try self(value >= 0 && value.isFinite, key, "0 or more", value)
    }
}

/// A setting with an impossible value, found where no recipe is known.
public struct SettingError: Error, Equatable, Sendable, CustomStringConvertible {
    public let setting: String
    public let expected: String
    public let got: String

    public init(_ setting: String, expected: String, got: String) {
        self.setting = setting
        self.expected = expected
        self.got = got
    }

    public var description: String { "setting '\(setting)' is \(got), expected \(expected)" }

    /// - Throws: the error unless `holds` is true.
    package static func require(
        _ holds: Bool, _ setting: String, _ expected: String, _ got: Any
    ) throws(SettingError) {
        guard holds else { throw SettingError(setting, expected: expected, got: "\(got)") }
    }
}
