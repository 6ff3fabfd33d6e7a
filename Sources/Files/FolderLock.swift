import Foundation

/// The right to write into a folder, held by one process at a time.
///
/// A lock of the kernel (`flock`) on the file `.lock` in the folder: it goes when the process ends, however it ends. The
/// file says who holds it, for the message that the second one gets.
package final class FolderLock {
    package static let fileName = ".lock"

    private let descriptor: Int32

    /// Locks the folder, which must exist.
    /// - Parameters:
    ///   - name: of the lock's file, where several writers of their own parts share a folder.
    ///   - owner: what a second process is told, such as `gmail align`.
    /// - Throws: ``FileError/locked(path:owner:)``; ``FileError`` when the folder cannot be written.
    package init(folder: String, name: String = FolderLock.fileName, owner: String) throws(FileError) {
        let path = "\(folder)/\(name)"
        // No link is followed: a folder from elsewhere could have the lock's name point at a file of the user's.
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0o666)
        guard descriptor >= 0 else { throw .system(path, "opening the lock") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            // What is thrown from here on ends in `deinit`, which closes the file.
            let code = errno
            let holder = Self.holder(descriptor)
            guard code == EWOULDBLOCK else { throw .system(path, "locking", code) }
            throw .locked(path: folder, owner: holder)
        }
        Self.sign(descriptor, owner: owner)
    }

    /// Says in the lock's file who holds it: a courtesy to the second process; a full disk must not stop the first.
    static func sign(_ descriptor: Int32, owner: String) {
        if ftruncate(descriptor, 0) == 0 {
            _ = Output.write(Array("\(owner), process \(getpid())\n".utf8), to: descriptor)
        }
    }

    static func holder(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        return text.isEmpty ? "another process" : printable(text)
    }

    deinit { close(descriptor) }
}
