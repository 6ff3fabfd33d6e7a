import Foundation
import StrictJSON

/// A JSON object of a model folder, asked key by key; a value of the wrong kind is an error that names file and key.
///
/// `null` counts as absent: Hugging Face writes it for settings that keep their default.
struct ConfigurationFile {
    let path: String
    private let value: JSONValue

    init(_ path: String) throws(LanguageModelError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw .unreadable(file: path, reason: "cannot be read")
        }
        do {
            value = try StrictJSON.parse([UInt8](data))
        } catch {
            throw .unreadable(file: path, reason: "is no JSON: \(error)")
        }
        self.path = path
        guard value.members != nil else {
            throw .unreadable(file: path, reason: "is no JSON object but \(value.kind)")
        }
    }

    /// What `convert` makes of the value under `key`; nil when there is none.
    func value<Result>(
        _ key: String, _ expected: String, _ convert: (JSONValue) -> Result?
    ) throws(LanguageModelError) -> Result? {
        guard let found = value[key], found != .null else { return nil }
        guard let result = convert(found) else {
            let got =
                switch found {
                case .number(let text): text
                case .string(let text): "\"\(text)\""
                case .bool(let value): "\(value)"
                default: found.kind
                }
            throw .invalidValue(file: path, key: key, expected: expected, got: got)
        }
        return result
    }

    /// A whole number within `range`, under the first of `keys` that is there.
    func integer(_ keys: String..., in range: ClosedRange<Int>) throws(LanguageModelError) -> Int? {
        for key in keys {
            let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
            let found = try value(key, expected) { found in found.integer.flatMap { range.contains($0) ? $0 : nil } }
            if let found { return found }
        }
        return nil
    }

    func probability(_ key: String) throws(LanguageModelError) -> Double? {
        try value(key, "a number from 0 up to but not including 1") { found in
            found.double.flatMap { (0..<1).contains($0) ? $0 : nil }
        }
    }

    func positive(_ key: String) throws(LanguageModelError) -> Double? {
        try value(key, "a number above 0") { found in found.double.flatMap { $0 > 0 && $0.isFinite ? $0 : nil } }
    }

    func bool(_ key: String) throws(LanguageModelError) -> Bool? { try value(key, "true or false") { $0.bool } }
    func string(_ key: String) throws(LanguageModelError) -> String? { try value(key, "a string") { $0.string } }

    /// One id or an array of ids.
    func ids(_ key: String) throws(LanguageModelError) -> [Int]? {
        try value(key, "a token id or an array of them") { found in
            if let id = found.integer { return [id] }
            guard let values = found.array else { return nil }
            let ids = values.compactMap(\.integer)
            return ids.count == values.count ? ids : nil
        }
    }
}
