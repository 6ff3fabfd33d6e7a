import Files
import Yams

/// Reads YAML within the bounds of a recipe. Every reader of YAML in this package calls it.
package enum YAMLText {
    /// How many values a document may unfold to. Aliases share a node in the file and repeat it in the value, so a few
    /// lines can stand for more values than there is time to read.
    static let largestSize = 100_000
    /// Bytes of a document; the shipped recipes have one thousandth of it.
    package static let largestFile = 1 << 20

    /// Why a document cannot be used: one line, without the document's own text.
    package struct Failure: Error, Equatable {
        /// From 1; nil where the whole document is meant.
        package let line: Int?
        package let column: Int?
        package let reason: String

        /// With the place before it.
        package var text: String {
            guard let line else { return reason }
            return "line \(line)" + (column.map { ", column \($0)" } ?? "") + ": " + reason
        }

        init(line: Int? = nil, column: Int? = nil, _ reason: String) {
            self.line = line
            self.column = column
            self.reason = reason
        }
    }

    /// The text of a file: regular, small, UTF-8, without its byte-order mark.
    /// - Throws: `FileError`; ``Failure``.
    package static func read(_ path: String) throws -> String {
        let bytes = try RegularFile.bytes(path, atMost: largestFile)
        try PlaceholderFile.refuse(bytes, path: path)
        return try text(bytes)
    }

    /// - Throws: ``Failure`` for what is not UTF-8.
    package static func text(_ bytes: [UInt8]) throws(Failure) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Failure("it is not UTF-8") }
        return text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
    }

    /// The document; nil for an empty one.
    package static func compose(_ yaml: String) throws(Failure) -> Node? {
        guard yaml.utf8.count <= largestFile else {
            throw Failure("\(yaml.utf8.count) bytes are no recipe; at most \(largestFile) are read")
        }
        let root: Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch {
            throw failure(error, yaml)
        }
        guard let root else { return nil }
        var waiting = [root]
        var count = 0
        while let node = waiting.popLast() {
            count += 1
            guard count <= largestSize else {
                throw Failure("it unfolds to more than \(largestSize) values; write it without aliases")
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

    private static func failure(_ error: any Error, _ yaml: String) -> Failure {
        guard let error = error as? YamlError else { return Failure("it cannot be read as YAML") }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            let line = TextLines(Array(yaml.utf8), path: "").first { $0.number == mark.line }?.bytes ?? []
            let indent = line.prefix { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            return Failure(
                line: mark.line, column: mark.column,
                indent.contains(UInt8(ascii: "\t")) ? "a tab; YAML is indented with spaces" : problem)
        case .duplicatedKeysInMapping(let duplicates, _):
            let keys = duplicates.prefix(5).map { "'\($0.description.prefix(100))'" }.joined(separator: ", ")
            return Failure("the key \(keys) stands twice in one mapping")
        case .reader(let problem, _, _, _): return Failure(problem)
        default: return Failure("it cannot be read as YAML")
        }
    }
}
