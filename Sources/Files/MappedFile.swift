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

    /// - Throws: ``FileError/cannotOpen(path:reason:)`` or ``FileError/notRegularFile(path:got:)``.
    public init(path: String) throws(FileError) {
        let (descriptor, count) = try RegularFile.open(path)
        defer { close(descriptor) }
        self.path = path
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
