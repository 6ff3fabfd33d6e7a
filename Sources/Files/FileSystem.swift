import Foundation

/// The few calls on folders and open files that the upper floors need, with errors that name the path.
package enum FileSystem {
    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    package static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Creates the folder and those above it; an existing one is fine.
    package static func createFolder(_ path: String) throws(FileError) {
        if mkdir(path, 0o777) == 0 { return }
        switch errno {
        case EEXIST:
            guard isFolder(path) else { throw .system(path, "creating the folder", EEXIST) }
        case ENOENT:
            let parent = folder(of: path)
            guard parent != ".", parent != path, !path.isEmpty else {
                throw .system(path, "creating the folder", ENOENT)
            }
            try createFolder(parent)
            guard mkdir(path, 0o777) == 0 || errno == EEXIST else { throw .system(path, "creating the folder") }
        case let code: throw .system(path, "creating the folder", code)
        }
    }

    /// The folder that holds `path`: `.` for a bare name.
    package static func folder(of path: String) -> String {
        var bytes = path.utf8[...]
        while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == bytes.startIndex ? "/" : String(bytes[..<slash]) ?? "."
    }

    /// The last part of `path`.
    package static func name(of path: String) -> String { (path as NSString).lastPathComponent }

    /// Names in a folder, sorted by bytes; empty when there is none.
    package static func entries(_ folder: String) throws(FileError) -> [String] {
        guard let handle = opendir(folder) else {
            if errno == ENOENT { return [] }
            throw .system(folder, "listing the folder")
        }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = String(decoding: DirectoryEntry.name(entry), as: UTF8.self)
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Paths, relative to the folder, of all that is below it and no folder itself, sorted by bytes. Links to folders are not
    /// entered.
    package static func files(below folder: String) throws(FileError) -> [String] {
        var found: [String] = []
        for name in try entries(folder) {
            var status = stat()
            guard lstat("\(folder)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
                found.append(name)
                continue
            }
            found += try files(below: "\(folder)/\(name)").map { "\(name)/\($0)" }
        }
        return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Removes a file or a folder with what is in it; none is fine.
    package static func remove(_ path: String) throws(FileError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw .system(path, "removing")
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            guard unlink(path) == 0 || errno == ENOENT else { throw .system(path, "removing") }
            return
        }
        for name in try entries(path) { try remove("\(path)/\(name)") }
        guard rmdir(path) == 0 || errno == ENOENT else { throw .system(path, "removing") }
    }

    /// Removes a file or folder and everything in it, then makes it anew, empty.
    package static func recreateFolder(_ path: String) throws(FileError) {
        try remove(path)
        try createFolder(path)
    }

    /// Copies a regular file, or a folder of such with all that is in it.
    package static func copy(_ from: String, to target: String) throws {
        guard isFolder(from) else {
            try MappedFile(path: from).withUnsafeBytes { try AtomicFile.write($0, to: target) }
            return
        }
        try createFolder(target)
        for name in try entries(from) { try copy("\(from)/\(name)", to: "\(target)/\(name)") }
    }

    package static func rename(_ from: String, to target: String) throws(FileError) {
        guard Glibc.rename(from, target) == 0 else { throw .system(target, "renaming into place") }
    }

    /// Makes renames within the folder survive a power cut. File systems that refuse it have nothing to offer instead.
    package static func syncFolder(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    package static func size(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    /// Whether a path begins at the root.
    package static func isAbsolute(_ path: String) -> Bool { path.utf8.first == UInt8(ascii: "/") }

    /// The path without symbolic links; itself where nothing is.
    package static func resolved(_ path: String) -> String {
        guard let real = realpath(path.isEmpty ? "." : path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }
}

/// Bytes of a directory entry's name.
enum DirectoryEntry {
    static func name(_ entry: UnsafeMutablePointer<dirent>) -> [UInt8] {
        withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
    }
}
