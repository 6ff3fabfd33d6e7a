import Foundation

/// Files that appear under their final name complete, or not at all.
///
/// Written to a temporary name in the same folder, synced to the device, renamed over the target, the folder synced. On
/// any failure the temporary file is removed and what stood under the name before is untouched. A target that is a
/// symbolic link to a file is replaced by a plain file; a folder, a pipe or a device is refused.
public enum AtomicFile {
    /// Writes `bytes` to `path`.
    /// - Throws: ``FileError/outOfSpace(path:needed:)``, ``FileError/failed(path:operation:reason:)``.
    public static func write(_ bytes: some Sequence<UInt8>, to path: String) throws {
        let contiguous = ContiguousArray(bytes)
        try contiguous.withUnsafeBytes { try write($0, to: path) }
    }

    /// Writes the UTF-8 of `text` to `path`.
    public static func write(_ text: String, to path: String) throws {
        var text = text
        try text.withUTF8 { try write(UnsafeRawBufferPointer($0), to: path) }
    }

    /// Writes `bytes` to `path`.
    public static func write(_ bytes: UnsafeRawBufferPointer, to path: String) throws {
        try write(byteCount: bytes.count, to: path) { try $0.append(bytes) }
    }

    /// Writes what `body` appends to `path`, in pieces, without holding it all.
    /// - Parameter byteCount: how much is going to be written, checked against the free space before any work is done;
    ///   0 when not known.
    public static func write(byteCount: Int, to path: String, _ body: (inout AtomicFileSink) throws -> Void) throws {
        var sink = try AtomicFileSink(path: path, expecting: byteCount)
        do {
            try body(&sink)
            try sink.commit()
        } catch {
            sink.discard()
            throw error
        }
    }
}

/// The open end of a file being written by ``AtomicFile``.
public struct AtomicFileSink {
    private let path: String
    private let temporary: String
    private let expected: Int
    private var descriptor: Int32
    /// Bytes appended so far.
    public private(set) var count = 0

    init(path: String, expecting byteCount: Int) throws(FileError) {
        let folder = Self.folder(of: path)
        let name = path.split(separator: "/", omittingEmptySubsequences: true).last.map(String.init) ?? ""
        guard !name.isEmpty else { throw .failed(path: path, operation: "writing", reason: "not a file name") }
        try RegularFile.checkTarget(path)
        var generator = SystemRandomNumberGenerator()
        // Kept short, so that a name near the limit of 255 bytes still has room.
        let tag = String(UInt64.random(in: 0...UInt64.max, using: &generator), radix: 36)
        temporary = "\(folder)/.\(String(decoding: name.utf8.prefix(200), as: UTF8.self)).\(tag).tmp"
        self.path = path
        expected = byteCount
        descriptor = -1
        if byteCount > 0 { try checkSpace(in: folder, for: byteCount) }
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw failure("creating a file in '\(folder)'", errno) }
    }

    /// Appends a piece.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        var rest = bytes
        while let base = rest.baseAddress, rest.count > 0 {
            // Linux writes at most 2 GiB - 4 KiB at once.
            let written = Glibc.write(descriptor, base, min(rest.count, 1 << 30))
            if written < 0 {
                if errno == EINTR { continue }
                throw failure("write", errno)
            }
            count += written
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }

    /// Appends a piece.
    public mutating func append(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try append($0) }
    }

    private func failure(_ operation: String, _ code: Int32) -> FileError {
        if code == ENOSPC || code == EDQUOT { return .outOfSpace(path: path, needed: max(expected, count)) }
        return .failed(path: path, operation: operation, reason: errorText(code))
    }

    /// Refuses at once what the device has no room for. Another program may still fill it meanwhile; then the write
    /// that fails says the same.
    private func checkSpace(in folder: String, for byteCount: Int) throws(FileError) {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return }
        let (available, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        if !overflow, UInt64(byteCount) > available { throw .outOfSpace(path: path, needed: byteCount) }
    }

    mutating func commit() throws(FileError) {
        guard fsync(descriptor) == 0 else { throw failure("fsync", errno) }
        let closed = close(descriptor)
        descriptor = -1
        guard closed == 0 else { throw failure("close", errno) }
        guard rename(temporary, path) == 0 else { throw failure("rename", errno) }
        // The rename itself must survive a power cut too. Some file systems refuse to sync a folder; the file is in
        // place by then, so that is no failure of the write.
        let folder = open(Self.folder(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
    }

    mutating func discard() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        unlink(temporary)
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/." : String(path[..<slash])
    }
}
