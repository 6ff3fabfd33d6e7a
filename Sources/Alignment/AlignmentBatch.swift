import Torch

/// One batch of pairs: row i of everything belongs to one caption.
public struct AlignmentBatch {
    /// Real images, or their embeddings from a cache.
    public enum RealInput {
        case images(ImageBatch<Real>)
        /// `f_r(x_r)`, `[B, E]`: the trunk's output before any projection.
        case features(Embeddings<Real>)
    }

    /// Captions, or their embeddings from a cache.
    public enum TextInput {
        /// `[B, T]`, int64
        case tokens(Tensor)
        /// `h(y)`, `[B, E]`
        case features(Tensor)
    }

    /// What error messages call the pairs.
    public let ids: [String]
    /// Which real image each pair shows; equal ones are not negatives of each other.
    public let realIDs: [String]
    public let generated: ImageBatch<Generated>
    public let real: RealInput?
    public let text: TextInput?

    public init(
        ids: [String], realIDs: [String], generated: ImageBatch<Generated>, real: RealInput?, text: TextInput? = nil
    ) {
        self.ids = ids
        self.realIDs = realIDs
        self.generated = generated
        self.real = real
        self.text = text
    }

    public var count: Int { ids.count }

    /// - Throws: `AlignmentError`: parts of different lengths, or missing for `loss`.
    func validate(for loss: AlignmentLoss, embeddingDimension: Int, step: Int) throws {
        // Features from the cache of another model.
        func dimension(_ what: String, _ features: Tensor) throws {
            let shape = features.shape
            guard shape.count == 2, shape[1] == embeddingDimension else {
                throw AlignmentError.shapeMismatch(
                    what: what, expected: "[\(ids.count), \(embeddingDimension)] of this encoder", got: shape)
            }
        }
        func count(_ what: String, _ got: Int) throws {
            if got != ids.count { throw AlignmentError.countMismatch(what: what, expected: ids.count, got: got) }
        }
        guard ids.count > 1 else { throw AlignmentError.batchTooSmall(step: step, got: ids.count) }
        try count("real ids", realIDs.count)
        try count("generated images", generated.count)
        switch real {
        case .images(let images)?: try count("real images", images.count)
        case .features(let features)?:
            try dimension("real features", features.tensor)
            try count("real features", features.count)
        case nil:
            if loss.needsReal {
                throw AlignmentError.missingInput(what: "real images", reason: "the loss compares with")
            }
        }
        if loss.needsRealPixels, case .features? = real {
            throw AlignmentError.missingInput(
                what: "real images (only their features)", reason: "mixed training passes through the trained encoder")
        }
        switch text {
        case .tokens(let ids)?: try count("texts", ids.size(0))
        case .features(let features)?:
            try dimension("text features", features)
            try count("text features", features.size(0))
        case nil:
            if loss.needsText {
                throw AlignmentError.missingInput(what: "texts", reason: "the loss compares with")
            }
        }
    }
}
