import Foundation

/// A diffusion model's folder or request that cannot be used.
public enum DiffusionError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
    case unreadable(file: String, reason: String)
    case invalidValue(file: String, key: String, expected: String, got: String)
    /// A setting that this implementation does not know, which therefore might change the result.
    case unknownSetting(file: String, key: String, got: String)
    /// A file or folder of the model is not there.
    case missing(path: String, expected: String)
    /// Parts of one model that do not fit each other.
    case mismatch(model: String, what: String, expected: String, got: String)
    /// A picture size that the model cannot make.
    case imageSize(width: Int, height: Int, multiple: Int)

    public var description: String {
        switch self {
        case .unreadable(let file, let reason):
            "\(file): \(reason)"
        case .invalidValue(let file, let key, let expected, let got):
            "\(file): '\(key)' is \(got), expected \(expected)"
        case .unknownSetting(let file, let key, let got):
            "\(file): '\(key)' is \(got), a setting that is not known here and could change the result; remove it if it does not"
        case .missing(let path, let expected):
            "'\(path)' is no Stable Diffusion folder of diffusers' layout: \(expected) expected; give the folder that holds model_index.json"
        case .mismatch(let model, let what, let expected, let got):
            "\(model): \(what) is \(got), expected \(expected); are the parts of one model?"
        case .imageSize(let width, let height, let multiple):
            "pictures of \(width)x\(height) cannot be made: width and height must be multiples of \(multiple)"
        }
    }

    public var errorDescription: String? { description }
}
