// The one table of recipe keys. Reading, overriding, writing and suggesting all use it, so none can know other keys.

import Yams

/// One leaf of a recipe: its dotted key, and how its value is converted between YAML and the struct.
public struct RecipeField<R: Recipe>: Sendable {
    public let key: String
    let expectation: String
    /// Puts the node's value into the recipe; false if it is of another type.
    let read: @Sendable (Node, inout R) -> Bool
    let write: @Sendable (R) -> String

    package init<Value: RecipeValue>(_ key: String, _ path: WritableKeyPath<R, Value> & Sendable) {
        self.init(key, Value.self, { $0[keyPath: path] }, { $0[keyPath: path] = $1 })
    }

    package init<Value>(choice key: String, _ path: WritableKeyPath<R, Value> & Sendable)
    where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
        self.init(key, Choice<Value>.self, { Choice(value: $0[keyPath: path]) }, { $0[keyPath: path] = $1.value })
    }

    package init<Value: RecipeValue>(
        _ key: String, _ type: Value.Type, _ get: @escaping @Sendable (R) -> Value,
        _ set: @escaping @Sendable (inout R, Value) -> Void
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

extension RecipeField {
    /// `paper.table`, `paper.row`, `paper.numbers`, which every recipe has.
    package static var paper: [RecipeField] {
        [
            RecipeField("paper.table", String?.self, { $0.paper.table }, { $0.paper.table = $1 }),
            RecipeField("paper.row", String?.self, { $0.paper.row }, { $0.paper.row = $1 }),
            RecipeField(
                "paper.numbers", PaperNumbers.self, { PaperNumbers(entries: $0.paper.numbers) },
                { $0.paper.numbers = $1.entries }),
        ]
    }
}
