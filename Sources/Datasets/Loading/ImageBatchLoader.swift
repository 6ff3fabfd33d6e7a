// Decoding and preprocessing on threads of their own, ahead of the consumer, in the sampler's order.
//
// Work is shared out image by image over the oldest unfinished batch first, so that a batch is ready as early as
// possible; at most `prefetchedBatches` are being filled or waiting, so that memory is bounded.

import Foundation
import Images

/// Loads batches of images in the background.
///
/// The order of batches and of rows within them is the sampler's, whatever the number of threads. A sample with an
/// unreadable image is left out, named in ``ImageBatch/skipped``; when more than `maximumSkippedShare` of all samples are,
/// `next()` throws. A batch with no readable sample is passed over; of one that comes in pieces (`PieceSampler`) the last
/// piece is handed over even when it is empty, so that its end is seen.
///
/// `Images.ImageFeed` does the smaller job of embedding a list of files once: it reports failures in place and times
/// decoding and preprocessing apart. Training needs what would only be ballast there: several images per sample, a
/// sampler's order without end, samples left out across a resume, cancelling, and buffers that are used again.
public final class ImageBatchLoader: Sendable {
    public struct Options: Sendable {
        /// Threads that decode; at least 1.
        public var threads: Int
        /// Batches that may be filled or waiting at once; at least 1. One batch of 256 images of 224x224 is 154 MB per stream.
        public var prefetchedBatches: Int
        /// Share of all samples (0...1) that may be unreadable before `next()` throws.
        public var maximumSkippedShare: Double
        public var format: PixelFormat

        public init(
            threads: Int = ProcessInfo.processInfo.activeProcessorCount, prefetchedBatches: Int = 2,
            maximumSkippedShare: Double = 0, format: PixelFormat = .floats
        ) {
            self.threads = threads
            self.prefetchedBatches = prefetchedBatches
            self.maximumSkippedShare = maximumSkippedShare
            self.format = format
        }
    }

    private let core: LoaderCore

    /// - Parameters:
    ///   - batches: which samples, in which order; its end is the loader's end.
    ///   - sampleCount: of the whole set; `maximumSkippedShare` is a share of it.
    ///   - streams: images per sample, the length of every `ImageSample.images`.
    ///   - preprocessing: with a fixed output size.
    ///   - skipped: samples left out earlier in a run that is being resumed.
    ///   - sample: what to load for an index; called on the loader's threads. What it throws, `next()` throws.
    /// - Throws: ``DatasetError/badSetting(name:expected:got:)``.
    public init<Batches: IteratorProtocol & Sendable>(
        _ batches: Batches, sampleCount: Int, streams: Int, preprocessing: ImagePreprocessing,
        options: Options = .init(), skipped: [SkippedSample] = [],
        sample: @escaping @Sendable (Int) throws -> ImageSample
    ) throws where Batches.Element == SampledBatch {
        guard let size = preprocessing.outputSize else {
            throw DatasetError.badSetting(
                name: "preprocessing", expected: "a fixed output size (a crop, or an exact resize)", got: "none")
        }
        guard options.threads > 0, options.prefetchedBatches > 0, streams > 0 else {
            throw DatasetError.badSetting(
                name: "loader options", expected: "threads, prefetchedBatches and streams of at least 1",
                got: "\(options.threads), \(options.prefetchedBatches), \(streams)")
        }
        guard (0...1).contains(options.maximumSkippedShare) else {
            throw DatasetError.badSetting(
                name: "maximumSkippedShare", expected: "0...1", got: "\(options.maximumSkippedShare)")
        }
        core = LoaderCore(
            batches: batches, sampleCount: sampleCount, streams: streams, preprocessing: preprocessing,
            size: size, options: options, skipped: skipped, sample: sample)
        for number in 0..<options.threads {
            // Decoders keep their state on the heap; Foundation's default of 512 KiB is left some room.
            DecodingThread.start(name: "image-loader-\(number)", stackSize: 1 << 20) { [core] in core.work() }
        }
    }

    deinit { core.cancel() }

    /// The next batch; waits until it is complete. nil after the last.
    /// - Throws: ``DatasetError/tooManySkipped(skipped:total:maximumShare:first:)``, ``DatasetError/cancelled`` after
    ///   ``cancel()``, or what `sample` threw.
    public func next() throws -> ImageBatch? { try core.next() }

    /// Stops the threads; a waiting `next()` throws ``DatasetError/cancelled``. Dropping the loader does it too.
    public func cancel() { core.cancel() }

    /// Time that `next()` spent waiting, so far.
    public var waited: Duration { core.waited }

