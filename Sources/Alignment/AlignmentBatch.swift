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
        var pairs = AlignmentPieces.Pairs(ids: ids, realIDs: realIDs, real: nil, text: nil)
        var (realImages, texts): (Int?, Int?) = (nil, nil)
        switch real {
        case .images(let images)?: realImages = images.count
        case .features(let features)?: pairs.real = features
        case nil: break
        }
        switch text {
        case .tokens(let ids)?: texts = ids.size(0)
        case .features(let features)?: pairs.text = features
        case nil: break
        }
        try pairs.validate(
            for: loss, embeddingDimension: embeddingDimension, step: step, generated: generated.count,
            realImages: realImages, texts: texts)
    }
}
