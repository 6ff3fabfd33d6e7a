import Datasets
import Files
import Foundation
import Images
import Safetensors
import Testing

@Suite struct PiecewiseLoaderTests {
    let folder = try! TemporaryFolder()
    let preprocessing = try! ImagePreprocessing.clip(side: 8)

    private func loader(
        _ batches: some IteratorProtocol<SampledBatch> & Sendable, batchSize: Int, pieceSize: Int?,
        _ manifest: PairsManifest, maximumSkippedShare: Double = 0
    ) throws -> PiecewiseLoader {
        try PiecewiseLoader(
            batches, batchSize: batchSize, pieceSize: pieceSize, sampleCount: manifest.count, streams: 2,
            usedStreams: 2, preprocessing: preprocessing, maximumSkippedShare: maximumSkippedShare, skipped: []
        ) { index in
            let pair = try manifest.pair(at: index)
            return ImageSample(
                id: pair.id,
                images: [.file(manifest.resolve(pair.generated)), pair.real.map { .file(manifest.resolve($0)) }])
        }
    }

    private func floats(_ pixels: PixelBatch) -> [Float] { pixels.normalized().withUnsafeFloats { Array($0) } }

    private func pieces(_ batch: PiecewiseBatch) throws -> [ImageBatch] {
        var pieces: [ImageBatch] = []
        while let piece = try batch.piece(pieces.count) { pieces.append(piece) }
        return pieces
    }

    @Test func piecesKeepOrderAndPosition() throws {
        let sampler = try ShuffledSampler(count: 11, batchSize: 5, seed: 3)
        var (whole, parts) = (sampler, PieceSampler(sampler, size: 2))
        for _ in 0..<5 {
            let batch = whole.next()!
            let pieces = (0..<3).map { _ in parts.next()! }
            #expect(pieces.map(\.indices.count) == [2, 2, 1])
            #expect(pieces.flatMap(\.indices) == batch.indices)
            #expect(pieces.allSatisfy { $0.next == batch.next })
            #expect(pieces.map(\.endsBatch) == [false, false, true])
        }
        let short = PieceSampler(SequentialSampler(count: 5, batchSize: 4), size: 4)
        #expect(Array(short).map(\.indices) == [[0, 1, 2, 3], [4]])
        #expect(Array(short).map(\.endsBatch) == [true, true])
    }

    /// The floats of the pieces are those of the whole batch, whichever time they are asked for.
    @Test func piecesAreTheWholeBatch() throws {
        let manifest = try folder.writePairs(11)
        let sampler = try ShuffledSampler(count: 11, batchSize: 5, seed: 1)
        let (whole, parts) = (
            try loader(sampler, batchSize: 5, pieceSize: nil, manifest),
            try loader(sampler, batchSize: 5, pieceSize: 2, manifest)
        )
        for _ in 0..<5 {
            let (a, b) = (try #require(try whole.next()), try #require(try parts.next()))
            let full = try #require(try a.piece(0))
            #expect(try a.piece(1) == nil)
            #expect(full.pixels[0].format == .floats)
            let pieces = try pieces(b)
            #expect(pieces.map(\.count) == [2, 2, 1])
            #expect(pieces.allSatisfy { $0.pixels.allSatisfy { $0.format == .bytes && $0.floats == nil } })
            #expect(a.ids == b.ids && a.indices == b.indices && a.count == b.count && a.next == b.next)
            for stream in 0..<2 {
                let expected = floats(full.pixels[stream])
                #expect(pieces.flatMap { floats($0.pixels[stream]) } == expected)
                #expect(try (0..<3).flatMap { floats(try #require(try b.piece($0)).pixels[stream]) } == expected)
            }
        }
    }

    @Test func piecesNotAskedForArePassedOver() throws {
        let manifest = try folder.writePairs(8)
        let parts = try loader(SequentialSampler(count: 8, batchSize: 4), batchSize: 4, pieceSize: 2, manifest)
        let first = try #require(try parts.next())
        #expect(first.ids == ["p0", "p1"])
        let second = try #require(try parts.next())
        #expect(try pieces(second).flatMap(\.ids) == ["p4", "p5", "p6", "p7"])
        #expect(try first.piece(1) == nil)
        #expect(try parts.next() == nil)
    }

    /// Unreadable samples anywhere in a batch, whole pieces and whole batches of them among the others.
    @Test func unreadableSamplesLeaveTheirPiece() throws {
        let manifest = try folder.writePairs(12)
        for index in [0, 6, 7, 8, 9, 10, 11] { try AtomicFile.write("", to: folder.file("gen-\(index).png")) }
        func ids(_ batchSize: Int, _ pieceSize: Int?) throws -> [[[String]]] {
            let parts = try loader(
                SequentialSampler(count: 12, batchSize: batchSize), batchSize: batchSize, pieceSize: pieceSize,
                manifest,
                maximumSkippedShare: 1)
            var all: [[[String]]] = []
            while let batch = try parts.next() {
                let pieces = try pieces(batch)
                #expect(pieces.flatMap { floats($0.pixels[0]) }.count == batch.count * 3 * 8 * 8)
                all.append(pieces.map(\.ids))
            }
            #expect(parts.skipped.map(\.index) == [0, 6, 7, 8, 9, 10, 11])
            return all
        }
        #expect(try ids(4, 1) == [[["p1"], ["p2"], ["p3"]], [["p4"], ["p5"]]])
        #expect(try ids(4, 2) == [[["p1"], ["p2", "p3"]], [["p4", "p5"]]])
        #expect(try ids(4, nil) == [[["p1", "p2", "p3"]], [["p4", "p5"]]])
        #expect(try ids(12, 4) == [[["p1", "p2", "p3"], ["p4", "p5"]]])
    }

    @Test func tooManyUnreadableImagesStopWithinABatch() throws {
        let manifest = try folder.writePairs(6)
        for index in [3, 5] { try AtomicFile.write("", to: folder.file("gen-\(index).png")) }
        let parts = try loader(
            SequentialSampler(count: 6, batchSize: 6), batchSize: 6, pieceSize: 2, manifest, maximumSkippedShare: 0.2)
        let batch = try #require(try parts.next())
        #expect(try batch.piece(1)?.ids == ["p2"])
        #expect(message { _ = try batch.piece(2) }.hasPrefix("2 of 6 samples cannot be read"))
    }
}
