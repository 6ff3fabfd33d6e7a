import Files
import Foundation
import Safetensors

/// One complete checkpoint.
public struct Checkpoint: Sendable, Equatable {
    /// `…/checkpoints/step-000500`.
    public let folder: String
    public let step: Int
    public var statePath: String { "\(folder)/state.json" }
}

/// The folder `checkpoints/` of a run.
///
/// A checkpoint is written under a temporary name, every file synced, `state.json` (which lists the others) last, and
/// then renamed, so only complete ones have a name `step-…`. Files that another program has truncated or removed since
/// are noticed by their size when the latest is searched, and by their content when it is loaded.
public struct CheckpointStore: Sendable {
    public let folder: String

    public init(folder: String) { self.folder = folder }

    /// `step-000500`; more digits when it needs them.
    public static func name(of step: Int) -> String {
        let digits = String(step)
        return "step-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }

    static func step(of name: String) -> Int? {
        guard name.hasPrefix("step-"), let step = Int(name.dropFirst(5)), Self.name(of: step) == name else {
            return nil
        }
        return step
    }

    /// Writes a checkpoint.
    /// - Parameters:
    ///   - state: its `files` are filled in here.
    ///   - body: writes the other files into the folder it is given.
    /// - Throws: ``TrainingError/checkpointFailed(step:path:reason:latest:)``; older checkpoints are untouched and nothing
    ///   half-written remains.
    @discardableResult
    public func write(_ state: TrainingState, _ body: (_ folder: String) throws -> Void) throws -> Checkpoint {
        let final = "\(folder)/\(Self.name(of: state.step))"
        var generator = SystemRandomNumberGenerator()
        let tag = String(UInt32.random(in: 0...UInt32.max, using: &generator), radix: 36)
        let temporary = "\(folder)/\(Self.temporaryPrefix)\(Self.name(of: state.step)).\(tag)"
        do {
            try FileSystem.createFolder(folder)
            try FileSystem.createFolder(temporary)
            try body(temporary)
            var state = state
            state.files = try FileSystem.entries(temporary).map { name in
                let path = "\(temporary)/\(name)"
                return TrainingState.FileRecord(
                    name: name, bytes: FileSystem.size(path) ?? 0, sha256: try ContentHash.sha256(ofFile: path))
            }
            try AtomicFile.write(PrettyJSON.encode(state), to: "\(temporary)/state.json")
            FileSystem.syncFolder(temporary)
            if FileSystem.exists(final) {
                // A step is reached a second time: the old checkpoint is renamed first, because a folder cannot replace
                // a full one. If the process is killed between the renames, `all` and `removeLeftovers` know the name.
                let old = replaced(Self.name(of: state.step))
                try FileSystem.remove(old)
                try FileSystem.rename(final, to: old)
                try FileSystem.rename(temporary, to: final)
                try FileSystem.remove(old)
            } else {
                try FileSystem.rename(temporary, to: final)
            }
            FileSystem.syncFolder(folder)
        } catch {
            if FileSystem.exists(temporary) {
                do { try FileSystem.remove(temporary) } catch {
                    // The first failure is the one to report; the leftover is removed when the run is next opened.
                }
            }
            throw TrainingError.checkpointFailed(
                step: state.step, path: final, reason: "\(error)", latest: try latest()?.step)
        }
        return Checkpoint(folder: final, step: state.step)
    }

    /// Complete checkpoints, oldest first.
    public func all() throws -> [Checkpoint] {
        try FileSystem.entries(folder).compactMap { name in
            let own = name.hasPrefix(Self.replacedPrefix) ? String(name.dropFirst(Self.replacedPrefix.count)) : name
            guard let step = Self.step(of: own), own == name || !FileSystem.exists("\(folder)/\(own)") else {
                return nil
            }
            let checkpoint = Checkpoint(folder: "\(folder)/\(name)", step: step)
            return isComplete(checkpoint) ? checkpoint : nil
        }.sorted { $0.step < $1.step }
    }

    /// The damage of the newest checkpoint in a run that has none to use; nil when there is a complete one, or none was
    /// ever written.
    package func damage() throws -> TrainingError? {
        guard try latest() == nil, let step = try FileSystem.entries(folder).compactMap(Self.step(of:)).max() else {
            return nil
        }
        let checkpoint = Checkpoint(folder: "\(folder)/\(Self.name(of: step))", step: step)
        func damaged(_ file: String, _ reason: String) -> TrainingError {
            .damagedCheckpoint(path: checkpoint.folder, file: file, reason: reason)
        }
        let state: TrainingState
        do {
            state = try TrainingState.read(path: checkpoint.statePath)
        } catch let error as FileError {
            return damaged("state.json", "cannot be used: \(error)")
        } catch let error as TrainingError {
            return error
        }
        for file in state.files {
            let path = "\(checkpoint.folder)/\(file.name)"
            guard FileSystem.exists(path) else { return damaged(file.name, "is missing") }
            do {
                try RegularFile.checkTarget(path)
            } catch {
                return damaged(file.name, "cannot be used: \(error)")
            }
            let bytes = FileSystem.size(path) ?? 0
            if bytes != file.bytes {
                return damaged(file.name, "has \(bytes) bytes, it had \(file.bytes) when it was written")
            }
        }
        return damaged("state.json", "says step \(state.step)")
    }

    /// The name of a checkpoint while another one takes its place.
    private func replaced(_ name: String) -> String { "\(folder)/\(Self.replacedPrefix)\(name)" }

    /// The newest complete checkpoint; nil if there is none.
    public func latest() throws -> Checkpoint? { try all().last }

    /// The checkpoint that what follows should use: the best one of a run that looks for it, the newest otherwise; nil
    /// if there is none.
    /// - Throws: ``TrainingError/badState(path:reason:)`` if the best one is not there any more.
    public func chosen() throws -> Checkpoint? {
        let complete = try all()
        guard let latest = complete.last else { return nil }
        guard let best = try TrainingState.read(path: latest.statePath).validation.best else { return latest }
        guard let found = complete.first(where: { $0.step == best.step }) else {
            throw TrainingError.badState(
                path: latest.statePath,
                reason: "the best checkpoint is that of step \(best.step), and there is no complete one of it")
        }
        return found
    }

    private func isComplete(_ checkpoint: Checkpoint) -> Bool {
        guard FileSystem.exists(checkpoint.statePath) else { return false }
        do {
            let state = try TrainingState.read(path: checkpoint.statePath)
            return state.step == checkpoint.step
                && state.files.allSatisfy { FileSystem.size("\(checkpoint.folder)/\($0.name)") == $0.bytes }
        } catch {
            return false
        }
    }

    /// Reads a checkpoint's state after checking the content of all its files.
    /// - Throws: ``TrainingError/damagedCheckpoint(path:file:reason:)``, ``TrainingError/badState(path:reason:)``.
    /// - Parameters:
    ///   - unread: names of files that the caller has no use for.
    ///   - hash: gives the SHA-256 of a file.
    public func state(
        of checkpoint: Checkpoint, except unread: Set<String> = [],
        hash: (String) throws -> String = { try ContentHash.sha256(ofFile: $0) }
    ) throws -> TrainingState {
        let state = try TrainingState.read(path: checkpoint.statePath)
        for file in state.files where !unread.contains(file.name) {
            let path = "\(checkpoint.folder)/\(file.name)"
            guard FileSystem.exists(path) else {
                throw TrainingError.damagedCheckpoint(path: checkpoint.folder, file: file.name, reason: "is missing")
            }
            guard try hash(path) == file.sha256 else {
                throw TrainingError.damagedCheckpoint(
                    path: checkpoint.folder, file: file.name, reason: "has changed since it was written")
            }
        }
        return state
    }

    /// Removes all but the newest `count` complete checkpoints, oldest first.
    /// - Parameter step: a checkpoint that is kept as well.
    public func prune(keeping count: Int, and step: Int? = nil) throws {
        for checkpoint in try all().dropLast(max(1, count)) where checkpoint.step != step {
            try FileSystem.remove(checkpoint.folder)
        }
    }

    /// Removes what an interrupted write left behind, and restores the name of a checkpoint that was renamed for
    /// another.
    public func removeLeftovers() throws {
        for name in try FileSystem.entries(folder) {
            let path = "\(folder)/\(name)"
            if name.hasPrefix(Self.temporaryPrefix) { try FileSystem.remove(path) }
            guard name.hasPrefix(Self.replacedPrefix) else { continue }
            let final = "\(folder)/\(name.dropFirst(Self.replacedPrefix.count))"
            if FileSystem.exists(final) { try FileSystem.remove(path) } else { try FileSystem.rename(path, to: final) }
        }
    }

    private static let temporaryPrefix = ".writing-"
    private static let replacedPrefix = ".replaced-"
}
