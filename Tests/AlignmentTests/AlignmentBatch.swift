import Encoders
import Files
import Torch
import Training

@testable import Alignment

/// One batch of pairs: row i of everything belongs to one caption.
struct AlignmentBatch {
    /// Real images, or their embeddings from a cache.
    enum RealInput {
        case images(ImageBatch<Real>)
        /// `f_r(x_r)`, `[B, E]`: the trunk's output before any projection.
        case features(Embeddings<Real>)
    }

    /// Captions, or their embeddings from a cache.
    enum TextInput {
        /// `[B, T]`, int64
        case tokens(Tensor)
        /// `h(y)`, `[B, E]`
        case features(Tensor)
    }

    /// What error messages call the pairs.
    let ids: [String]
    /// Which real image each pair shows; equal ones are not negatives of each other.
    let realIDs: [ExactString]
    let generated: ImageBatch<Generated>
    let real: RealInput?
    let text: TextInput?
    /// Short captions likewise.
    let shortText: TextInput?

    init(
        ids: [String], realIDs: [ExactString], generated: ImageBatch<Generated>, real: RealInput?,
        text: TextInput? = nil, shortText: TextInput? = nil
    ) {
        self.ids = ids
        self.realIDs = realIDs
        self.generated = generated
        self.real = real
        self.text = text
        self.shortText = shortText
    }

    var count: Int { ids.count }

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
        var shortTexts: Int?
        if case .tokens(let ids)? = shortText { shortTexts = ids.size(0) }
        try pairs.validate(
            for: loss, embeddingDimension: embeddingDimension, step: step, generated: generated.count,
            realImages: realImages, texts: texts, shortTexts: shortTexts)
    }
}

extension AlignmentTask {
    /// A batch in memory, in pieces of at most `chunkSize`; features that need no gradient are computed.
    func pieces(of batch: AlignmentBatch) throws -> AlignmentPieces {
        try batch.validate(for: settings.loss, embeddingDimension: towers.trunk.embeddingDimension, step: step)
        let frozen = frozenFeatures(of: batch)
        let pairs = AlignmentPieces.Pairs(
            ids: batch.ids, realIDs: batch.realIDs, real: frozen.real, text: frozen.text, shortText: frozen.shortText)
        func tokens(_ input: AlignmentBatch.TextInput?) -> (Int) -> Tensor? {
            guard text != nil, case .tokens(let ids)? = input else { return piece([]) }
            return piece(GradientCaching.split(ids, size: settings.chunkSize))
        }
        func piece(_ chunks: [Tensor]) -> (Int) -> Tensor? { { $0 < chunks.count ? chunks[$0] : nil } }
        let generated = piece(GradientCaching.split(batch.generated.pixels, size: settings.chunkSize))
        var real = piece([])
        if settings.loss.needsRealPixels, case .images(let images)? = batch.real {
            real = piece(GradientCaching.split(images.pixels, size: settings.chunkSize))
        }
        return AlignmentPieces(
            generated: { generated($0).map { ImageBatch<Generated>($0) } },
            real: { [real] in real($0).map { ImageBatch<Real>($0) } },
            text: tokens(batch.text), shortText: tokens(batch.shortText), pairs: { pairs })
    }

    func frozenFeatures(
        of batch: AlignmentBatch
    ) -> (real: Embeddings<Real>?, text: Tensor?, shortText: Tensor?) {
        func chunked(_ input: Tensor, _ encode: (Tensor) -> Tensor) -> Tensor {
            let parts = GradientCaching.split(input, size: settings.chunkSize).map { part in
                withoutGradients { computing { encode(part) } }.to(.float32)
            }
            return parts.count == 1 ? parts[0] : .cat(parts)
        }
        var real: Embeddings<Real>?
        switch batch.real {
        case .features(let features)? where settings.loss.needsReal:
            real = Embeddings<Real>(features.tensor.detached().to(device).to(.float32))
        case .images(let images)? where settings.loss.needsReal && !settings.loss.needsRealPixels:
            real = Embeddings<Real>(chunked(images.pixels) { self.towers.real(ImageBatch<Real>($0)).tensor })
        default: break
        }
        func features(_ input: AlignmentBatch.TextInput?, _ isNeeded: Bool) -> Tensor? {
            switch input {
            case .features(let features)? where isNeeded: features.detached().to(device).to(.float32)
            case .tokens(let ids)? where isNeeded && self.text == nil:
                chunked(ids) { (self.towers.trunk as! any TextEncoder).textFeatures($0) }
            default: nil
            }
        }
        return (
            real, features(batch.text, settings.loss.needsText), features(batch.shortText, settings.loss.needsShortText)
        )
    }

    func step(_ batch: AlignmentBatch) throws -> StepReport { try step(pieces(of: batch)) }

    func backward(_ batch: AlignmentBatch) throws -> Outcome { try backward(pieces(of: batch)) }

    func validate(_ batches: some Sequence<AlignmentBatch>, ranks: [Int] = [1, 5, 10]) throws -> ValidationReport {
        var batches = batches.makeIterator()
        return try validate(ranks: ranks) { try batches.next().map(pieces) }
    }

    func embeddings(
        of batch: AlignmentBatch
    ) throws -> (generated: Embeddings<Generated>, real: Embeddings<Real>?, text: Tensor?) {
        let parts = try embeddings(of: pieces(of: batch))
        return (parts.generated, parts.real, parts.pairs.text)
    }
}

extension StepReport {
    subscript(name: String) -> Double? { metrics.first { $0.name == name }?.value }
}
