import Foundation
import StrictJSON
import TorchNN

/// A JSON object of a model folder, asked key by key; a value of the wrong kind is an error that names file and key.
///
/// `null` counts as absent: Hugging Face writes it for settings that keep their default.
struct JSONFile {
    let path: String
    private let prefix: String
    private let value: JSONValue

    init(_ path: String) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ModelFileError.unreadable(file: path, reason: "cannot be read")
        }
        do {
            value = try StrictJSON.parse([UInt8](data))
        } catch {
            throw ModelFileError.unreadable(file: path, reason: "is no JSON: \(error)")
        }
        self.path = path
        prefix = ""
        guard value.members != nil else {
            throw ModelFileError.unreadable(file: path, reason: "is no JSON object but \(value.kind)")
        }
    }

    private init(path: String, prefix: String, value: JSONValue) {
        self.path = path
        self.prefix = prefix
        self.value = value
    }

    private func read<Result>(_ key: String, _ expected: String, _ convert: (JSONValue) -> Result?) throws -> Result? {
        guard let found = value[key], found != .null else { return nil }
        guard let result = convert(found) else {
            let got: String
            switch found {
            case .number(let text): got = text
            case .string(let text): got = "\"\(text)\""
            default: got = found.kind
            }
            throw ModelFileError.invalidValue(file: path, key: prefix + key, expected: expected, got: got)
        }
        return result
    }

    func integer(_ key: String) throws -> Int? { try read(key, "a whole number") { $0.integer } }
    func double(_ key: String) throws -> Double? { try read(key, "a number") { $0.double } }
    func string(_ key: String) throws -> String? { try read(key, "a string") { $0.string } }
    func bool(_ key: String) throws -> Bool? { try read(key, "true or false") { $0.bool } }

    func numbers(_ key: String) throws -> [Double]? {
        try read(key, "an array of numbers") { found in
            guard let values = found.array else { return nil }
            let numbers = values.compactMap(\.double)
            return numbers.count == values.count ? numbers : nil
        }
    }

    func activation(_ key: String) throws -> Activation? {
        let known = Activation.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
        return try read(key, "one of \(known)") { $0.string.flatMap(Activation.init(rawValue:)) }
    }

    func object(_ key: String) throws -> JSONFile? {
        try read(key, "an object") { found in
            found.members == nil ? nil : JSONFile(path: path, prefix: "\(prefix)\(key).", value: found)
        }
    }
}
