// The one table of recipe keys: reading, overriding, writing and suggesting all go by it, so none can know other keys.

import Yams

/// One leaf of a recipe: its dotted key and how it moves between YAML and the struct.
struct RecipeField: Sendable {
    let key: String
    let expectation: String
    /// Puts the node's value into the recipe; false when it is of another type.
    let read: @Sendable (Node, inout AlignmentRecipe) -> Bool
    let write: @Sendable (AlignmentRecipe) -> String

    init<Value: RecipeValue>(_ key: String, _ path: WritableKeyPath<AlignmentRecipe, Value> & Sendable) {
        self.init(key, Value.self, { $0[keyPath: path] }, { $0[keyPath: path] = $1 })
    }

    init<Value>(choice key: String, _ path: WritableKeyPath<AlignmentRecipe, Value> & Sendable)
    where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
        self.init(key, Choice<Value>.self, { Choice(value: $0[keyPath: path]) }, { $0[keyPath: path] = $1.value })
    }

    init<Value: RecipeValue>(
        _ key: String, _ type: Value.Type, _ get: @escaping @Sendable (AlignmentRecipe) -> Value,
        _ set: @escaping @Sendable (inout AlignmentRecipe, Value) -> Void
    ) {
        self.key = key
        expectation = Value.expectation
        read = { node, recipe in
            guard let value = Value.parse(node) else { return false }
            set(&recipe, value)
            return true
        }
        write = { get($0).yaml }
    }
}

extension AlignmentRecipe {
    /// In the order in which recipes are written.
    static let fields: [RecipeField] = [
        RecipeField("name", \.name),
        RecipeField("description", \.description),
        RecipeField("paper.table", \.paper.table),
        RecipeField("paper.row", \.paper.row),
        RecipeField(
            "paper.numbers", PaperNumbers.self, { PaperNumbers(entries: $0.paper.numbers) },
            { $0.paper.numbers = $1.entries }),
        RecipeField(choice: "data.images", \.data.images),
        RecipeField("data.maximumSkippedShare", \.data.maximumSkippedShare),
        RecipeField(choice: "adapter.kind", \.adapter.kind),
        RecipeField("adapter.rank", \.adapter.rank),
        RecipeField("adapter.alpha", \.adapter.alpha),
        RecipeField("adapter.dropout", \.adapter.dropout),
        RecipeField("adapter.targets", \.adapter.targets),
        RecipeField(choice: "projection.kind", \.projection.kind),
        RecipeField("projection.batchNormalization", \.projection.batchNormalization),
        RecipeField("projection.dimension", \.projection.dimension),
        RecipeField(choice: "loss.kind", \.loss.kind),
        RecipeField(choice: "loss.direction", \.loss.direction),
        RecipeField("loss.temperature", \.loss.temperature),
        RecipeField("loss.generatedTextWeight", \.loss.generatedTextWeight),
        RecipeField("loss.realTextWeight", \.loss.realTextWeight),
        RecipeField("training.steps", \.training.steps),
        RecipeField("training.epochs", \.training.epochs),
        RecipeField("training.batchSize", \.training.batchSize),
        RecipeField("training.microBatchSize", \.training.microBatchSize),
        RecipeField("training.learningRate", \.training.learningRate),
        RecipeField("training.weightDecay", \.training.weightDecay),
        RecipeField("training.restartPeriod", \.training.restartPeriod),
        RecipeField("training.restartMultiplier", \.training.restartMultiplier),
        RecipeField("training.warmupSteps", \.training.warmupSteps),
        RecipeField("training.clipNorm", \.training.clipNorm),
        RecipeField(choice: "training.precision", \.training.precision),
        RecipeField("training.seed", \.training.seed),
        RecipeField("training.validationEvery", \.training.validationEvery),
        RecipeField("training.checkpointEvery", \.training.checkpointEvery),
        RecipeField("training.logEvery", \.training.logEvery),
        RecipeField("training.keepCheckpoints", \.training.keepCheckpoints),
        RecipeField(choice: "evaluation.clipFlow", \.evaluation.clipFlow),
    ]

    /// Every key that a recipe may set.
    public static var knownKeys: [String] { fields.map(\.key) }

    /// Keys under which other keys stand.
    static let sections = Set(fields.map(\.key).filter { $0.contains(".") }.map { String($0.prefix { $0 != "." }) })
}

/// The candidate with the smallest edit distance (insert, delete, substitute; case counts half), when it is near enough
/// to be a slip of the pen.
func nearest(to text: String, in candidates: [String]) -> String? {
    // In half steps, so that a wrong capital is nearer than a wrong letter.
    func distance(_ a: [Character], _ b: [Character]) -> Int {
        var row = (0...b.count).map { $0 * 2 }
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = (i + 1) * 2
            for (j, y) in b.enumerated() {
                let cost = x == y ? 0 : x.lowercased() == y.lowercased() ? 1 : 2
                let substituted = diagonal + cost
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, diagonal + 2, row[j] + 2)
            }
        }
        return row[b.count]
    }
    let target = Array(text.prefix(128))
    let ranked = candidates.map { ($0, distance(target, Array($0))) }.min { $0.1 < $1.1 }
    guard let ranked, ranked.1 <= max(4, target.count * 2 / 3) else { return nil }
    return ranked.0
}
