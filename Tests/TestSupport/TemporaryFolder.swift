import Files
import Foundation

/// A folder that is removed with this object.
public final class TemporaryFolder {
    public let path: String

    public init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("gmail-tests-\(UUID().uuidString)").path
        try FileSystem.createFolder(path)
    }

    deinit {
        // What stays behind in the temporary folder changes no result.
        try? FileSystem.remove(path)
    }

    /// The path of `name` in the folder.
    public func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }
    public func file(_ name: String) -> String { self(name) }

    /// Writes a file, with the folders it lies in.
    /// - Returns: its path.
    @discardableResult
    public func write(_ text: String, to name: String) throws -> String { try write(Array(text.utf8), to: name) }

    @discardableResult
    public func write(_ bytes: [UInt8], to name: String) throws -> String {
        try FileSystem.createFolder(FileSystem.folder(of: self(name)))
        try AtomicFile.write(bytes, to: self(name))
        return self(name)
    }

    /// Names in the folder, sorted by bytes.
    public var contents: [String] { get throws { try FileSystem.entries(path) } }
}

/// The text of the error that `body` throws; empty when it throws none.
public func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return ""
    } catch {
        return "\(error)"
    }
}
