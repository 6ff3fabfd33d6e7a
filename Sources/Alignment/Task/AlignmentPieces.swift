import Files
import Torch

/// One batch of pairs whose images come in pieces, so that only one piece need be in memory at a time.
///
/// Gradient caching reads the generated images of all pieces in order, then the real ones if they are trained on, and
/// then all of them once more.
public struct AlignmentPieces {
    /// What belongs to the pairs beside the images that are trained on: row i of each part belongs to one caption.
    public struct Pairs {
        /// The names of the pairs in error messages.
        public var ids: [String]
        /// Which real image each pair shows; pairs with the same image are not negatives of each other.
        public var realIDs: [ExactString]
        /// `f_r(x_r)`, `[B, E]`: the trunk's output before any projection.
        public var real: Embeddings<Real>?
        /// `h(y)`, `[B, E]`
        public var text: Tensor?

        public init(ids: [String], realIDs: [ExactString], real: Embeddings<Real>?, text: Tensor?) {
            self.ids = ids
            self.realIDs = realIDs
            self.real = real
            self.text = text
        }
    }

    let generated: (Int) throws -> ImageBatch<Generated>?
    let real: (Int) throws -> ImageBatch<Real>?
    let pairs: () throws -> Pairs

    /// - Parameters:
    ///   - generated: the images of the piece with this number, from 0, on the training device; nil after the last.
    ///   - real: the same for real images; asked only by a loss that passes them through the trained encoder.
    ///   - pairs: asked once all pieces have come.
    public init(
        generated: @escaping (Int) throws -> ImageBatch<Generated>?,
        real: @escaping (Int) throws -> ImageBatch<Real>? = { _ in nil }, pairs: @escaping () throws -> Pairs
    ) {
        self.generated = generated
        self.real = real
        self.pairs = pairs
    }

    /// The input of one pass through an encoder.
    enum Part {
        case generated(ImageBatch<Generated>)
        case real(ImageBatch<Real>)
    }

    /// The parts that a loss reads with the trained encoder: the generated pieces, then the real ones.
    final class Parts {
        private let batch: AlignmentPieces
        private let readsReal: Bool
        /// Known once the pieces have come to an end.
        private var generatedParts: Int?
        /// Number of images in the generated pieces so far.
        private(set) var generatedCount = 0
        private(set) var realCount = 0
        private var seen = 0

        init(_ batch: AlignmentPieces, readsReal: Bool) {
            self.batch = batch
            self.readsReal = readsReal
        }

        subscript(index: Int) -> Part? {
            get throws {
                let isNew = index == seen
                if index < generatedParts ?? .max {
                    if let images = try batch.generated(index) {
                        if isNew {
                            generatedCount += images.count
                            seen += 1
                        }
                        return .generated(images)
                    }
                    generatedParts = index
                }
                guard readsReal, let generatedParts, let images = try batch.real(index - generatedParts) else {
                    return nil
                }
                if isNew {
                    realCount += images.count
                    seen += 1
                }
                return .real(images)
            }
        }
    }
}

extension AlignmentPieces.Pairs {
    /// - Parameters:
    ///   - generated: how many images came with the pairs; likewise `realImages` and `texts`, nil if none came or their
    ///     features are given here.
    /// - Throws: `AlignmentError` for parts of different lengths, or parts that `loss` needs and that are missing.
    func validate(
        for loss: AlignmentLoss, embeddingDimension: Int, step: Int, generated: Int, realImages: Int?, texts: Int? = nil
    ) throws {
        func count(_ what: String, _ got: Int) throws {
            if got != ids.count { throw AlignmentError.countMismatch(what: what, expected: ids.count, got: got) }
        }
        func check(_ what: String, _ features: Tensor) throws {
            let shape = features.shape
            // This happens with features from the cache of another model.
            guard shape.count == 2, shape[1] == embeddingDimension else {
                throw AlignmentError.shapeMismatch(
                    what: what, expected: "[\(ids.count), \(embeddingDimension)] of this encoder", got: shape)
            }
            try count(what, shape[0])
        }
        guard ids.count > 1 else { throw AlignmentError.batchTooSmall(step: step, got: ids.count) }
        try count("real ids", realIDs.count)
        try count("generated images", generated)
        if let realImages {
            try count("real images", realImages)
        } else if let real {
            try check("real features", real.tensor)
            if loss.needsRealPixels {
                throw AlignmentError.missingInput(
                    what: "real images (only their features)",
                    reason: "mixed training passes through the trained encoder")
            }
        } else if loss.needsReal {
            throw AlignmentError.missingInput(what: "real images", reason: "the loss compares with")
        }
        if let texts {
            try count("texts", texts)
        } else if let text {
            try check("text features", text)
        } else if loss.needsText {
            throw AlignmentError.missingInput(what: "texts", reason: "the loss compares with")
        }
    }
}
