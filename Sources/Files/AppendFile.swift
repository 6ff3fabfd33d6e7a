import Foundation

/// A file that only ever grows at its end, written through at once (no buffer of its own), so that a killed process
/// loses nothing it had appended.
package final class AppendFile {
    package let path: String
    private let descriptor: Int32

    package init(path: String) throws(FileError) {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0o666)
        guard descriptor >= 0 else { throw .system(path, "opening") }
    }

    deinit { close(descriptor) }

    /// Appends all of `bytes`, or nothing.
    package func append(_ bytes: [UInt8]) throws(FileError) {
        let before = lseek(descriptor, 0, SEEK_END)
        guard Output.write(bytes, to: descriptor) else {
            let code = errno
            // A full disk takes the first part of a line. What cannot be cut off again (a device) has no parts.
            if before >= 0 { ftruncate(descriptor, before) }
            throw .system(path, "writing", code)
        }
    }

    /// Bytes in the file.
    package func size() throws(FileError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(path, "reading the size") }
        return Int(status.st_size)
    }

    package func truncate(to size: Int) throws(FileError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw .system(path, "truncating") }
    }

    /// Waits until everything appended is on the device.
    package func sync() throws(FileError) {
        // Pipes and character devices have nothing to sync.
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw .system(path, "fsync") }
    }
}

/// Writing bytes to a descriptor to the end.
package enum Output {
    /// - Returns: false when the system refused; `errno` says why.
    package static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        bytes.withUnsafeBytes { write($0, to: descriptor) }
    }

    package static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
        var rest = bytes
        while let base = rest.baseAddress, rest.count > 0 {
            let written = Glibc.write(descriptor, base, min(rest.count, 1 << 30))
            if written < 0 {
                if errno == EINTR { continue }
                return false
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
        return true
    }
}
