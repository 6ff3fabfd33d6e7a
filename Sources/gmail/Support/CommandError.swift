import Foundation

/// Input with which a command cannot work; shown as one line, with exit code 1.
struct CommandError: Error, CustomStringConvertible, LocalizedError {
    let description: String

    init(_ description: String) { self.description = description }

    var errorDescription: String? { description }
}
