import Alignment
import Foundation

/// Reasons why a captioner cannot be trained or used.
public enum CaptioningError: Error, Equatable, Sendable {
    // What belongs together and does not fit
    case anotherModel(role: String, expected: String, got: String, run: String)
    case anotherVocabulary(folder: String, expected: Int, got: Int, source: String)
    case anotherWidth(folder: String, expected: Int, got: Int, source: String)
    case anotherFeatureSize(expected: Int, got: Int, source: String)
    case prefixTooLong(prefixLength: Int, contextLength: Int, folder: String)

    // Data
    case missingReal(pair: String, manifest: String, source: String)
    case nothingToTrainOn(manifest: String)

    // Modalities
    case alignmentNeeded(source: String)
    case alignmentUnused(source: String)
    case noGeneratedEncoder(source: String)

    // Files
    case badFile(path: String, reason: String)
    case missingFile(folder: String, name: String)
    case notARun(path: String, reason: String)
    case noCheckpoint(run: String)
    case unknownStateDict(path: String, reason: String)
    case normalizationUnknown(path: String)
}

extension CaptioningError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .anotherModel(let role, let expected, let got, let run):
            "the captioner '\(run)' was trained with the \(role) \(expected); the one given is \(got). Give the one it was "
                + "trained with"
        case .anotherVocabulary(let folder, let expected, let got, let source):
            "the language model in '\(folder)' has a vocabulary of \(got) tokens, \(source) has one of \(expected); give "
                + "the language model that the captioner was trained with"
        case .anotherWidth(let folder, let expected, let got, let source):
            "the language model in '\(folder)' is \(got) wide, \(source) was made for a width of \(expected); give the "
                + "language model that the captioner was trained with"
        case .anotherFeatureSize(let expected, let got, let source):
            "the image embeddings have length \(got), \(source) was made for length \(expected); give the CLIP model that "
                + "the captioner was trained with"
        case .prefixTooLong(let prefixLength, let contextLength, let folder):
            "mapper.prefixLength is \(prefixLength), but the language model in '\(folder)' has a context of \(contextLength) "
                + "positions and a caption needs some of them; choose a prefix below \(contextLength)"
        case .missingReal(let pair, let manifest, let source):
            "'\(manifest)': pair '\(pair)' has no real image, which data.source \(source) trains on"
        case .nothingToTrainOn(let manifest):
            "none of the images of '\(manifest)' can be read"
        case .alignmentNeeded(let source):
            "data.source \(source) reads generated images with f_g: give the alignment run that trained it with --run"
        case .alignmentUnused(let source):
            "data.source \(source) reads every image with f_r, an alignment run has no part in it; leave out --run, or "
                + "choose the recipe gmail"
        case .noGeneratedEncoder(let source):
            "a captioner of data.source \(source) has no encoder of generated images (it was trained without --run); "
                + "caption them as --modality real, which reads them with f_r"
        case .badFile(let path, let reason):
            "'\(path)': \(reason)"
        case .missingFile(let folder, let name):
            "checkpoint '\(folder)' has no \(name); is it complete?"
        case .notARun(let path, let reason):
            "'\(path)' holds no run of gmail train captioner: \(reason)"
        case .noCheckpoint(let run):
            "run '\(run)' has no complete checkpoint yet; train it further with gmail train captioner --resume"
        case .unknownStateDict(let path, let reason):
            "'\(path)' is no state dict of ClipCap: \(reason)"
        case .normalizationUnknown(let path):
            "'\(path)' does not say whether image embeddings were scaled to length one in training, and a wrong guess only "
                + "lowers quality; say it with --normalize yes or --normalize no (the authors' MLP checkpoints: no, their "
                + "transformer ones: yes)"
        }
    }
}
