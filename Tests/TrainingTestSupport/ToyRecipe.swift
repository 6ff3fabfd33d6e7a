import Training

/// A recipe of a few keys, for tests of what every recipe has in common.
public struct ToyRecipe: Recipe {
    public var name = "unnamed"
    public var paper = PaperReference()
    public var rank = 4
    public var targets: [String]?
    public var training = TrainingSettings(steps: 20, batchSize: 4, learningRate: 0.1, schedule: .cosineRestarts)

    public init() {}

    public static var fields: [RecipeField<ToyRecipe>] {
        [RecipeField("name", \.name)] + RecipeField.paper + [
            RecipeField("adapter.rank", \.rank), RecipeField("adapter.targets", \.targets),
        ] + RecipeField.training(\.training, omitting: ["averageDecay"])
    }

    public static let shipped: [String: [UInt8]] = [
        "toy": Array("name: toy\npaper: {table: Table 1, numbers: {CIDEr: 1.5}}\nadapter: {rank: 2}\n".utf8)
    ]

    public var freeKeys: Set<String> { training.freeKeys.union(["name", "paper.table", "paper.row", "paper.numbers"]) }

    public func validate(source: String) throws { try training.validate(RecipeCheck(source: source)) }
}
