import Foundation

/// A file mapped read-only (`MAP_PRIVATE`), unmapped when the last reference goes.
///
/// Immutable, hence `Sendable`. If another program shortens the file in place while it is mapped, reading the missing
/// pages kills the process (SIGBUS): that is the kernel's rule for mappings. Files replaced by renaming, as everything
/// here writes them, stay readable in their old state.
public final class MappedFile: @unchecked Sendable {
    public let path: String
    /// The whole file; valid while this object lives. Swift may release an object right after its last use, which can
    /// be the very call that returned this pointer: hold it with `withExtendedLifetime`, or use ``withUnsafeBytes(_:)``.
    public let bytes: UnsafeRawBufferPointer

    /// - Throws: ``SafetensorsError/cannotOpen(path:reason:)`` or ``SafetensorsError/notRegularFile(path:)``.
    public init(path: String) throws(SafetensorsError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .cannotOpen(path: path, reason: errorText(errno)) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .cannotOpen(path: path, reason: errorText(errno)) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegularFile(path: path) }
        self.path = path
        let count = Int(status.st_size)
        guard count > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
            throw .cannotOpen(path: path, reason: "mmap: " + errorText(errno))
        }
        bytes = UnsafeRawBufferPointer(start: base, count: count)
    }

    /// Calls `body` with the whole file, which stays mapped until it returns.
    public func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { withExtendedLifetime(self) {} }
        return try body(bytes)
    }

    deinit {
        if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    }
}

/// The C library's text for an error number.
func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }
