// The values that a recipe's leaf may have, and how they are read from and written as YAML.

import Foundation
import Yams

/// A value that a recipe field can have.
package protocol RecipeValue: Sendable {
    /// The kind in errors: "should be …".
    static var expectation: String { get }
    /// nil if the node is something else.
    static func parse(_ node: Node) -> Self?
    /// Flow-style YAML that is read back as this value.
    var yaml: String { get }
}

extension Int: RecipeValue {
    package static var expectation: String { "a whole number" }
    package static func parse(_ node: Node) -> Int? {
        guard case .scalar(let scalar) = node, scalar.style == .plain else { return nil }
        return Int(scalar.string.replacingOccurrences(of: "_", with: ""))
    }
    package var yaml: String { "\(self)" }
}

extension Double: RecipeValue {
    package static var expectation: String { "a number" }
    package static func parse(_ node: Node) -> Double? {
        // YAML 1.1 reads 2e-4 as text (it demands a dot), but people write it, so Swift's own reader decides.
        guard case .scalar(let scalar) = node, scalar.style == .plain, scalar.string.utf8.first != UInt8(ascii: "n"),
            let value = Double(scalar.string.replacingOccurrences(of: "_", with: "")), value.isFinite
        else { return nil }
        return value
    }
    // The shortest text that is read back as the same number.
    package var yaml: String { "\(self)" }
}

extension Bool: RecipeValue {
    package static var expectation: String { "true or false" }
    package static func parse(_ node: Node) -> Bool? {
        guard case .scalar(let scalar) = node, scalar.style == .plain else { return nil }
        return scalar.string == "true" ? true : scalar.string == "false" ? false : nil
    }
    package var yaml: String { "\(self)" }
}

extension String: RecipeValue {
    package static var expectation: String { "text" }
    package static func parse(_ node: Node) -> String? {
        guard case .scalar(let scalar) = node, !node.isNull else { return nil }
        return scalar.string
    }
    /// Double-quoted, so that no text can be mistaken for another kind of value.
    package var yaml: String {
        var out = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\t": out += "\\t"
            case "\r": out += "\\r"
            default:
                if scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
                    || [0x2028, 0x2029, 0xFEFF].contains(scalar.value)
                {
                    let digits = String(scalar.value, radix: 16, uppercase: true)
                    out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                } else {
                    out.unicodeScalars.append(scalar)
                }
            }
        }
        return out + "\""
    }
}

extension Array: RecipeValue where Element: RecipeValue {
    package static var expectation: String { "a list, each entry \(Element.expectation)" }
    package static func parse(_ node: Node) -> [Element]? {
        guard case .sequence(let sequence) = node else { return nil }
        var values: [Element] = []
        for entry in sequence {
            guard let value = Element.parse(entry) else { return nil }
            values.append(value)
        }
        return values
    }
    package var yaml: String { "[" + map(\.yaml).joined(separator: ", ") + "]" }
}

extension Optional: RecipeValue where Wrapped: RecipeValue {
    package static var expectation: String { Wrapped.expectation + ", or null" }
    package static func parse(_ node: Node) -> Wrapped?? {
        if node.isNull { return .some(nil) }
        guard let value = Wrapped.parse(node) else { return nil }
        return .some(value)
    }
    package var yaml: String { self?.yaml ?? "null" }
}

/// The published numbers: a mapping whose keys are metrics.
package struct PaperNumbers: RecipeValue {
    var entries: [PaperNumber]

    package static var expectation: String { "a mapping of metric names to numbers" }
    package static func parse(_ node: Node) -> PaperNumbers? {
        guard case .mapping(let mapping) = node else { return nil }
        var entries: [PaperNumber] = []
        for (key, value) in mapping {
            guard let metric = String.parse(key), let number = Double.parse(value) else { return nil }
            entries.append(.init(metric: metric, value: number))
        }
        return PaperNumbers(entries: entries)
    }
    package var yaml: String {
        "{" + entries.map { "\($0.metric.yaml): \($0.value.yaml)" }.joined(separator: ", ") + "}"
    }
}

/// A number, or one word that stands for a number to be found.
package protocol NumberOrWord: RecipeValue {
    static var word: String { get }
    /// - Parameter number: nil for the word.
    init(number: Double?)
    var number: Double? { get }
}

extension NumberOrWord {
    package static var expectation: String { "a number, or \(word)" }
    package static func parse(_ node: Node) -> Self? {
        if String.parse(node) == word { return Self(number: nil) }
        return Double.parse(node).map { Self(number: $0) }
    }
    package var yaml: String { number?.yaml ?? Self.word }
}

/// The cases of a settings enum, by name.
package struct Choice<Value: RawRepresentable & CaseIterable & Sendable>: RecipeValue where Value.RawValue == String {
    package var value: Value

    package init(value: Value) { self.value = value }

    package static var expectation: String {
        "one of " + Value.allCases.map(\.rawValue).joined(separator: ", ")
    }
    package static func parse(_ node: Node) -> Choice? {
        guard case .scalar(let scalar) = node, let value = Value(rawValue: scalar.string) else { return nil }
        return Choice(value: value)
    }
    package var yaml: String { value.rawValue }
}

extension Node {
    var isNull: Bool {
        guard case .scalar(let scalar) = self, scalar.style == .plain else { return false }
        return ["", "~", "null"].contains(scalar.string)
    }

    /// The kind of the node, in the words of an error message.
    var kindText: String {
        switch self {
        case .scalar(let scalar): isNull ? "null" : "'\(scalar.string)'"
        case .mapping: "a mapping"
        case .sequence: "a list"
        default: "an alias"
        }
    }
}
