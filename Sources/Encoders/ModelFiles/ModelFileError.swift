import Foundation

/// A model folder's configuration that cannot be used.
public enum ModelFileError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
    /// The folder or the file that says what the model is does not exist.
    case notAModelFolder(path: String, expected: String)
    case unreadable(file: String, reason: String)
    case invalidValue(file: String, key: String, expected: String, got: String)
    /// The weights have a key layout that is none of those known.
    case unknownLayout(file: String, expected: String)

    public var description: String {
        switch self {
        case .notAModelFolder(let path, let expected):
            "'\(path)' is no model folder: \(expected) expected in it; give the folder that holds the weights and their configuration"
        case .unreadable(let file, let reason):
            "\(file): \(reason)"
        case .invalidValue(let file, let key, let expected, let got):
            "\(file): '\(key)' is \(got), expected \(expected)"
        case .unknownLayout(let file, let expected):
            "\(file): the tensor names are of no known layout; expected \(expected)"
        }
    }

    public var errorDescription: String? { description }
}