    /// Every sample left out in the batches handed over so far, each once, in order.
    public var skipped: [SkippedSample] { core.allSkipped }
}

/// What the loader and its threads share; all mutable state is guarded by `condition`.
private final class LoaderCore: @unchecked Sendable {
    private let condition = NSCondition()
    private var nextRequest: () -> SampledBatch?
    private var queue: [BatchInFlight] = []
    private var isAtEnd = false
    private var isCancelled = false
    private var waitedTime: Duration = .zero
    private var skippedSamples: [SkippedSample]
    private var skippedIndices: Set<Int>

    private let sampleCount: Int
    private let streams: Int
    private let preprocessing: ImagePreprocessing
    private let size: ImageSize
    private let options: ImageBatchLoader.Options
    private let sample: @Sendable (Int) throws -> ImageSample

    init<Batches: IteratorProtocol & Sendable>(
        batches: Batches, sampleCount: Int, streams: Int, preprocessing: ImagePreprocessing, size: ImageSize,
        options: ImageBatchLoader.Options, skipped: [SkippedSample],
        sample: @escaping @Sendable (Int) throws -> ImageSample
    ) where Batches.Element == SampledBatch {
        var batches = batches
        nextRequest = { batches.next() }
        self.sampleCount = sampleCount
        self.streams = streams
        self.preprocessing = preprocessing
        self.size = size
        self.options = options
        skippedSamples = skipped
        skippedIndices = Set(skipped.map(\.index))
        self.sample = sample
    }

    var waited: Duration {
        condition.withLock { waitedTime }
    }

    var allSkipped: [SkippedSample] {
        condition.withLock { skippedSamples }
    }

    func cancel() {
        condition.withLock {
            isCancelled = true
            queue.removeAll()
            condition.broadcast()
        }
    }

    // MARK: Consumer

    /// Whether the last piece was not its batch's end; the consumer's alone.
    private var isInBatch = false

    func next() throws -> ImageBatch? {
        while let finished = try nextFinished() {
            let batch = try finished.assemble()
            try note(batch.skipped)
            defer { isInBatch = !batch.endsBatch }
            if batch.count > 0 || isInBatch && batch.endsBatch { return batch }
        }
        return nil
    }

    private func nextFinished() throws -> BatchInFlight? {
        condition.lock()
        defer { condition.unlock() }
        let start = ContinuousClock.now
        defer { waitedTime += ContinuousClock.now - start }
        while true {
            if isCancelled { throw DatasetError.cancelled }
            if let front = queue.first, front.remaining == 0 {
                queue.removeFirst()
                condition.broadcast()
                return front
            }
            if queue.isEmpty && isAtEnd { return nil }
            condition.wait()
        }
    }

    private func note(_ skipped: [SkippedSample]) throws {
        guard !skipped.isEmpty else { return }
        try condition.withLock {
            for sample in skipped where skippedIndices.insert(sample.index).inserted { skippedSamples.append(sample) }
            // Counted against the whole set, so that one bad file among the first few does not stop a run.
            if Double(skippedSamples.count) > options.maximumSkippedShare * Double(sampleCount) {
                throw DatasetError.tooManySkipped(
                    skipped: skippedSamples.count, total: sampleCount, maximumShare: options.maximumSkippedShare,
                    first: Array(skippedSamples.prefix(10)))
            }
        }
    }

    // MARK: Threads

    func work() {
        while let (batch, row) = claim() {
            let outcome = batch.load(row: row, sample: sample)
            condition.withLock {
                batch.record(outcome, row: row)
                if batch.remaining == 0 { condition.broadcast() }
            }
        }
    }

    /// The next row to load; nil when there will be none.
    private func claim() -> (BatchInFlight, Int)? {
        condition.lock()
        defer { condition.unlock() }
        while !isCancelled {
            if let batch = queue.first(where: { $0.claimed < $0.request.indices.count }) {
                batch.claimed += 1
                return (batch, batch.claimed - 1)
            }
            if isAtEnd { return nil }
            guard queue.count < options.prefetchedBatches else {
                condition.wait()
                continue
            }
            guard let request = nextRequest() else {
                isAtEnd = true
                condition.broadcast()
                return nil
            }
            let pool = pool(rows: request.indices.count)
            queue.append(
                BatchInFlight(
                    request: request, streams: streams, preprocessing: preprocessing, size: size,
                    format: options.format,
                    pool: pool))
            // Others may be waiting for work.
            condition.broadcast()
        }
        return nil
    }

    private var currentPool: (rows: Int, pool: PixelBufferPool)?

