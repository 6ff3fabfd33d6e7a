/// The checks of a recipe's values, each with the recipe's name in its error.
public struct RecipeCheck: Sendable {
    /// What errors call the recipe.
    public let source: String

    public init(source: String) { self.source = source }

    /// - Throws: ``TrainingError/recipeValue(source:key:expected:got:)`` unless `holds`.
    public func callAsFunction(_ holds: Bool, _ key: String, _ expected: String, _ got: Any) throws(TrainingError) {
        guard holds else { throw .recipeValue(source: source, key: key, expected: expected, got: "\(got)") }
    }

    public func range(_ key: String, _ value: Int, _ range: ClosedRange<Int>) throws(TrainingError) {
        // A bound that nobody means is told to those who are beyond it.
        let expected =
            range.upperBound >= 1_000_000_000 && value <= range.upperBound
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

/// A setting with a value that it cannot have, found where no recipe stands behind it.
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

    /// - Throws: the error unless `holds`.
    package static func require(
        _ holds: Bool, _ setting: String, _ expected: String, _ got: Any
    ) throws(SettingError) {
        guard holds else { throw SettingError(setting, expected: expected, got: "\(got)") }
    }
}
