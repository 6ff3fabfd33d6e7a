import Foundation

/// A small model that cannot be made as asked.
public enum MiniatureError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case captionTooLong(caption: String, limit: Int, what: String)
    case latentSize(folder: String, expected: String, got: Int)
    case fixedLength(key: String, got: Int, begun: Int)
    case folderExists(path: String)
    case unfinishedRun(model: String, path: String)

    public var description: String {
        switch self {
        case .captionTooLong(let caption, let limit, let what):
            "the caption '\(caption)' has more than the \(limit) tokens that \(what) reads; raise its context or model.mergeLimit"
        case .latentSize(let folder, let expected, let got):
            "the autoencoder '\(folder)' makes latents of \(got)x\(got), which the UNet's model.channels cannot halve often enough; expected \(expected)"
        case .fixedLength(let key, let got, let begun):
            "\(key) is \(got), but the run was begun with \(begun) and its cosine schedule depends on it; resume with \(begun), or begin a run in another folder"
        case .folderExists(let path):
            "'\(path)' exists already; give another folder"
        case .unfinishedRun(let model, let path):
            "the run '\(path)' holds no finished model (no model/); expected one of `gmail miniature train \(model)`"
        }
    }

    public var errorDescription: String? { description }
}
