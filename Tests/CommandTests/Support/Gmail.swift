import Foundation

/// Runs the `gmail` of this build, as a user would.
enum Gmail {
    /// What a run left behind.
    struct Outcome {
        var status: Int32
        var stdout: String
        var stderr: String
    }

    /// The program in the build folder, where the running test bundle lies too.
    static let program: URL = Bundle.main.executableURL!.resolvingSymlinksInPath().deletingLastPathComponent()
        .appendingPathComponent("gmail")

    /// Runs `gmail` to its end.
    ///
    /// - Parameters:
    ///   - environment: on top of the tests' own; an empty string takes a variable away.
    ///   - folder: the working folder.
    static func run(
        _ arguments: [String], environment: [String: String] = [:], in folder: URL? = nil
    ) throws -> Outcome {
        try run(program, arguments, environment: environment, in: folder)
    }

    /// Runs another program the same way: a shell around `gmail`.
    static func run(
        _ program: URL, _ arguments: [String], environment: [String: String] = [:], in folder: URL? = nil
    ) throws -> Outcome {
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment
            .merging(environment) { $1 }.filter { !$0.value.isEmpty }
        if let folder { process.currentDirectoryURL = folder }
        process.standardInput = FileHandle.nullDevice
        // Through files, so that no amount of output on one stream can block the other.
        let scratch = try TemporaryFolder()
        let (output, errors) = (scratch.url.appendingPathComponent("out"), scratch.url.appendingPathComponent("err"))
        for file in [output, errors] { try Data().write(to: file) }
        let (outputHandle, errorHandle) = (
            try FileHandle(forWritingTo: output), try FileHandle(forWritingTo: errors)
        )
        process.standardOutput = outputHandle
        process.standardError = errorHandle
        try process.run()
        process.waitUntilExit()
        try outputHandle.close()
        try errorHandle.close()
        return Outcome(
            status: process.terminationStatus, stdout: String(decoding: try Data(contentsOf: output), as: UTF8.self),
            stderr: String(decoding: try Data(contentsOf: errors), as: UTF8.self))
    }
}

/// A folder that goes when its owner does.
final class TemporaryFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("gmail-command-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        // What stays behind in the temporary folder harms no test.
        try? FileManager.default.removeItem(at: url)
    }

    /// The path of a file in the folder.
    func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    /// Writes a file and returns its path.
    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        try Data(text.utf8).write(to: url.appendingPathComponent(name))
        return path(name)
    }
}