    private func pool(rows: Int) -> PixelBufferPool {
        if let currentPool, currentPool.rows >= rows { return currentPool.pool }
        let pool = PixelBufferPool(
            byteCount: rows * options.format.byteCount(of: size), kept: (options.prefetchedBatches + 1) * streams)
        currentPool = (rows, pool)
        return pool
    }
}

/// A batch being filled.
private final class BatchInFlight: @unchecked Sendable {
    enum Outcome {
        case loaded(ImageSample)
        case skipped(SkippedSample)
        case failed(any Error)
    }

    let request: SampledBatch
    // Guarded by the core's condition.
    var claimed = 0
    private(set) var remaining: Int
    private var outcomes: [Outcome?]

    private let preprocessing: ImagePreprocessing
    private let size: ImageSize
    private let format: PixelFormat
    private let pool: PixelBufferPool
    private let bufferLock = NSLock()
    private var buffers: [PixelBuffer?]

    init(
        request: SampledBatch, streams: Int, preprocessing: ImagePreprocessing, size: ImageSize, format: PixelFormat,
        pool: PixelBufferPool
    ) {
        self.request = request
        self.preprocessing = preprocessing
        self.size = size
        self.format = format
        self.pool = pool
        remaining = request.indices.count
        outcomes = Array(repeating: nil, count: request.indices.count)
        buffers = Array(repeating: nil, count: streams)
    }

    private var bytesPerImage: Int { format.byteCount(of: size) }

    /// Loads every image of one row into its place; called without the lock, for each row by one thread.
    func load(row: Int, sample: (Int) throws -> ImageSample) -> Outcome {
        let index = request.indices[row]
        let description: ImageSample
        do {
            description = try sample(index)
        } catch {
            return .failed(error)
        }
        precondition(description.images.count == buffers.count, "a sample must name one image or nil per stream")
        for (stream, image) in description.images.enumerated() {
            guard let image else { continue }
            let target = UnsafeMutableRawBufferPointer(
                start: buffer(of: stream).memory + row * bytesPerImage, count: bytesPerImage)
            do {
                let bytes =
                    switch image {
                    case .file(let path): try readImageFile(path)
                    case .bytes(let bytes, _): bytes
                    }
                try load(bytes, name: image.name, into: target)
            } catch let error as ImageError {
                return .skipped(SkippedSample(index: index, id: description.id, reason: error.description))
            } catch {
                return .failed(error)
            }
        }
        return .loaded(description)
    }

    private func load(_ bytes: [UInt8], name: String, into target: UnsafeMutableRawBufferPointer) throws {
        switch format {
        case .floats:
            try preprocessing.preprocess(bytes, name: name, into: target.assumingMemoryBound(to: Float.self))
        case .bytes:
            try bytes.withUnsafeBytes {
                try preprocessing.crop($0, name: name, into: target.assumingMemoryBound(to: UInt8.self))
            }
        }
    }

    private func buffer(of stream: Int) -> PixelBuffer {
        bufferLock.withLock {
            if let buffer = buffers[stream] { return buffer }
            let buffer = pool.take()
            buffers[stream] = buffer
            return buffer
        }
    }

    func record(_ outcome: Outcome, row: Int) {
        outcomes[row] = outcome
        remaining -= 1
    }

    /// The finished batch; rows that were skipped or need no pixels are closed up.
    func assemble() throws -> ImageBatch {
        var indices: [Int] = []
        var ids: [String] = []
        var skipped: [SkippedSample] = []
        var rows: [[Int]] = Array(repeating: [], count: buffers.count)
        for (row, outcome) in outcomes.enumerated() {
            switch outcome! {
            case .failed(let error): throw error
            case .skipped(let sample): skipped.append(sample)
            case .loaded(let sample):
                for (stream, image) in sample.images.enumerated() where image != nil {
                    let place = rows[stream].count
                    if place != row, let memory = buffers[stream]?.memory {
                        (memory + place * bytesPerImage).copyMemory(
                            from: memory + row * bytesPerImage, byteCount: bytesPerImage)
                    }
                    rows[stream].append(indices.count)
                }
                indices.append(request.indices[row])
                ids.append(sample.id)
            }
        }
        let pixels = zip(rows, buffers).map { rows, buffer in
            PixelBatch(
                rows: rows, height: size.height, width: size.width, format: format,
                buffer: rows.isEmpty ? nil : buffer, preprocessing: preprocessing)
        }
        return ImageBatch(
            indices: indices, ids: ids, pixels: pixels, skipped: skipped, next: request.next,
            endsBatch: request.endsBatch)
    }
}
