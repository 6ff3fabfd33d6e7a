import Encoders
import Foundation

/// Reasons why an alignment cannot go on.
public enum AlignmentError: Error, Equatable, Sendable {
    /// Images of one modality were given to the encoder of the other.
    case wrongModality(expected: Modality, got: Modality, source: String)
    /// Objective `none` and no text term.
    case nothingToTrain(objective: String)
    /// Text terms with an encoder that reads only images.
    case noText
    /// Of the text encoder; nil where there is none of a kind whose positions can be trained.
    case noTextPositions(contextLength: Int?)
    case tooFewPairs(manifest: String, count: Int, batchSize: Int)

    // A batch
    case countMismatch(what: String, expected: Int, got: Int)
    case batchTooSmall(step: Int, got: Int)
    case shapeMismatch(what: String, expected: String, got: [Int])
    case missingInput(what: String, reason: String)

    // A step
    case nonFiniteLoss(step: Int, terms: String, samples: [String])
    case nonFiniteGradient(step: Int, norm: String, samples: [String])

    // A checkpoint
    case missingFile(folder: String, name: String)
    case unreadableProgress(file: String, reason: String)

    // A run that is to be used
    case anotherBase(run: String, expected: String, got: String)
    case noCheckpoint(run: String)
    case noAdapter(run: String, kind: String)
}

extension AlignmentError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .wrongModality(let expected, let got, let source):
            "\(source): these are \(got) images, given to the encoder of \(expected) images; each modality is read by its"
                + " own encoder, so pass them as \(got) or check where they come from"
        case .nothingToTrain(let objective):
            "objective '\(objective)' without a weighted text term trains nothing; use the base model as it is, or give"
                + " loss.generatedTextWeight or loss.realTextWeight a value above 0"
        case .noTextPositions(let contextLength):
            "text.trainPositions trains a CLIP's text positions from \(LongCLIP.keptPositions) on; the model has "
                + (contextLength.map { "\($0) positions" } ?? "no such text encoder")
                + "; leave it false, or give a Long-CLIP (gmail model stretch makes one)"
        case .noText:
            "the loss has text terms (loss.kind mixed, loss.generatedTextWeight or loss.realTextWeight), and the model has no "
                + "text encoder; leave them out, or give a model with one"
        case .tooFewPairs(let manifest, let count, let batchSize):
            "training.batchSize is \(batchSize), but '\(manifest)' has \(count) pairs; a batch can have at most that many"
        case .countMismatch(let what, let expected, let got):
            "a batch of \(expected) pairs has \(got) \(what)"
        case .batchTooSmall(let step, let got):
            "step \(step): a batch of \(got) has no negatives to contrast with; 2 pairs are the least"
        case .shapeMismatch(let what, let expected, let got):
            "\(what) of shape \(got), expected \(expected)"
        case .missingInput(let what, let reason):
            "the batch has no \(what), which \(reason)"
        case .nonFiniteLoss(let step, let terms, let samples):
            "step \(step): the loss is not finite (\(terms)); no weight was changed. Samples: \(Self.list(samples))."
                + " Look at their images, or lower the learning rate"
        case .nonFiniteGradient(let step, let norm, let samples):
            "step \(step): the gradient is not finite (norm \(norm)); no weight was changed. Samples: \(Self.list(samples))."
                + " Look at their images, or lower the learning rate"
        case .missingFile(let folder, let name):
            "checkpoint '\(folder)' has no \(name); is it complete?"
        case .unreadableProgress(let file, let reason):
            "\(file): \(reason)"
        case .anotherBase(let run, let expected, let got):
            "run '\(run)' was trained on \(expected); the model given has weights \(got). Give the model it was begun with"
        case .noCheckpoint(let run):
            "run '\(run)' has no complete checkpoint yet; train it further with gmail align --resume"
        case .noAdapter(let run, let kind):
            "'\(run)' has no adapter to export: it was trained with adapter.kind \(kind), and --adapter is for lora"
        }
    }

    private static func list(_ samples: [String]) -> String {
        let shown = samples.prefix(8).joined(separator: ", ")
        return samples.count > 8 ? "\(shown) and \(samples.count - 8) more" : shown
    }
}
