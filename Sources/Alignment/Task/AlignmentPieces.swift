import Files
import Torch

/// One batch of pairs whose images come in pieces, so that only one piece need be in memory at a time.
///
/// Gradient caching reads the generated images of all pieces in order, then the real ones if they are trained on, then the
/// captions if the text encoder is trained, and then all of them once more.
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
        /// The same of short captions.
        public var shortText: Tensor?

        public init(
            ids: [String], realIDs: [ExactString], real: Embeddings<Real>?, text: Tensor?, shortText: Tensor? = nil
        ) {
            self.ids = ids
            self.realIDs = realIDs
            self.real = real
            self.text = text
            self.shortText = shortText
        }
    }

    let generated: (Int) throws -> ImageBatch<Generated>?
    let real: (Int) throws -> ImageBatch<Real>?
    let text: (Int) throws -> Tensor?
    let shortText: (Int) throws -> Tensor?
    let pairs: () throws -> Pairs

    /// - Parameters:
    ///   - generated: the images of the piece with this number, from 0, on the training device; nil after the last.
    ///   - real: the same for real images; asked only by a loss that passes them through the trained encoder.
    ///   - text: token ids int64 `[b, T]` of the captions, in pieces; asked after the images, where the text encoder is trained.
    ///   - shortText: the same of short captions.
    ///   - pairs: asked once all pieces have come.
    public init(
        generated: @escaping (Int) throws -> ImageBatch<Generated>?,
        real: @escaping (Int) throws -> ImageBatch<Real>? = { _ in nil },
        text: @escaping (Int) throws -> Tensor? = { _ in nil },
        shortText: @escaping (Int) throws -> Tensor? = { _ in nil }, pairs: @escaping () throws -> Pairs
    ) {
        self.generated = generated
        self.real = real
        self.text = text
        self.shortText = shortText
        self.pairs = pairs
    }

    /// The input of one pass through an encoder.
    enum Part {
        case generated(ImageBatch<Generated>)
        case real(ImageBatch<Real>)
        case text(Tensor)
        case shortText(Tensor)

        var rowCount: Int {
            switch self {
            case .generated(let images): images.count
            case .real(let images): images.count
            case .text(let ids), .shortText(let ids): ids.size(0)
            }
        }
    }

    enum Stream: Int, CaseIterable {
        case generated, real, text, shortText
    }

    /// The parts that a loss reads with trained encoders: all of one stream, then all of the next.
    final class Parts {
        private let batch: AlignmentPieces
        private let streams: [Stream]
        /// Parts of each stream, known once they have come to an end.
        private var lengths: [Stream: Int] = [:]
        private var rows: [Stream: Int] = [:]
        private var seen = 0

        init(_ batch: AlignmentPieces, readsReal: Bool, readsText: Bool, readsShortText: Bool) {
            self.batch = batch
            streams = Stream.allCases.filter { stream in
                switch stream {
                case .generated: true
                case .real: readsReal
                case .text: readsText
                case .shortText: readsShortText
                }
            }
        }

        /// Rows of a stream that have come.
        func count(of stream: Stream) -> Int { rows[stream] ?? 0 }

        subscript(index: Int) -> Part? {
            get throws {
                var number = index
                for stream in streams {
                    if let length = lengths[stream], number >= length {
                        number -= length
                        continue
                    }
                    if let part = try part(stream, number) {
                        if index == seen {
                            rows[stream, default: 0] += part.rowCount
                            seen += 1
                        }
                        return part
                    }
                    lengths[stream] = number
                    number = 0
                }
                return nil
            }
        }

        private func part(_ stream: Stream, _ number: Int) throws -> Part? {
            switch stream {
            case .generated: try batch.generated(number).map(Part.generated)
            case .real: try batch.real(number).map(Part.real)
            case .text: try batch.text(number).map(Part.text)
            case .shortText: try batch.shortText(number).map(Part.shortText)
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
        for loss: AlignmentLoss, embeddingDimension: Int, step: Int, generated: Int, realImages: Int?,
        texts: Int? = nil,
        shortTexts: Int? = nil
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
        if let shortTexts {
            try count("short texts", shortTexts)
        } else if let shortText {
            try check("features of short texts", shortText)
        } else if loss.needsShortText {
            throw AlignmentError.missingInput(what: "short texts", reason: "the loss compares with")
        }
    }
}
