import Foundation

/// Large golden files, which are not part of the repository. `GMAIL_SHARED` names the folder that holds them.
enum SharedData {
    static let folder: URL = {
        if let path = ProcessInfo.processInfo.environment["GMAIL_SHARED"] { return URL(fileURLWithPath: path) }
        return URL(fileURLWithPath: FileManager.default.currentDirectoryPath).appendingPathComponent("../shared")
    }()

    /// The path of a file, or nil after saying that `test` did not run.
    static func path(_ name: String, test: String = #function) -> URL? {
        let url = folder.appendingPathComponent(name)
        if FileManager.default.fileExists(atPath: url.path) { return url }
        print("DID NOT RUN: \(test): no file '\(name)' in the folder of GMAIL_SHARED (\(folder.path))")
        return nil
    }

    /// The contents of a gzip file, or nil after saying that `test` did not run.
    static func unzip(_ name: String, test: String = #function) throws -> Data? {
        guard let url = path(name, test: test) else { return nil }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc", url.path]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw SharedDataError(description: "gzip failed on \(url.path)") }
        return data
    }

    static func decode<Value: Decodable>(_ type: Value.Type, _ name: String, test: String = #function) throws -> Value?
    {
        try unzip(name, test: test).map { try JSONDecoder().decode(type, from: $0) }
    }

    static func decodeLines<Value: Decodable>(
        _ type: Value.Type, _ name: String, test: String = #function
    ) throws -> [Value]? {
        try unzip(name, test: test).map { data in
            try data.split(separator: 0x0A).map { try JSONDecoder().decode(type, from: $0) }
        }
    }
}

struct SharedDataError: Error, CustomStringConvertible {
    let description: String
}

/// A generator with a seed: the same numbers in every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
