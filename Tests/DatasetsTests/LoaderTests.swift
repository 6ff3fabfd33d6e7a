import Datasets
import Files
import Foundation
import Images
import Safetensors
import Testing

@Suite struct LoaderTests {
    let folder = try! TemporaryFolder()
    let preprocessing = try! ImagePreprocessing.clip(side: 8)

    private func expected(_ path: String) throws -> [Float] {
        try preprocessing.tensor(readImageFile(path), name: path).values
    }

    private func floats(_ pixels: PixelBatch) -> [Float] { pixels.withUnsafeFloats { Array($0) } }

    @Test(arguments: [1, 2, 5])
    func batchesComeInOrderWithTheRightPixels(threads: Int) throws {
        let manifest = try folder.writePairs(11)
        let sampler = try ShuffledSampler(count: 11, batchSize: 3, seed: 1, dropLast: false)
        let loader = try ImageBatchLoader(
            sampler, of: manifest, streams: [.generated, .real], preprocessing: preprocessing,
            options: .init(threads: threads, prefetchedBatches: 2))
        var reference = sampler
        for _ in 0..<9 {
            let batch = try #require(try loader.next())
            let sampled = reference.next()!
            #expect(batch.indices == sampled.indices)
            #expect(batch.next == sampled.next)
            #expect(batch.ids == sampled.indices.map { "p\($0)" })
            #expect(batch.pixels[0].shape == [batch.count, 3, 8, 8])
            #expect(try floats(batch.pixels[0]) == batch.indices.flatMap { try expected(folder.file("gen-\($0).png")) })
            #expect(
                try floats(batch.pixels[1]) == batch.indices.flatMap { try expected(folder.file("real-\($0).png")) })
        }
    }

    @Test func aFiniteSamplerEndsTheLoader() throws {
        let manifest = try folder.writePairs(5)
        let loader = try ImageBatchLoader(
            SequentialSampler(count: 5, batchSize: 2), of: manifest, streams: [.real], preprocessing: preprocessing)
        var sizes: [Int] = []
        while let batch = try loader.next() { sizes.append(batch.count) }
        #expect(sizes == [2, 2, 1])
        #expect(try loader.next() == nil)
    }

    @Test func imagesThatAreNotNeededAreLeftOut() throws {
        let manifest = try folder.writePairs(4)
        let loader = try ImageBatchLoader(
            SequentialSampler(count: 4, batchSize: 4), of: manifest, streams: [.generated, .real],
            preprocessing: preprocessing
        ) { pair, stream in stream == .generated || pair.id == "p1" || pair.id == "p3" }
        let batch = try #require(try loader.next())
        #expect(batch.count == 4)
        #expect(batch.pixels[0].rows == [0, 1, 2, 3])
        #expect(batch.pixels[1].rows == [1, 3])
        #expect(try floats(batch.pixels[1]) == [1, 3].flatMap { try expected(folder.file("real-\($0).png")) })
        #expect(batch.pixels[1].shape == [2, 3, 8, 8])
    }

    @Test func unreadableImagesAreSkippedCountedAndNamed() throws {
        let manifest = try folder.writePairs(6)
        try AtomicFile.write("no image", to: folder.file("gen-1.png"))
        try FileManager.default.removeItem(atPath: folder.file("real-4.png"))
        let loader = try ImageBatchLoader(
            SequentialSampler(count: 6, batchSize: 3), of: manifest, streams: [.generated, .real],
            preprocessing: preprocessing, options: .init(maximumSkippedShare: 0.5))
        let first = try #require(try loader.next())
        #expect(first.indices == [0, 2])
        #expect(first.pixels[1].rows == [0, 1])
        #expect(try floats(first.pixels[1]) == [0, 2].flatMap { try expected(folder.file("real-\($0).png")) })
        #expect(first.skipped.map(\.id) == ["p1"])
        #expect(first.skipped[0].reason.contains("gen-1.png"))
        let second = try #require(try loader.next())
        #expect(second.indices == [3, 5])
        #expect(
            second.skipped[0].reason == "image '\(folder.file("real-4.png"))' cannot be read: No such file or directory"
        )
        #expect(loader.skipped.map(\.index) == [1, 4])
    }

    @Test func tooManyUnreadableImagesStop() throws {
        let manifest = try folder.writePairs(6)
        for index in [0, 5] { try AtomicFile.write("", to: folder.file("gen-\(index).png")) }
        let loader = try ImageBatchLoader(
            SequentialSampler(count: 6, batchSize: 3), of: manifest, streams: [.generated],
            preprocessing: preprocessing, options: .init(maximumSkippedShare: 0.2))
        #expect(try loader.next()?.count == 2)
        let text = message { _ = try loader.next() }
        #expect(
            text.hasPrefix(
                "2 of 6 samples cannot be read, more than the allowed share of 0.2 (maximumSkippedShare); the first: 'p0' ("
            ))
        #expect(text.contains("got 0 bytes"))
    }

    @Test func samplesSkippedBeforeAResumeCountOnce() throws {
        let manifest = try folder.writePairs(4)
        try AtomicFile.write("", to: folder.file("gen-2.png"))
        let before = [SkippedSample(index: 2, id: "p2", reason: "earlier")]
        let loader = try ImageBatchLoader(
            SequentialSampler(count: 4, batchSize: 4), of: manifest, streams: [.generated],
            preprocessing: preprocessing, options: .init(maximumSkippedShare: 0.25), skipped: before)
        #expect(try loader.next()?.indices == [0, 1, 3])
        #expect(loader.skipped == before)
    }

    @Test func cancellingWakesAWaitingConsumer() throws {
        let gate = DispatchSemaphore(value: 0)
        let loader = try ImageBatchLoader(
            SequentialSampler(count: 1, batchSize: 1), sampleCount: 1, streams: 1, preprocessing: preprocessing,
            options: .init(threads: 1)
        ) { _ in
            gate.wait()
            return ImageSample(id: "x", images: [nil])
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + 0.05) { loader.cancel() }
        #expect(throws: DatasetError.cancelled) { try loader.next() }
        #expect(loader.waited > .milliseconds(20))
        gate.signal()
    }

    @Test func whatTheSampleClosureThrowsReachesTheConsumer() throws {
        struct Failure: Error {}
        let loader = try ImageBatchLoader(
            SequentialSampler(count: 2, batchSize: 2), sampleCount: 2, streams: 1, preprocessing: preprocessing
        ) { _ in throw Failure() }
        #expect(throws: Failure.self) { try loader.next() }
    }

    /// Never more batches in the making than asked for, so that memory is bounded.
    @Test func prefetchingIsBounded() throws {
        final class Counter: @unchecked Sendable {
            let lock = NSLock()
            var highest = 0
            func see(_ index: Int) { lock.withLock { highest = max(highest, index) } }
        }
        let counter = Counter()
        let loader = try ImageBatchLoader(
            SequentialSampler(count: 100, batchSize: 5), sampleCount: 100, streams: 1, preprocessing: preprocessing,
            options: .init(threads: 3, prefetchedBatches: 2)
        ) { index in
            counter.see(index)
            return ImageSample(id: "\(index)", images: [nil])
        }
        _ = try loader.next()
        Thread.sleep(forTimeInterval: 0.1)
        #expect(counter.lock.withLock { counter.highest } < 15)
    }
}
