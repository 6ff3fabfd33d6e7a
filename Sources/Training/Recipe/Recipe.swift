// What all kinds of recipes have in common. A recipe is a value that is read from YAML strictly, key by key; the same
// table of fields serves reading, overriding, writing and suggesting.

/// All settings of one kind of run, named key by key in YAML.
public protocol Recipe: Sendable, Equatable {
    /// The defaults.
    init()

    var name: String { get set }
    var paper: PaperReference { get set }

    /// Every key, in the order in which recipes are written.
    static var fields: [RecipeField<Self>] { get }

    /// The files that come with the program, by recipe name.
    static var shipped: [String: [UInt8]] { get }

    /// Keys that may change when a run is resumed: its name, how often it is saved, and its length where the schedule
    /// allows it.
    var freeKeys: Set<String> { get }

    /// What a key is for, if this recipe has no use for it; nil for keys that count. Keys without use are neither
    /// accepted nor written.
    func foreignKind(of key: String) -> String?

    /// Checks how the values fit together.
    /// - Throws: ``TrainingError``.
    func validate(source: String) throws
}

extension Recipe {
    public func foreignKind(of key: String) -> String? { nil }

    /// Names of the recipes that come with the program, sorted.
    public static var shippedNames: [String] { shipped.keys.sorted() }

    /// Every key that a recipe may set.
    public static var knownKeys: [String] { fields.map(\.key) }

    /// Keys that contain other keys.
    static var sections: Set<String> {
        Set(fields.map(\.key).filter { $0.contains(".") }.map { String($0.prefix { $0 != "." }) })
    }

    /// Keys in which two recipes differ.
    public func differences(from other: Self) -> [String] {
        Self.fields.filter { field in
            let counts = foreignKind(of: field.key) == nil || other.foreignKind(of: field.key) == nil
            return counts && field.write(self) != field.write(other)
        }.map(\.key)
    }
}

/// The place of a recipe in the paper.
public struct PaperReference: Sendable, Equatable {
    public var table: String?
    public var row: String?
    /// The published numbers by metric, in the table's order.
    public var numbers: [PaperNumber] = []

    public init() {}
}

public struct PaperNumber: Sendable, Equatable {
    public let metric: String
    public let value: Double

    public init(metric: String, value: Double) {
        self.metric = metric
        self.value = value
    }
}
