import Foundation

/// A file or folder that cannot be read or written; the text names the path, what was done, and the next step.
public enum FileError: Error, Equatable, Sendable {
    case cannotOpen(path: String, reason: String)
    /// A folder, a pipe or a device where a file is expected.
    case notRegularFile(path: String, got: String)
    /// The file stands for another one: a git-lfs pointer, a web page that a download saved.
    case placeholder(path: String, what: String, advice: String)
    /// More bytes than are read at once.
    case tooLarge(path: String, bytes: Int, limit: Int)
    case notUTF8(path: String, line: Int)
    case cannotWrite(path: String, reason: String)
    case outOfSpace(path: String, needed: Int)
    case failed(path: String, operation: String, reason: String)
    /// Another process writes into the folder.
    case locked(path: String, owner: String)

    /// What the system call that just failed says.
    package static func system(_ path: String, _ operation: String, _ code: Int32 = errno) -> FileError {
        code == ENOSPC || code == EDQUOT
            ? .outOfSpace(path: path, needed: 0) : .failed(path: path, operation: operation, reason: errorText(code))
    }
}

extension FileError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .cannotOpen(let path, let reason):
            "cannot read '\(path)': \(reason)"
        case .notRegularFile(let path, let got):
            "'\(path)' is \(got); expected a regular file"
        case .placeholder(let path, let what, let advice):
            "'\(path)' is \(what), not the file itself; \(advice)"
        case .tooLarge(let path, let bytes, let limit):
            "'\(path)' has \(bytes) bytes; files above \(limit) are not read"
        case .notUTF8(let path, let line):
            "'\(path)' line \(line) is not UTF-8; save the file in that encoding"
        case .cannotWrite(let path, let reason):
            "cannot write '\(path)': \(reason); does its folder exist, and may you write there?"
        case .outOfSpace(let path, let needed):
            needed > 0
                ? "no space left to write '\(path)' (\(needed) bytes); free some and run the command again"
                : "no space left to write '\(path)'; free some and run the command again"
        case .failed(let path, let operation, let reason):
            "'\(path)': \(operation) failed: \(reason)"
        case .locked(let path, let owner):
            "'\(path)' is in use by \(owner); wait until it has ended, or choose another folder"
        }
    }
}

/// The C library's text for an error number.
package func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }
