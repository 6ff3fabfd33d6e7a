import Foundation

/// The right to write one result file, held by one process at a time while it works on it.
///
/// A lock of the kernel on a file `.NAME.lock` beside the result; it is removed when the work ends. What a killed process
/// leaves there is no lock any more and hinders nobody.
package final class OutputLock {
    private let path: String
    private let descriptor: Int32

    /// Checks that a result can be written under `target`, before any work is done for it, and locks it.
    /// - Parameter owner: what a second process is told, such as `gmail embed`.
    /// - Throws: ``FileError/locked(path:owner:)``, ``FileError/notRegularFile(path:got:)`` for a folder, a pipe or a
    ///   device; ``FileError`` when its folder is not there or cannot be written.
    package init(for target: String, owner: String) throws(FileError) {
        try RegularFile.checkTarget(target)
        let name = FileSystem.name(of: target)
        // Kept short, so that a name near the limit of 255 bytes still has room.
        let short = String(decoding: name.utf8.prefix(200), as: UTF8.self)
        path = "\(FileSystem.folder(of: target))/.\(short).lock"
        descriptor = try Self.lock(path, target)
        FolderLock.sign(descriptor, owner: owner)
    }

    private static func lock(_ path: String, _ target: String) throws(FileError) -> Int32 {
        while true {
            let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0o666)
            guard descriptor >= 0 else { throw .cannotWrite(path: target, reason: errorText(errno)) }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let code = errno
                let holder = FolderLock.holder(descriptor)
                close(descriptor)
                guard code == EWOULDBLOCK else { throw .system(target, "locking", code) }
                throw .locked(path: target, owner: holder)
            }
            // The one before may have removed the name between the two calls: then this lock is on no file that others see.
            if isStillThere(path, descriptor) { return descriptor }
            close(descriptor)
        }
    }

    private static func isStillThere(_ path: String, _ descriptor: Int32) -> Bool {
        var (open, named) = (stat(), stat())
        return fstat(descriptor, &open) == 0 && stat(path, &named) == 0 && open.st_ino == named.st_ino
            && open.st_dev == named.st_dev
    }

    deinit {
        unlink(path)
        close(descriptor)
    }
}
