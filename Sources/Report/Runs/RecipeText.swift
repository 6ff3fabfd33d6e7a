import Foundation
import Training
import Yams

/// A run's `recipe.yaml` as keys and texts, whatever kind of run it was.
///
/// The typed recipes know only their own keys, but a report compares recipes of several kinds and of earlier versions.
public struct RecipeText: Sendable, Equatable {
    /// A leaf: its dotted key, and its value in YAML's flow style.
    public struct Entry: Sendable, Equatable {
        public let key: String
        public let value: String
    }

    /// The published numbers for the row of the paper's tables that the recipe follows.
    public struct Published: Sendable, Equatable {
        public let table: String?
        public let row: String?
        /// In the recipe's order.
        public let numbers: [(metric: String, value: Double)]

        public static func == (a: Published, b: Published) -> Bool {
            a.table == b.table && a.row == b.row && a.numbers.count == b.numbers.count
                && zip(a.numbers, b.numbers).allSatisfy { $0.metric == $1.metric && $0.value == $1.value }
        }
    }

    /// The file's text.
    public let source: String
    /// The keys without `name`, `description` and `paper`, which do not affect the computation.
    public let entries: [Entry]
    public let name: String?
    public let description: String?
    public let published: Published?

    public subscript(key: String) -> String? { entries.first { $0.key == key }?.value }

    /// Names of the sections; recipes of the same kind have the same ones.
    var sections: Set<String> { Set(entries.map { String($0.key.prefix { $0 != "." }) }) }

    /// - Throws: ``ReportError/brokenRecipe(path:line:reason:)``.
    public init(yaml: String, path: String) throws {
        source = yaml
        let root: Node?
        do {
            root = try YAMLText.compose(yaml)
        } catch {
            throw ReportError.brokenRecipe(path: path, line: error.line, reason: error.reason)
        }
        guard let root, case .mapping(let mapping) = root else {
            throw ReportError.brokenRecipe(path: path, line: nil, reason: "expected a mapping of settings")
        }
        var leaves: [Entry] = []
        Self.flatten(mapping, prefix: "", into: &leaves)
        entries = leaves.filter { !["name", "description"].contains($0.key) && !$0.key.hasPrefix("paper.") }
        name = mapping["name"]?.text
        description = mapping["description"]?.text
        published = try Self.published(mapping["paper"], path: path)
    }

    private static func published(_ node: Node?, path: String) throws -> Published? {
        guard case .mapping(let paper)? = node, case .mapping(let numbers)? = paper["numbers"], !numbers.isEmpty else {
            return nil
        }
        return Published(
            table: paper["table"]?.text, row: paper["row"]?.text,
            numbers: try numbers.map { key, value in
                guard let metric = key.text, let text = value.text, let number = Double(text), number.isFinite else {
                    throw ReportError.brokenRecipe(
                        path: path, line: value.mark?.line, reason: "paper.numbers: expected metric names with numbers")
                }
                return (metric, number)
            })
    }

    private static func flatten(_ mapping: Node.Mapping, prefix: String, into leaves: inout [Entry]) {
        for (key, value) in mapping {
            let name = prefix + (key.text ?? "?")
            if case .mapping(let inner) = value, !inner.isEmpty {
                flatten(inner, prefix: name + ".", into: &leaves)
            } else {
                leaves.append(Entry(key: name, value: value.flow))
            }
        }
    }
}

extension Node {
    /// A scalar's text; nil for null and for everything else.
    fileprivate var text: String? {
        guard case .scalar(let scalar) = self else { return nil }
        return scalar.style == .plain && ["", "~", "null"].contains(scalar.string) ? nil : scalar.string
    }

    fileprivate var flow: String {
        switch self {
        case .scalar: text ?? "null"
        case .sequence(let sequence): "[" + sequence.map(\.flow).joined(separator: ", ") + "]"
        case .mapping(let mapping):
            "{" + mapping.map { "\($0.key.flow): \($0.value.flow)" }.joined(separator: ", ") + "}"
        case .alias: "*"
        }
    }
}

/// The keys in which recipes differ, with each recipe's value.
public struct RecipeDifferences: Sendable, Equatable {
    public struct Row: Sendable, Equatable {
        public let key: String
        /// One value per recipe; nil where the recipe has no such key.
        public let values: [String?]
    }

    /// In the order in which the recipes name the keys.
    public let rows: [Row]

    public init(_ recipes: [RecipeText]) {
        var keys: [String] = []
        var known = Set<String>()
        for recipe in recipes {
            var last: Int?
            for entry in recipe.entries {
                if known.insert(entry.key).inserted {
                    // A key that only a later recipe has is placed after the key that it follows there.
                    keys.insert(entry.key, at: last.map { $0 + 1 } ?? keys.count)
                }
                last = keys.firstIndex(of: entry.key)
            }
        }
        rows = keys.compactMap { key in
            let values = recipes.map { $0[key] }
            return Set(values).count > 1 ? Row(key: key, values: values) : nil
        }
    }
}
