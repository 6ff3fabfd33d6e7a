// Large batches without the memory of large batches: the model reads a batch in pieces, and reads it twice (gradient
// caching), so its pixels wait as bytes and become floats a piece at a time.

import Images

/// A batch that comes in pieces, the first of them at once and the others as they are asked for.
///
/// Samples that cannot be read are missing from their piece; a piece of which nothing is left is no piece. Pieces that have
/// come stay with the batch.
public final class PiecewiseBatch {
    /// Where the sampler stands once the batch is used.
    public let next: SamplerPosition
    private var pieces: [ImageBatch]
    private let nextPiece: () throws -> ImageBatch?

    fileprivate init(first: ImageBatch, nextPiece: @escaping () throws -> ImageBatch?) {
        next = first.next
        pieces = [first]
        self.nextPiece = nextPiece
    }

    /// The piece with this number, from 0; nil after the last.
    /// - Throws: what the loader throws for a piece that has not come yet.
    public func piece(_ number: Int) throws -> ImageBatch? {
        while pieces.count <= number {
            guard let piece = try nextPiece() else { return nil }
            pieces.append(piece)
        }
        return pieces[number]
    }

    /// Samples in it, ids and indices: of all pieces that have come.
    public var count: Int { pieces.reduce(0) { $0 + $1.count } }
    public var ids: [String] { pieces.flatMap(\.ids) }
    public var indices: [Int] { pieces.flatMap(\.indices) }
}

/// Loads batches in the background and hands them over in pieces of at most `pieceSize` samples.
///
/// A batch of one piece is loaded as floats, as by ``ImageBatchLoader``. One of several is loaded as bytes, which it keeps
/// until it is dropped; its floats are those of ``PixelBatch/normalized()``, made and dropped with every use of a piece.
public final class PiecewiseLoader {
    /// Bytes of pixels that may be loaded ahead of the batch in use, when it has several pieces; two pieces always are.
    public static let prefetchedBytes = 32 << 20
    /// Floats of pixels above which only one batch of one piece is loaded ahead, else two.
    private static let largeBatch = 256 << 20

    private let loader: ImageBatchLoader
    /// The batch handed over last: what it has not asked for yet comes before the next one.
    private var openPieces = OpenPieces()

    /// What is left of the batch at hand.
    private final class OpenPieces {
        var isAtEnd = true
    }

    /// - Parameters:
    ///   - batchSize: samples of a batch of `batches`.
    ///   - pieceSize: nil for whole batches.
    ///   - usedStreams: streams of which most samples have an image; says what a batch takes, and so how much is loaded ahead.
    ///   - maximumSkippedShare: as in ``ImageBatchLoader/Options``; the other parameters as in its `init`.
    /// - Throws: ``DatasetError/badSetting(name:expected:got:)``.
    public init<Batches: IteratorProtocol & Sendable>(
        _ batches: Batches, batchSize: Int, pieceSize: Int?, sampleCount: Int, streams: Int,
        usedStreams: Int, preprocessing: ImagePreprocessing, maximumSkippedShare: Double, skipped: [SkippedSample],
        sample: @escaping @Sendable (Int) throws -> ImageSample
    ) throws where Batches.Element == SampledBatch {
        let imageSize = preprocessing.outputSize ?? ImageSize(width: 1, height: 1)
        func loader(_ batches: some IteratorProtocol<SampledBatch> & Sendable, _ format: PixelFormat, ahead: Int) throws
            -> ImageBatchLoader
        {
            try ImageBatchLoader(
                batches, sampleCount: sampleCount, streams: streams, preprocessing: preprocessing,
                options: .init(prefetchedBatches: ahead, maximumSkippedShare: maximumSkippedShare, format: format),
                skipped: skipped, sample: sample)
        }
        if let pieceSize, pieceSize < batchSize {
            let bytes = pieceSize * PixelFormat.bytes.byteCount(of: imageSize) * usedStreams
            self.loader = try loader(
                PieceSampler(batches, size: pieceSize), .bytes, ahead: max(2, Self.prefetchedBytes / bytes))
        } else {
            let bytes = batchSize * PixelFormat.floats.byteCount(of: imageSize) * usedStreams
            self.loader = try loader(batches, .floats, ahead: bytes > Self.largeBatch ? 1 : 2)
        }
    }

    /// The next batch; waits for its first piece. nil after the last.
    ///
    /// Pieces that the batch before it was not asked for are passed over.
    /// - Throws: as ``ImageBatchLoader/next()``.
    public func next() throws -> PiecewiseBatch? {
        while !openPieces.isAtEnd { _ = try Self.nextPiece(loader, openPieces) }
        let open = OpenPieces()
        openPieces = open
        while let first = try loader.next() {
            open.isAtEnd = first.endsBatch
            // The end of a batch of which nothing could be read.
            if first.count == 0 { continue }
            return PiecewiseBatch(first: first) { [loader] in try Self.nextPiece(loader, open) }
        }
        return nil
    }

    private static func nextPiece(_ loader: ImageBatchLoader, _ open: OpenPieces) throws -> ImageBatch? {
        guard !open.isAtEnd, let piece = try loader.next() else {
            open.isAtEnd = true
            return nil
        }
        open.isAtEnd = piece.endsBatch
        return piece.count > 0 ? piece : nil
    }

    /// Time spent waiting for pieces, so far.
    public var waited: Duration { loader.waited }

    /// Every sample left out so far, each once, in order.
    public var skipped: [SkippedSample] { loader.skipped }
}
