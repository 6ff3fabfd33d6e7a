import Foundation
import TestSupport

/// Golden files below `data/metrics` of the shared folder. Suites that read some say `.enabled(if: GoldenFiles.have(…))`.
enum GoldenFiles {
    private static func name(_ name: String) -> String { "data/metrics/\(name)" }

    static func have(_ names: String...) -> Bool { SharedData.has(names.map(name)) }

    static func path(_ name: String) -> URL { URL(fileURLWithPath: SharedData.path(Self.name(name))) }

    /// The content of a gzip file.
    static func unzip(_ file: URL) throws -> Data {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc", file.path]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw GoldenFileError(description: "gzip failed on \(file.path)") }
        return data
    }

    static func decode<Value: Decodable>(_ type: Value.Type, _ name: String) throws -> Value {
        try JSONDecoder().decode(type, from: unzip(path(name)))
    }

    static func decodeLines<Value: Decodable>(_ type: Value.Type, _ name: String) throws -> [Value] {
        try unzip(path(name)).split(separator: 0x0A).map { try JSONDecoder().decode(type, from: $0) }
    }
}

struct GoldenFileError: Error, CustomStringConvertible {
    let description: String
}
