import Foundation

/// Input that a command cannot work with: shown as one line, exit code 1.
struct CommandError: Error, CustomStringConvertible, LocalizedError {
    let description: String

    init(_ description: String) { self.description = description }

    var errorDescription: String? { description }
}
