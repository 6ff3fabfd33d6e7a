import ArgumentParser
import Files
import Foundation
import Terminal
import Training

/// Input with which a command cannot work; shown as one line, with exit code 1.
struct CommandError: Error, CustomStringConvertible, LocalizedError {
    let description: String

    init(_ description: String) { self.description = description }

    var errorDescription: String? { description }
}

/// Ends a command that a signal may have stopped: says what was done, and leaves with the signal's exit code, whether or
/// not anybody can still read what is said.
/// - Parameter exitCode: 0, or 128 plus the signal's number.
func conclude(_ exitCode: Int32, _ report: () throws -> Void) throws {
    do {
        try report()
    } catch let error as FileError where exitCode != 0 {
        Terminal.note("warning: \(error)")
    }
    if exitCode != 0 { throw ExitCode(exitCode) }
}

/// Errors of the system's libraries in our words: path and cause.
enum SystemError {
    /// - Returns: nil for errors that have a text of their own.
    static func text(of error: any Error) -> String? {
        if let error = error as? DecodingError { return error.shortReason }
        let foreign = error as NSError
        guard [NSCocoaErrorDomain, NSPOSIXErrorDomain].contains(foreign.domain) else { return nil }
        let path = foreign.userInfo[NSFilePathErrorKey] as? String ?? (foreign.userInfo[NSURLErrorKey] as? URL)?.path
        let cause = foreign.userInfo[NSUnderlyingErrorKey] as? NSError ?? foreign
        let reason = cause.domain == NSPOSIXErrorDomain ? errorText(Int32(cause.code)) : foreign.localizedDescription
        return (path.map { "'\($0)': " } ?? "") + reason
    }
}
