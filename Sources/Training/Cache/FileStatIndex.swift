import Files
import Foundation
import Safetensors
import StrictJSON

/// Content hashes of files, remembered by path, size and times, so that an unchanged file is hashed once.
///
/// The time of the last change of status counts too: a program that edits a file can set the modification time back, this
/// one it cannot.
final class FileStatIndex: @unchecked Sendable {
    private struct Stamp: Equatable {
        let size: Int
        /// Nanoseconds since 1970.
        let modified: Int
        let changed: Int
    }

    private struct Entry {
        let stamp: Stamp
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
            // A line of an earlier version, which did not know the time of the last change, says nothing.
            guard let changed = value["ctime_ns"]?.integer else { continue }
            entries[ExactString(name)] = Entry(
                stamp: Stamp(size: size, modified: modified, changed: changed), hash: hash)
        }
        if start < bytes.count { try AppendFile(path: path).truncate(to: start) }
    }

    /// SHA-256 of the file as it is now.
    func contentHash(of relative: String) throws -> String {
        // The full path is the key, because the same relative path is another file elsewhere.
        let file = relative.hasPrefix("/") ? relative : "\(workingFolder)/\(relative)"
        let stamp = Self.stamp(of: file)
        if let stamp, let entry = lock.withLock({ entries[ExactString(file)] }), entry.stamp == stamp {
            return entry.hash
        }
        let hash = try ContentHash.sha256(ofFile: file)
        guard let stamp else { return hash }
        lock.withLock {
            entries[ExactString(file)] = Entry(stamp: stamp, hash: hash)
            unwritten.append(contentsOf: "{\"path\": ".utf8)
            StrictJSON.append(string: file, to: &unwritten)
            unwritten.append(
                contentsOf:
                    ", \"size\": \(stamp.size), \"mtime_ns\": \(stamp.modified), \"ctime_ns\": \(stamp.changed), "
                    .utf8)
            unwritten.append(contentsOf: "\"sha256\": \"\(hash)\"}\n".utf8)
        }
        return hash
    }

    /// Nil for a file that is not there, which reading it will say.
    private static func stamp(of file: String) -> Stamp? {
        var status = stat()
        guard stat(file, &status) == 0 else { return nil }
        func nanoseconds(_ time: timespec) -> Int { time.tv_sec * 1_000_000_000 + time.tv_nsec }
        return Stamp(
            size: Int(status.st_size), modified: nanoseconds(status.st_mtim), changed: nanoseconds(status.st_ctim))
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
