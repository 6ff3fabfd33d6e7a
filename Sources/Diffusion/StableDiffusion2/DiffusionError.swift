import Foundation

/// A request that a generator cannot meet, or parts of a model that do not belong together.
public enum DiffusionError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
    /// Parts of one model that do not fit each other.
    case mismatch(model: String, what: String, expected: String, got: String)
    /// A picture size that the model cannot make.
    case imageSize(width: Int, height: Int, multiple: Int, largest: Int)
    /// An option that the model does not support.
    case badOption(name: String, expected: String, got: String)
    /// Guidance without anything to guide away from.
    case missingNegative(guidance: Double)
    /// More memory is needed than the machine has, or than the process may use.
    case outOfMemory(what: String, reason: String)

    public var description: String {
        switch self {
        case .mismatch(let model, let what, let expected, let got):
            "\(model): \(what) is \(got), expected \(expected); are the parts of one model?"
        case .imageSize(let width, let height, let multiple, let largest):
            "pictures of \(width)x\(height) cannot be made: width and height must be multiples of \(multiple) from "
                + "\(multiple) to \(largest)"
        case .badOption(let name, let expected, let got):
            "\(name) is \(got), expected \(expected)"
        case .missingNegative(let guidance):
            "guidance is \(guidance), but there are no states of a negative prompt to guide away from; give those of an "
                + "empty prompt, or guidance of 1"
        case .outOfMemory(let what, let reason):
            "the memory for \(what) is not there: \(reason); take a smaller batch or size, or a narrower dtype"
        }
    }

    public var errorDescription: String? { description }
}
