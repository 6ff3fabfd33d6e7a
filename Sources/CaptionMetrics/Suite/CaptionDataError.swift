import CaptionFiles
import Foundation

/// What can be wrong with captions and their files.
public enum CaptionDataError: Error, Equatable, Sendable {
    case unequalCounts(images: Int, references: Int, candidates: Int)
    case repeatedImage(ImageID)
    case noReferences(ImageID)
    /// Captions whose comparison would take minutes.
    case tooLong(ImageID, metric: String, candidate: Int, reference: Int)
    case noImages
    case noCommonImages(references: Int, candidates: Int, referenceExample: String, candidateExample: String)
    case wordVectors(path: String, expected: String, got: String)
}

extension CaptionDataError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .unequalCounts(let images, let references, let candidates):
            "captions do not pair up: \(images) images, \(references) lists of references, \(candidates) candidates; "
                + "all three must be equal in number"
        case .repeatedImage(let id):
            "image \(id) occurs twice: each image has one entry, with all its references and one candidate"
        case .noReferences(let id):
            "image \(id) has no reference caption: expected at least one"
        case .tooLong(let id, let metric, let candidate, let reference):
            "image \(id) has a candidate of \(candidate) words and a reference of \(reference); \(metric) compares every word "
                + "with every other, which is too many here. Shorten them, or leave \(metric) out"
        case .noImages:
            "no images to score: expected at least one image with references and a candidate"
        case .noCommonImages(let references, let candidates, let referenceExample, let candidateExample):
            "no image has both references and a candidate: \(references) images with references "
                + "(such as \(referenceExample)), \(candidates) with candidates (such as \(candidateExample)); "
                + "check that both files use the same image ids"
        case .wordVectors(let path, let expected, let got):
            "word vectors '\(path)': expected \(expected), got \(got)"
        }
    }
}
