import ArgumentParser
import Files
import Foundation
import Safetensors
import Terminal
import Training

/// Runs the stages of `gmail demo`, each of them a command of this program.
///
/// A finished stage leaves a marker with its command and its time; a stage whose marker stands there is not run again. What
/// a killed stage left half done is continued where its command can, and made anew otherwise.
struct Demo {
    let layout: DemoLayout
    let settings: DemoSettings
    let stages: [DemoStage]

    /// What a marker holds.
    struct Marker: Codable {
        var command: [String]
        var seconds: Double
    }

    /// - Returns: seconds of each stage, earlier ones as they were when they ran.
    /// - Throws: `CommandError` when the folder holds another demo; `ExitCode` when a stage was interrupted; what the
    ///   stage's command throws.
    func run(force: Bool) async throws -> [(title: String, seconds: Double)] {
        try FileSystem.createFolder(layout.folder)
        let lock = try FolderLock(folder: layout.folder, owner: "gmail demo")
        defer { withExtendedLifetime(lock) {} }
        try prepare(force: force)
        let clock = ContinuousClock()
        var times: [(String, Double)] = []
        for (index, stage) in stages.enumerated() {
            let marker = "\(layout.markers)/\(stage.name).json"
            let heading = "\(index + 1)/\(stages.count) \(stage.title)"
            if let done = try finished(marker) {
                say("\(heading): finished before")
                times.append((stage.title, done.seconds))
                continue
            }
            say("\(heading)\n    gmail \(stage.arguments.map(Self.quoted).joined(separator: " "))")
            var arguments = stage.arguments
            switch stage.continuation {
            case .automatic: break
            case .resumeFlag where try hasCheckpoint("\(stage.makes)/checkpoints"):
                arguments.append("--resume")
            case .none, .resumeFlag: try FileSystem.remove(stage.makes)
            }
            let start = clock.now
            try await Self.run(arguments)
            let seconds = (clock.now - start).seconds
            try AtomicFile.write(
                Self.encoder.encode(Marker(command: stage.arguments, seconds: seconds)).map { $0 }, to: marker)
            times.append((stage.title, seconds))
        }
        return times
    }

    /// Runs a command of this program in this process. What it would print on standard output goes to standard error,
    /// since the demo's own result is what standard output is for.
    private static func run(_ arguments: [String]) async throws {
        fflush(nil)
        let output = dup(STDOUT_FILENO)
        guard output >= 0, dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 else {
            throw CommandError("standard output cannot be redirected: \(String(cString: strerror(errno)))")
        }
        defer {
            fflush(nil)
            dup2(output, STDOUT_FILENO)
            close(output)
        }
        var command = try Gmail.parseAsRoot(arguments)
        if var asynchronous = command as? any AsyncParsableCommand {
            try await asynchronous.run()
        } else {
            try command.run()
        }
    }

    /// What the marker of a finished stage says; nil when there is none.
    private func finished(_ marker: String) throws -> Marker? {
        guard exists(marker) else { return nil }
        do {
            return try JSONDecoder().decode(Marker.self, from: Data(RegularFile.bytes(marker)))
        } catch let error as DecodingError {
            throw CommandError(
                "'\(marker)' is not what this version writes (\(error.shortReason)); remove it, and the stage runs again"
            )
        }
    }

    /// Makes the folder, or checks that it holds a demo of the same settings.
    private func prepare(force: Bool) throws {
        if force {
            for path in [
                layout.results, layout.table, layout.report, layout.runs, "\(layout.folder)/generated", layout.world,
                layout.markers, layout.settings,
            ] { try FileSystem.remove(path) }
        }
        try FileSystem.createFolder(layout.markers)
        guard exists(layout.settings) else {
            for path in [layout.world, layout.runs] where exists(path) {
                throw CommandError(
                    "'\(path)' exists, but '\(layout.settings)' does not say what made it; give another --out, or --force to replace it"
                )
            }
            try AtomicFile.write([UInt8](Self.encoder.encode(settings)), to: layout.settings)
            return
        }
        let found: DemoSettings
        do {
            found = try JSONDecoder().decode(DemoSettings.self, from: Data(RegularFile.bytes(layout.settings)))
        } catch let error as DecodingError {
            throw CommandError(
                "'\(layout.settings)' is not what this version writes (\(error.shortReason)); give another --out, or --force to make everything anew"
            )
        }
        guard found == settings else {
            throw CommandError(
                "'\(layout.folder)' holds a demo of other settings (\(found.description); asked for \(settings.description)"
                    + "\(found.models == settings.models ? "" : "; other small models")); give another --out, or --force to make everything anew"
            )
        }
    }

    static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()

    /// As a shell would need it.
    private static func quoted(_ argument: String) -> String {
        let plain = argument.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                || (UInt8(ascii: "-")...UInt8(ascii: "9")).contains(byte) || "=_+,:".utf8.contains(byte)
        }
        return plain && !argument.isEmpty ? argument : "'" + argument.replacingOccurrences(of: "'", with: "'\\''") + "'"
    }

    private func exists(_ path: String) -> Bool { FileSystem.exists(path) }

    private func hasCheckpoint(_ folder: String) throws -> Bool {
        try FileSystem.entries(folder).contains { $0.hasPrefix("step-") }
    }

    private func say(_ text: String) { Terminal.note(text) }
}
