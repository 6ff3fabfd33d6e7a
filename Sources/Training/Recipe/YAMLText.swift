import Files
import Yams

/// Reads YAML within the bounds of a recipe.
package enum YAMLText {
    /// How many values a document may unfold to. Aliases share a node in the file and repeat it in the value, so a few
    /// lines can stand for more values than there is time to read.
    static let largestSize = 100_000

    /// - Parameter source: the document's name in errors.
    /// - Throws: ``TrainingError/brokenRecipe(source:reason:)``: one line, with the place in the text.
    package static func compose(_ yaml: String, source: String) throws(TrainingError) -> Node? {
        let root: Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch {
            throw .brokenRecipe(source: source, reason: reason(error, yaml))
        }
        guard let root else { return nil }
        var waiting = [root]
        var count = 0
        while let node = waiting.popLast() {
            count += 1
            guard count <= largestSize else {
                throw .brokenRecipe(
                    source: source, reason: "it unfolds to more than \(largestSize) values; write it without aliases")
            }
            switch node {
            case .mapping(let mapping):
                for (key, value) in mapping {
                    waiting.append(key)
                    waiting.append(value)
                }
            case .sequence(let sequence): waiting += sequence
            default: break
            }
        }
        return root
    }

    private static func reason(_ error: any Error, _ yaml: String) -> String {
        guard let error = error as? YamlError else { return "\(error)".replacingOccurrences(of: "\n", with: " ") }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            let line = TextLines(Array(yaml.utf8), path: "").first { $0.number == mark.line }?.bytes ?? []
            let what =
                line.prefix { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }.contains(UInt8(ascii: "\t"))
                ? "a tab; YAML is indented with spaces" : problem
            return "line \(mark.line), column \(mark.column): \(what)"
        case .duplicatedKeysInMapping(let duplicates, _):
            return "the key \(duplicates.map { "'\($0)'" }.joined(separator: ", ")) stands twice in one mapping"
        case .reader(let problem, _, _, _): return problem
        default: return "it cannot be read as YAML"
        }
    }
}
