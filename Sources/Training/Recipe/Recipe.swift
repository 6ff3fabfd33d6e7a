// What every kind of recipe has in common. A recipe is a value read from YAML: strictly, key by key, with the same table
// of fields for reading, overriding, writing and suggesting.

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

    /// Keys that may change when a run is resumed: what it is called, how often it is saved, its length where the schedule
    /// allows it.
    var freeKeys: Set<String> { get }

    /// What a key is for when this recipe has no use for it; nil for keys that count. Keys of no use are neither accepted
    /// nor written.
    func foreignKind(of key: String) -> String?

    /// Checks what single values cannot tell by themselves.
    /// - Throws: ``TrainingError``.
    func validate(source: String) throws
}

extension Recipe {
    public func foreignKind(of key: String) -> String? { nil }

    /// Names of the recipes that come with the program, sorted.
    public static var shippedNames: [String] { shipped.keys.sorted() }

    /// Every key that a recipe may set.
    public static var knownKeys: [String] { fields.map(\.key) }

    /// Keys under which other keys stand.
    static var sections: Set<String> {
        Set(fields.map(\.key).filter { $0.contains(".") }.map { String($0.prefix { $0 != "." }) })
    }

    /// Keys under which two recipes differ.
    public func differences(from other: Self) -> [String] {
        Self.fields.filter { field in
            let counts = foreignKind(of: field.key) == nil || other.foreignKind(of: field.key) == nil
            return counts && field.write(self) != field.write(other)
        }.map(\.key)
    }
}

/// Where a recipe stands in the paper.
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
