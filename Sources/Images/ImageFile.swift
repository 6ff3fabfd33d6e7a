import Foundation

/// Files above this are not images that could pass the pixel limit; refusing them keeps a stray disk image out of memory.
let maximumImageFileBytes = 1 << 30

/// The bytes of a regular file.
/// - Throws: `ImageError.unreadable`, also for folders, pipes and devices, which could block for ever.
public func readImageFile(_ path: String) throws -> [UInt8] {
    func failure(_ reason: String) -> ImageError { .unreadable(image: path, reason: reason) }
    func systemFailure() -> ImageError { failure(String(cString: strerror(errno))) }
    // O_NONBLOCK: opening a pipe without a writer returns at once; it has no effect on regular files.
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw systemFailure() }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw systemFailure() }
    guard status.st_mode & S_IFMT == S_IFREG else { throw failure("not a regular file") }
    let size = Int(status.st_size)
    guard size <= maximumImageFileBytes else {
        throw failure("\(size) bytes; image files above \(maximumImageFileBytes) bytes are not read")
    }
    return try [UInt8](unsafeUninitializedCapacity: size) { buffer, initialized in
        while initialized < size {
            let got = read(descriptor, buffer.baseAddress! + initialized, size - initialized)
            if got == 0 { break }
            if got < 0 {
                if errno == EINTR { continue }
                throw systemFailure()
            }
            initialized += got
        }
    }
}
