import Foundation

/// A scheduler configuration that cannot be reproduced exactly, or a number of steps that it does not support.
public enum SchedulerError: Error, Equatable, Sendable {
    case unknownKey(file: String, key: String, nearest: String?)
    /// A value that the reference supports and this program does not.
    case unsupported(file: String, key: String, supported: String, got: String)
    case badStepCount(scheduler: String, expected: String, got: Int)
}

extension SchedulerError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .unknownKey(let file, let key, let nearest):
            "\(file): unknown key '\(key)'" + (nearest.map { ". Did you mean '\($0)'?" } ?? "")
        case .unsupported(let file, let key, let supported, let got):
            "\(file): '\(key)' is \(got), which is not supported; supported: \(supported). "
                + "Choose another scheduler or change the file"
        case .badStepCount(let scheduler, let expected, let got):
            "\(scheduler): \(got) steps asked for, expected \(expected)"
        }
    }
}
