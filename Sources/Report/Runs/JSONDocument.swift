import Files
import Foundation
import Safetensors
import StrictJSON

/// Reads JSON files strictly; errors name the file and the line.
enum JSONDocument {
    /// The bytes of a file; nil if there is none.
    static func bytes(_ path: String) throws -> [UInt8]? {
        guard access(path, F_OK) == 0 else { return nil }
        do {
            let bytes = try RegularFile.bytes(path)
            try PlaceholderFile.refuse(bytes, path: path)
            return bytes
        } catch {
            throw ReportError.unreadable(path: path, reason: "\(error)")
        }
    }

    /// A whole file as one value; nil if there is no such file.
    static func value(_ path: String) throws -> JSONValue? {
        guard let bytes = try bytes(path) else { return nil }
        return try parse(bytes, path: path)
    }

    static func parse(_ bytes: [UInt8], path: String) throws -> JSONValue {
        do {
            return try StrictJSON.parse(bytes)
        } catch {
            let line = 1 + bytes.prefix(error.offset).count { $0 == UInt8(ascii: "\n") }
            throw ReportError.brokenJSON(path: path, line: line, reason: error.description)
        }
    }

    /// A file as a typed value, after the strict reader has accepted it; nil if there is no such file.
    static func decode<Value: Decodable>(_ type: Value.Type, _ path: String) throws -> Value? {
        guard let bytes = try bytes(path) else { return nil }
        _ = try parse(bytes, path: path)
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            let (expected, got) = error.expectation
            throw ReportError.unexpectedContent(path: path, line: nil, expected: expected, got: got)
        }
    }

    /// The lines of a JSON Lines file, each an object with its number from 1; nil if there is no such file.
    ///
    /// A last line that has no line feed and does not parse is still being written, or its writer was killed: it is
    /// left out, and `isCut` says so. Empty lines are skipped.
    static func lines(_ path: String) throws -> (objects: [(line: Int, value: JSONValue)], isCut: Bool)? {
        guard let bytes = try bytes(path) else { return nil }
        var objects: [(Int, JSONValue)] = []
        var isCut = false
        let lines = Array(TextLines(bytes, path: path))
        for line in lines where !line.isBlank {
            let value: JSONValue
            do {
                value = try StrictJSON.parse(Array(line.bytes))
            } catch {
                if line.number == lines.count, bytes.last != UInt8(ascii: "\n") {
                    isCut = true
                    break
                }
                throw ReportError.brokenJSON(path: path, line: line.number, reason: error.description)
            }
            guard case .object = value else {
                throw ReportError.unexpectedContent(
                    path: path, line: line.number, expected: "an object", got: value.kind)
            }
            objects.append((line.number, value))
        }
        return (objects, isCut)
    }
}

extension DecodingError {
    /// What was expected at which place, and what stood there.
    fileprivate var expectation: (expected: String, got: String) {
        func place(_ path: [any CodingKey]) -> String {
            path.isEmpty ? "the file" : "'" + path.map(\.stringValue).joined(separator: ".") + "'"
        }
        switch self {
        case .keyNotFound(let key, let context): return ("\(place(context.codingPath + [key]))", "nothing")
        case .typeMismatch(let type, let context): return ("\(place(context.codingPath)) to be \(type)", "another type")
        case .valueNotFound(let type, let context): return ("\(place(context.codingPath)) to be \(type)", "null")
        case .dataCorrupted(let context): return ("a readable \(place(context.codingPath))", context.debugDescription)
        @unknown default: return ("another content", "\(self)")
        }
    }
}
