import Foundation

/// What a program may forget without harm: `$XDG_CACHE_HOME/gmail`, or `~/.cache/gmail`.
public enum CacheFolder {
    public static var path: String {
        let environment = ProcessInfo.processInfo.environment
        let base =
            environment["XDG_CACHE_HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? "\(environment["HOME"] ?? "/tmp")/.cache"
        return "\(base)/gmail"
    }
}

/// SHA-256 of large files, remembered by path, size, times and inode.
///
/// Reading a model of some hundred MB twice only to name it would cost more than a small job. A file that changed in any
/// of these is read again; a memory that cannot be read or written costs time, never correctness.
public struct FileHashes: Sendable {
    private let memory: String?
    private let warn: @Sendable (String) -> Void

    /// - Parameters:
    ///   - memory: the JSON file that remembers; nil remembers nothing.
    ///   - warn: gets one line when the memory cannot be written.
    public init(
        memory: String? = "\(CacheFolder.path)/sha256.json", warn: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.memory = memory
        self.warn = warn
    }

    /// - Throws: ``FileError``.
    public func sha256(of path: String) throws(FileError) -> String {
        guard let memory else { return try ContentHash.sha256(ofFile: path) }
        let resolved = FileSystem.resolved(path)
        var status = stat()
        guard stat(resolved, &status) == 0 else { throw .cannotOpen(path: path, reason: errorText(errno)) }
        // The change time moves also when a program puts an old modification time back.
        let key = [
            "\(status.st_size)", "\(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)",
            "\(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)", "\(status.st_ino)", resolved,
        ].joined(separator: "|")
        var known = read(memory)
        if let hash = known[key] { return hash }
        let hash = try ContentHash.sha256(ofFile: resolved)
        known[key] = hash
        remember(known, memory)
        return hash
    }

    private func read(_ memory: String) -> [String: String] {
        do {
            return try JSONDecoder().decode([String: String].self, from: Data(RegularFile.bytes(memory)))
        } catch {
            return [:]  // A memory that is damaged or not there is an empty one.
        }
    }

    private func remember(_ known: [String: String], _ memory: String) {
        do {
            try FileSystem.createFolder(FileSystem.folder(of: memory))
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            try AtomicFile.write([UInt8](encoder.encode(known)), to: memory)
        } catch {
            warn("\(memory) could not be written (\(error)); hashes are computed again next time")
        }
    }
}
