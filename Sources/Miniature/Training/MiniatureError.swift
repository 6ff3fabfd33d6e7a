import Foundation

/// A small model that cannot be made as requested.
public enum MiniatureError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case captionTooLong(caption: String, limit: Int, what: String)
    case latentSize(folder: String, expected: String, got: Int)
    case folderExists(path: String)
    case unfinishedRun(model: String, path: String)

    public var description: String {
        switch self {
        case .captionTooLong(let caption, let limit, let what):
            "the caption '\(caption)' has more than the \(limit) tokens that \(what) reads; raise its context or model.mergeLimit"
        case .latentSize(let folder, let expected, let got):
            "the autoencoder '\(folder)' makes latents of \(got)x\(got), which the UNet's model.channels cannot halve often enough; expected \(expected)"
        case .folderExists(let path):
            "'\(path)' exists already; give another folder"
        case .unfinishedRun(let model, let path):
            "the run '\(path)' holds no finished model (no model/); expected one of `gmail miniature train \(model)`"
        }
    }

    public var errorDescription: String? { description }
}
