import Files
import Foundation
import Safetensors
import StrictJSON

/// Content hashes of files, remembered by path, size and modification time, so that an unchanged file is hashed once.
final class FileStatIndex: @unchecked Sendable {
    private struct Entry {
        let size: Int
        /// Nanoseconds since 1970.
        let modified: Int
        let hash: String
    }

    private let path: String
    private let lock = NSLock()
    private var entries: [ExactString: Entry] = [:]
    private var unwritten: [UInt8] = []
    private let workingFolder = FileManager.default.currentDirectoryPath

    /// Reads the index; later lines take precedence. An incomplete last line (after a crash while writing) is cut off.
    init(path: String) throws {
        self.path = path
        guard FileSystem.exists(path) else { return }
        let bytes = try MappedFile(path: path).withUnsafeBytes { Array($0) }
        var start = 0
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            let line = Array(bytes[start..<end])
            start = end + 1
            let value: JSONValue
            do {
                value = try StrictJSON.parse(line)
            } catch {
                throw TrainingError.badFeatureShard(path: path, reason: "a line is no JSON: \(error)")
            }
            guard let name = value["path"]?.string, let size = value["size"]?.integer,
                let modified = value["mtime_ns"]?.integer, let hash = value["sha256"]?.string,
                hash.utf8.count == 64,
                hash.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
            else {
                throw TrainingError.badFeatureShard(
                    path: path, reason: "a line lacks path, size, mtime_ns or a sha256 of 64 digits")
            }
            entries[ExactString(name)] = Entry(size: size, modified: modified, hash: hash)
        }
        if start < bytes.count { try AppendFile(path: path).truncate(to: start) }
    }

    /// SHA-256 of the file as it is now.
    func contentHash(of relative: String) throws -> String {
        // The full path is the key, because the same relative path is another file elsewhere.
        let file = relative.hasPrefix("/") ? relative : "\(workingFolder)/\(relative)"
        var status = stat()
        let known: (size: Int, modified: Int)? =
            stat(file, &status) == 0
            ? (Int(status.st_size), status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec) : nil
        if let known, let entry = lock.withLock({ entries[ExactString(file)] }), entry.size == known.size,
            entry.modified == known.modified
        {
            return entry.hash
        }
        let hash = try ContentHash.sha256(ofFile: file)
        guard let known else { return hash }
        lock.withLock {
            entries[ExactString(file)] = Entry(size: known.size, modified: known.modified, hash: hash)
            unwritten.append(contentsOf: "{\"path\": ".utf8)
            StrictJSON.append(string: file, to: &unwritten)
            unwritten.append(
                contentsOf: ", \"size\": \(known.size), \"mtime_ns\": \(known.modified), \"sha256\": \"\(hash)\"}\n"
                    .utf8)
        }
        return hash
    }

    /// Appends what was added since the last flush.
    func flush() throws {
        try lock.withLock {
            guard !unwritten.isEmpty else { return }
            let file = try AppendFile(path: path)
            try file.append(unwritten)
            unwritten = []
        }
    }
}
