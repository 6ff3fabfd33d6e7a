// The few calls on folders and open files that a run needs, with errors that name the path.

import Foundation
import Safetensors

enum FileSystem {
    static func failure(_ path: String, _ operation: String, _ code: Int32 = errno) -> TrainingError {
        code == ENOSPC || code == EDQUOT
            ? .outOfSpace(path: path)
            : .fileFailure(path: path, operation: operation, reason: String(cString: strerror(code)))
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Creates the folder and those above it; an existing one is fine.
    static func createFolder(_ path: String) throws {
        if mkdir(path, 0o777) == 0 { return }
        switch errno {
        case EEXIST:
            var status = stat()
            guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
                throw failure(path, "creating the folder", EEXIST)
            }
        case ENOENT:
            let parent = (path as NSString).deletingLastPathComponent
            guard !parent.isEmpty, parent != path else { throw failure(path, "creating the folder", ENOENT) }
            try createFolder(parent)
            guard mkdir(path, 0o777) == 0 || errno == EEXIST else { throw failure(path, "creating the folder") }
        case let code: throw failure(path, "creating the folder", code)
        }
    }

    /// Names in a folder, sorted by bytes; empty when there is none.
    static func entries(_ folder: String) throws -> [String] {
        guard let handle = opendir(folder) else {
            if errno == ENOENT { return [] }
            throw failure(folder, "listing the folder")
        }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Removes a folder with what is in it.
    static func removeTree(_ path: String) throws {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw TrainingError.fileFailure(path: path, operation: "removing", reason: error.localizedDescription)
        }
    }

    static func rename(_ from: String, to target: String) throws {
        guard Glibc.rename(from, target) == 0 else { throw failure(target, "renaming into place") }
    }

    /// Makes renames within the folder survive a power cut. File systems that refuse it have nothing to offer instead.
    static func syncFolder(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    static func size(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }
}

/// A file that only ever grows at its end, written through at once (no buffer of its own), so that a killed process
/// loses nothing it had appended.
final class AppendFile {
    let path: String
    private let descriptor: Int32

    init(path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw FileSystem.failure(path, "opening") }
    }

    deinit { close(descriptor) }

    func append(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { buffer in
            var rest = buffer
            while let base = rest.baseAddress, rest.count > 0 {
                let written = write(descriptor, base, rest.count)
                if written < 0 {
                    if errno == EINTR { continue }
                    throw FileSystem.failure(path, "writing")
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            }
        }
    }

    /// Bytes in the file.
    func size() throws -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileSystem.failure(path, "reading the size") }
        return Int(status.st_size)
    }

    func truncate(to size: Int) throws {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw FileSystem.failure(path, "truncating") }
    }

    /// Waits until everything appended is on the device.
    func sync() throws {
        // Pipes and character devices have nothing to sync.
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw FileSystem.failure(path, "fsync") }
    }
}
