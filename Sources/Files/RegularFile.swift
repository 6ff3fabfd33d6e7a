import Foundation

/// Opening a file that a user named: it must be a regular one, since a pipe or a device would be waited for without end.
package enum RegularFile {
    /// Opens the file for reading.
    /// - Returns: the descriptor, which the caller closes, and the file's size in bytes.
    /// - Throws: ``FileError/cannotOpen(path:reason:)``, ``FileError/notRegularFile(path:got:)``.
    package static func open(_ path: String) throws(FileError) -> (descriptor: Int32, size: Int) {
        try checkName(path)
        // Opening a pipe would wait for somebody to write into it.
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        var status = stat()
        guard descriptor >= 0 else {
            let code = errno
            // Sockets, and devices without a driver, cannot be opened at all.
            guard code != ENXIO && code != ENODEV || stat(path, &status) != 0 else {
                throw .notRegularFile(path: path, got: kind(status.st_mode))
            }
            throw .cannotOpen(path: path, reason: errorText(code))
        }
        guard fstat(descriptor, &status) == 0 else {
            let reason = errorText(errno)
            close(descriptor)
            throw .cannotOpen(path: path, reason: reason)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw .notRegularFile(path: path, got: kind(status.st_mode))
        }
        return (descriptor, Int(status.st_size))
    }

    /// The whole file.
    /// - Parameter limit: a larger file is refused before it is read.
    /// - Throws: ``FileError``.
    package static func bytes(_ path: String, atMost limit: Int = .max) throws(FileError) -> [UInt8] {
        let (descriptor, size) = try open(path)
        defer { close(descriptor) }
        guard size <= limit else { throw .tooLarge(path: path, bytes: size, limit: limit) }
        var failure: FileError?
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let got = read(descriptor, buffer.baseAddress! + count, min(size - count, 1 << 30))
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = .cannotOpen(path: path, reason: errorText(errno)) }
                guard got > 0 else { return }
                count += got
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Checks that a result may be written under `path`: nothing is there yet, or a regular file (through links, too). A
    /// pipe or a device would be replaced by a file.
    /// - Throws: ``FileError/notRegularFile(path:got:)``, ``FileError/cannotOpen(path:reason:)`` for a NUL in the name.
    package static func checkTarget(_ path: String) throws(FileError) {
        try checkName(path)
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { return }
        throw .notRegularFile(path: path, got: kind(status.st_mode))
    }

    /// C's strings end at a NUL: the system would be asked for another file.
    private static func checkName(_ path: String) throws(FileError) {
        guard !path.utf8.contains(0) else {
            throw .cannotOpen(path: printable(path), reason: "its name has a NUL character in it")
        }
    }

    /// What stands there instead of a file, in the words of an error.
    package static func kind(_ mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFDIR: "a folder"
        case S_IFIFO: "a named pipe"
        case S_IFSOCK: "a socket"
        case S_IFCHR, S_IFBLK: "a device"
        default: "no regular file"
        }
    }
}
