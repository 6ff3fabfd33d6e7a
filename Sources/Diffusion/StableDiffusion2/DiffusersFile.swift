import Foundation
import StrictJSON

/// A configuration file of a diffusers folder, asked setting by setting and strict in both directions: a value of the wrong
/// kind is an error, and so is a setting that was never asked for (`finish`), because ignoring it could change a picture.
///
/// `null` counts as absent, as diffusers writes it for settings that keep their default.
final class DiffusersFile {
    let path: String
    private let members: [JSONMember]
    private var asked: Set<String> = []

    init(_ path: String) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw DiffusionError.unreadable(file: path, reason: "cannot be read")
        }
        let value: JSONValue
        do {
            value = try StrictJSON.parse([UInt8](data))
        } catch {
            throw DiffusionError.unreadable(file: path, reason: "is no JSON: \(error)")
        }
        guard let members = value.members else {
            throw DiffusionError.unreadable(file: path, reason: "is no JSON object but \(value.kind)")
        }
        self.path = path
        self.members = members
    }

    private func read<Result>(_ key: String, _ expected: String, _ convert: (JSONValue) -> Result?) throws -> Result? {
        asked.insert(key)
        guard let found = members.first(where: { $0.key == key })?.value, found != .null else { return nil }
        guard let result = convert(found) else { throw invalid(key, expected: expected, got: Self.text(found)) }
        return result
    }

    func invalid(_ key: String, expected: String, got: String) -> DiffusionError {
        .invalidValue(file: path, key: key, expected: expected, got: got)
    }

    func integer(_ key: String, in range: ClosedRange<Int>, default fallback: Int) throws -> Int {
        try read(key, Self.words(range)) { value in
            value.integer.flatMap { range.contains($0) ? $0 : nil }
        } ?? fallback
    }

    func double(_ key: String, default fallback: Double) throws -> Double {
        try read(key, "a number") { $0.double } ?? fallback
    }

    func bool(_ key: String, default fallback: Bool) throws -> Bool {
        try read(key, "true or false") { $0.bool } ?? fallback
    }

    func string(_ key: String) throws -> String? { try read(key, "a string") { $0.string } }

    func strings(_ key: String) throws -> [String]? {
        try read(key, "an array of strings") { value in
            guard let values = value.array else { return nil }
            let strings = values.compactMap(\.string)
            return strings.count == values.count ? strings : nil
        }
    }

    /// One number, or one for each block.
    func integers(_ key: String, in range: ClosedRange<Int>, count: Int, default fallback: Int) throws -> [Int] {
        let expected = "\(Self.words(range)), or an array of \(count) of them"
        return try read(key, expected) { value in
            if let one = value.integer, range.contains(one) { return Array(repeating: one, count: count) }
            let numbers = (value.array ?? []).compactMap(\.integer).filter(range.contains)
            return numbers.count == count && value.array?.count == count ? numbers : nil
        } ?? Array(repeating: fallback, count: count)
    }

    /// An array of one or more numbers.
    func integerList(_ key: String, in range: ClosedRange<Int>) throws -> [Int]? {
        try read(key, "an array of numbers, each \(Self.words(range))") { value in
            guard let values = value.array, !values.isEmpty else { return nil }
            let numbers = values.compactMap(\.integer).filter(range.contains)
            return numbers.count == values.count ? numbers : nil
        }
    }

    /// The side of a square: one number, or two equal ones.
    func side(_ key: String, default fallback: Int) throws -> Int {
        try read(key, "a whole number of at least 1, or two equal ones") { value in
            let sides = value.array?.map { $0.integer ?? 0 } ?? [value.integer ?? 0]
            return (1...2).contains(sides.count) && sides[0] >= 1 && sides.allSatisfy { $0 == sides[0] }
                ? sides[0] : nil
        } ?? fallback
    }

    /// A setting of which one value alone is built here; absent and `null` count as that value.
    func require(_ key: String, is only: JSONValue) throws {
        asked.insert(key)
        guard let found = members.first(where: { $0.key == key })?.value, found != .null else { return }
        if found == only { return }
        if let wanted = only.double, found.double == wanted { return }
        let text = Self.text(only)
        throw invalid(key, expected: "\(text), the one value that is supported", got: Self.text(found))
    }

    /// Settings that do not change what a model computes.
    func allow(_ keys: String...) { asked.formUnion(keys) }

    /// Refuses settings that nobody asked for; those that start with `_` are notes of whoever wrote the file.
    func finish() throws {
        for member in members where !asked.contains(member.key) && !member.key.hasPrefix("_") && member.value != .null {
            throw DiffusionError.unknownSetting(file: path, key: member.key, got: Self.text(member.value))
        }
    }

    private static func words(_ range: ClosedRange<Int>) -> String {
        "a whole number of \(range.lowerBound) to \(range.upperBound)"
    }

    private static func text(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .number(let text): text
        case .string(let text): "\"\(text)\""
        case .bool(let value): "\(value)"
        case .array(let values): "[" + values.map(text).joined(separator: ", ") + "]"
        case .object: "an object"
        }
    }
}
