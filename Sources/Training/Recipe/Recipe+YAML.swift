import Files
import Foundation
import Safetensors
import Yams

extension Recipe {
    /// Reads a recipe by name or file, with overrides on top.
    /// - Parameters:
    ///   - nameOrPath: a shipped recipe's name (``shippedNames``) or the path of a YAML file; a text with a slash or a
    ///     `.yaml`/`.yml` ending is a path.
    ///   - overrides: `key=value`, checked like the file.
    /// - Throws: ``TrainingError``.
    public init(_ nameOrPath: String, overrides: [String] = []) throws {
        self = try Self.load(nameOrPath, chain: [])
        let keys = try overrides.map { try set(override: $0) }
        for (key, override) in zip(keys, overrides) {
            try requireUse(of: key, source: "--set \(abbreviated(override))")
        }
        try validate(source: overrides.isEmpty ? "recipe '\(nameOrPath)'" : "recipe '\(nameOrPath)' with --set")
    }

    /// Reads a recipe's YAML; keys that are not named keep the values of the recipe that it `extends`, or the defaults.
    /// - Parameter source: its name in errors.
    public init(yaml: String, source: String) throws {
        self = try Self.read(yaml, source: source, chain: [])
        try validate(source: source)
    }

    private static func load(_ nameOrPath: String, chain: [String]) throws -> Self {
        guard !chain.contains(nameOrPath) else { throw TrainingError.recipeCycle(names: chain + [nameOrPath]) }
        let isPath = nameOrPath.contains("/") || nameOrPath.hasSuffix(".yaml") || nameOrPath.hasSuffix(".yml")
        let source = "recipe '\(nameOrPath)'"
        let text: String
        do {
            if isPath {
                text = try YAMLText.read(nameOrPath)
            } else if let shipped = shipped[nameOrPath] {
                text = try YAMLText.text(shipped)
            } else {
                throw TrainingError.unknownRecipe(
                    name: nameOrPath, known: shippedNames, nearest: NearestName.find(nameOrPath, in: shippedNames))
            }
        } catch let failure as YAMLText.Failure {
            throw TrainingError.brokenRecipe(source: source, reason: failure.text)
        }
        return try read(text, source: source, chain: chain + [nameOrPath])
    }

    private static func read(_ yaml: String, source: String, chain: [String]) throws -> Self {
        let root: Node?
        do {
            root = try YAMLText.compose(yaml)
        } catch {
            throw TrainingError.brokenRecipe(source: source, reason: error.text)
        }
        guard let root, case .mapping(let mapping) = root else {
            throw TrainingError.brokenRecipe(
                source: source, reason: "expected a mapping, got \(root?.kindText ?? "nothing")")
        }
        var recipe = Self()
        var leaves: [(key: String, node: Node)] = []
        var base: String?
        for (keyNode, value) in mapping {
            guard let key = String.parse(keyNode) else {
                throw TrainingError.brokenRecipe(source: source, reason: "a key is \(keyNode.kindText)")
            }
            if key == "extends" {
                guard let name = String.parse(value) else {
                    throw TrainingError.recipeType(source: source, key: key, expected: "text", got: value.kindText)
                }
                base = name
            } else if sections.contains(key) {
                guard case .mapping(let section) = value else {
                    throw TrainingError.recipeType(
                        source: source, key: key, expected: "a mapping", got: value.kindText)
                }
                for (inner, node) in section {
                    leaves.append(("\(key).\(String.parse(inner) ?? inner.kindText)", node))
                }
            } else {
                leaves.append((key, value))
            }
        }
        if let base {
            recipe = try load(base, chain: chain)
            // The variant is another row of the paper.
            recipe.paper = PaperReference()
        }
        for leaf in leaves { try recipe.set(leaf.key, leaf.node, source: source) }
        // Checked when all keys are set, because the purpose of one may depend on another.
        for leaf in leaves { try recipe.requireUse(of: leaf.key, source: source) }
        return recipe
    }

    private func requireUse(of key: String, source: String) throws {
        guard let kind = foreignKind(of: key) else { return }
        throw TrainingError.recipeKeyOfAnotherKind(source: source, key: key, kind: kind)
    }

    private mutating func set(_ key: String, _ node: Node, source: String) throws {
        guard let field = Self.fields.first(where: { $0.key == key }) else {
            throw TrainingError.unknownRecipeKey(
                source: source, key: key, nearest: NearestName.find(key, in: Self.knownKeys))
        }
        guard field.read(node, &self) else {
            throw TrainingError.recipeType(
                source: source, key: key, expected: field.expectation, got: node.kindText)
        }
    }

    /// Applies one `key=value`; the value is YAML (`2e-4`, `null`, `[q_proj, v_proj]`).
    /// - Returns: the key.
    private mutating func set(override: String) throws -> String {
        guard let equals = override.firstIndex(of: "="), equals != override.startIndex else {
            throw TrainingError.badOverride(text: override)
        }
        let key = override[..<equals].trimmingCharacters(in: .whitespaces)
        let text = String(override[override.index(after: equals)...])
        let node: Node
        do {
            node = try YAMLText.compose(text) ?? Node("", Tag(.null))
        } catch {
            throw TrainingError.badOverride(text: override)
        }
        try set(key, node, source: "--set \(abbreviated(override))")
        return key
    }

    /// The whole recipe with every key, always the same text for equal recipes; reading it gives an equal recipe.
    public var yaml: String {
        var lines: [String] = []
        var section = ""
        for field in Self.fields where foreignKind(of: field.key) == nil {
            let parts = field.key.split(separator: ".", maxSplits: 1).map(String.init)
            if parts.count == 2 {
                if parts[0] != section {
                    section = parts[0]
                    lines.append("\(section):")
                }
                lines.append("  \(parts[1]): \(field.write(self))")
            } else {
                lines.append("\(field.key): \(field.write(self))")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
