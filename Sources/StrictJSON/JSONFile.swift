import Files
import Foundation

/// A JSON object of a file, asked key by key; a value of the wrong kind is an error that names file and key.
///
/// It is the one reader of configuration files: every model, tokenizer, scheduler and adapter reads its own through it.
/// `null` counts as absent, because Hugging Face writes it for settings that keep their default.
public struct JSONFile: Sendable {
    /// The file, for messages.
    public let path: String
    /// Keys of the objects around this one, each followed by a dot.
    let prefix: String
    /// The object itself.
    public let value: JSONValue

    /// - Throws: ``FileError``, ``JSONFileError``.
    public init(_ path: String) throws {
        try self.init(RegularFile.bytes(path), path: path)
    }

    /// - Parameter path: what errors call the object.
    /// - Throws: ``JSONFileError``; `FileError.placeholder` for bytes that stand in place of a file that was never
    ///   fetched.
    public init(_ bytes: [UInt8], path: String) throws {
        do {
            value = try StrictJSON.parse(bytes)
        } catch {
            try PlaceholderFile.refuse(bytes, path: path)
            throw JSONFileError.notJSON(file: path, reason: "\(error)")
        }
        self.path = path
        prefix = ""
        guard value.members != nil else { throw JSONFileError.notObject(file: path, got: value.kind) }
    }

    private init(path: String, prefix: String, value: JSONValue) {
        self.path = path
        self.prefix = prefix
        self.value = value
    }

    /// What `convert` makes of the value under the first of `keys` that is there; nil if none is.
    /// - Parameter expected: in the words of an error.
    /// - Throws: ``JSONFileError/invalidValue(file:key:expected:got:)`` when `convert` gives nil.
    public func value<Result>(
        _ keys: String..., expected: String, _ convert: (JSONValue) -> Result?
    ) throws(JSONFileError) -> Result? {
        for key in keys {
            guard let found = value[key], found != .null else { continue }
            guard let result = convert(found) else { throw invalid(key, expected: expected) }
            return result
        }
        return nil
    }

    /// The key with those of the objects around it: `text_config.hidden_size`.
    func fullName(of key: String) -> String { prefix + key }

    /// The error for the value under `key`, which is not what was expected.
    public func invalid(_ key: String, expected: String) -> JSONFileError {
        .invalidValue(file: path, key: prefix + key, expected: expected, got: value[key]?.words ?? "absent")
    }

    public func integer(_ key: String) throws(JSONFileError) -> Int? {
        try value(key, expected: "a whole number") { $0.integer }
    }

    /// A whole number within `range`, under the first of `keys` that is there.
    public func integer(_ keys: String..., in range: ClosedRange<Int>) throws(JSONFileError) -> Int? {
        for key in keys {
            let expected =
                range.upperBound == .max
                ? "a whole number of at least \(range.lowerBound)"
                : "a whole number from \(range.lowerBound) to \(range.upperBound)"
            let found = try value(key, expected: expected) { found in
                found.integer.flatMap { range.contains($0) ? $0 : nil }
            }
            if let found { return found }
        }
        return nil
    }

    public func double(_ key: String) throws(JSONFileError) -> Double? {
        try value(key, expected: "a number") { $0.double }
    }

    public func positive(_ key: String) throws(JSONFileError) -> Double? {
        try value(key, expected: "a number above 0") { found in
            found.double.flatMap { $0 > 0 && $0.isFinite ? $0 : nil }
        }
    }

    public func probability(_ key: String) throws(JSONFileError) -> Double? {
        try value(key, expected: "a number from 0 up to but not including 1") { found in
            found.double.flatMap { (0..<1).contains($0) ? $0 : nil }
        }
    }

    public func string(_ key: String) throws(JSONFileError) -> String? {
        try value(key, expected: "a string") { $0.string }
    }

    public func bool(_ key: String) throws(JSONFileError) -> Bool? {
        try value(key, expected: "true or false") { $0.bool }
    }

    public func numbers(_ key: String) throws(JSONFileError) -> [Double]? {
        try list(key, expected: "an array of numbers") { $0.double }
    }

    public func integers(_ key: String) throws(JSONFileError) -> [Int]? {
        try list(key, expected: "an array of whole numbers") { $0.integer }
    }

    public func strings(_ key: String) throws(JSONFileError) -> [String]? {
        try list(key, expected: "an array of strings") { $0.string }
    }

    private func list<Element>(
        _ key: String, expected: String, _ convert: (JSONValue) -> Element?
    ) throws(JSONFileError) -> [Element]? {
        try value(key, expected: expected) { found in
            guard let values = found.array else { return nil }
            let elements = values.compactMap(convert)
            return elements.count == values.count ? elements : nil
        }
    }

    /// One of the names of an enum.
    public func choice<Value: RawRepresentable & CaseIterable>(
        _ key: String, of type: Value.Type = Value.self
    ) throws(JSONFileError) -> Value? where Value.RawValue == String {
        let known = Value.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
        return try value(key, expected: "one of \(known)") { $0.string.flatMap(Value.init(rawValue:)) }
    }

    /// An object within this one.
    public func object(_ key: String) throws(JSONFileError) -> JSONFile? {
        try value(key, expected: "an object") { found in
            found.members == nil ? nil : JSONFile(path: path, prefix: "\(prefix)\(key).", value: found)
        }
    }

    /// Keys in the order of the file.
    public var keys: [String] { value.members?.map(\.key) ?? [] }

    /// Whether a key is there and `null`.
    public func isNull(_ key: String) -> Bool { value[key] == .null }

    /// Whether a key is there with a value other than `null`.
    public func has(_ key: String) -> Bool { value[key].map { $0 != .null } ?? false }
}

/// A JSON file that cannot be used; the text names file and key, what was expected and what stands there.
public enum JSONFileError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
    case notJSON(file: String, reason: String)
    case notObject(file: String, got: String)
    case invalidValue(file: String, key: String, expected: String, got: String)
    /// A setting that changes what is computed and is not implemented.
    case unsupported(file: String, key: String, got: String, reason: String)

    public var description: String {
        switch self {
        case .notJSON(let file, let reason): "\(file): is no JSON: \(reason)"
        case .notObject(let file, let got): "\(file): is no JSON object but \(got)"
        case .invalidValue(let file, let key, let expected, let got):
            "\(file): '\(key)' is \(got), expected \(expected)"
        case .unsupported(let file, let key, let got, let reason): "\(file): '\(key)' is \(got): \(reason)"
        }
    }

    public var errorDescription: String? { description }
}

extension JSONValue {
    /// The value in the words of an error message; short values as they stand.
    public var words: String {
        switch self {
        case .number(let text): text
        case .string(let text): "\"\(text.unicodeScalars.count > 80 ? String(text.prefix(80)) + "…" : text)\""
        case .bool(let value): "\(value)"
        default: kind
        }
    }
}
