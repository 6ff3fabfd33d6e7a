import Foundation

/// Preprocessed image files in order, a batch at a time, decoded ahead of the consumer on threads of their own.
///
/// The consumer computes on one batch while the next ones are decoded, so the slower of the two sets the pace. At most
/// `prefetch` batches wait, so memory does not grow with the number of files. A file that cannot be read or decoded
/// leaves its place in the batch and is reported with its error; it never stops the feed.
///
/// It is meant for a list of files that is read once, as for embedding. Training, with a sampler's order, several
/// images per sample and resuming, uses `Datasets.ImageBatchLoader`.
public final class ImageFeed: Sendable {
    /// Up to `batchSize` images, in the order of the files.
    public final class Batch: @unchecked Sendable {  // written by the feed, then handed over
        /// `[count, 3, H, W]` float32, row-major; valid while the batch lives.
        public private(set) var pixels: UnsafeMutableBufferPointer<Float>
        /// For each row, its index among the feed's paths.
        public fileprivate(set) var indices: [Int] = []
        /// Files of this batch that gave no row.
        public fileprivate(set) var failures: [(index: Int, error: any Error)] = []
        /// The size of every image.
        public let size: ImageSize

        fileprivate let first: Int
        fileprivate let slots: Int
        fileprivate let floatsPerImage: Int
        fileprivate var outcomes: [(any Error)?]
        fileprivate var pending: Int

        fileprivate init(first: Int, slots: Int, size: ImageSize) {
            self.first = first
            self.slots = slots
            self.size = size
            floatsPerImage = 3 * size.width * size.height
            pixels = .allocate(capacity: slots * floatsPerImage)
            outcomes = Array(repeating: nil, count: slots)
            pending = slots
        }

        deinit { pixels.deallocate() }

        public var count: Int { indices.count }

        fileprivate func slot(_ position: Int) -> UnsafeMutableBufferPointer<Float> {
            UnsafeMutableBufferPointer(rebasing: pixels[position * floatsPerImage..<(position + 1) * floatsPerImage])
        }

        /// Closes the gaps of failed files.
        fileprivate func finish() {
            for position in 0..<slots {
                if let error = outcomes[position] {
                    failures.append((first + position, error))
                    continue
                }
                if indices.count != position {
                    _ = slot(indices.count).update(fromContentsOf: slot(position))
                }
                indices.append(first + position)
            }
        }
    }

    /// Time spent by all decoding threads together, and by the consumer waiting for them.
    public struct Times: Sendable {
        public var read: Duration = .zero
        public var preprocessing = PreprocessingTimes()
        public var waiting: Duration = .zero
    }

    public var paths: [String] { shared.paths }
    /// The size of every image.
    public var size: ImageSize { shared.size }
    /// The sum so far.
    public var times: Times { shared.times }

    private let shared: Shared

    /// Starts the threads immediately.
    /// - Parameters:
    ///   - preprocessing: must have a fixed output size.
    ///   - workers: decoding threads.
    ///   - prefetch: batches held besides the one with the consumer.
    /// - Throws: `ImageError.invalidConfiguration` when images could come out in different sizes, `.invalidRequest` for a batch
    ///   that memory does not hold.
    public init(
        paths: [String], preprocessing: ImagePreprocessing, batchSize: Int,
        workers: Int = max(1, min(8, ProcessInfo.processInfo.activeProcessorCount)), prefetch: Int = 2
    ) throws {
        guard let size = preprocessing.outputSize else {
            throw ImageError.invalidConfiguration(
                file: "preprocessing", key: "do_center_crop",
                expected: "a crop or an exact size, so that images form a batch",
                got: "sizes that follow each image")
        }
        precondition(batchSize > 0 && workers > 0 && prefetch > 0)
        // Asked for once, since an allocation that fails later ends the process.
        let count = min(batchSize, max(1, paths.count))
        let (bytes, overflow) = (3 * size.width * size.height * MemoryLayout<Float>.stride)
            .multipliedReportingOverflow(by: count)
        guard !overflow, let memory = malloc(bytes) else {
            throw ImageError.invalidRequest(
                what: "a batch of \(count) images of \(size)", expected: "no more than memory holds",
                got: overflow ? "more than \(Int.max) bytes" : "\(bytes) bytes")
        }
        free(memory)
        let shared = Shared(
            paths: paths, preprocessing: preprocessing, size: size, batchSize: batchSize, prefetch: prefetch)
        self.shared = shared
        for number in 0..<workers {
            DecodingThread.start(name: "image-feed-\(number)", stackSize: 2 << 20) { shared.work() }
        }
    }

    deinit { shared.cancel() }

    /// The next batch; nil after the last. A batch may be short or even empty if files failed.
    public func next() -> Batch? { shared.next() }
}

extension ImageFeed {
    /// What consumer and threads share. The threads hold this and not the feed, so that dropping the feed ends them.
    private final class Shared: @unchecked Sendable {  // all mutable state is behind `condition`
        let paths: [String]
        let size: ImageSize
        private let preprocessing: ImagePreprocessing
        private let batchSize: Int
        private let prefetch: Int
        private let condition = NSCondition()
        private var batches: [Int: Batch] = [:]  // by batch number
        private var nextIndex = 0
        private var consumed = 0
        private var isCancelled = false
        private var total = Times()

        init(paths: [String], preprocessing: ImagePreprocessing, size: ImageSize, batchSize: Int, prefetch: Int) {
            self.paths = paths
            self.preprocessing = preprocessing
            self.size = size
            self.batchSize = batchSize
            self.prefetch = prefetch
        }

        var times: Times { condition.withLock { total } }

        func cancel() {
            condition.withLock {
                isCancelled = true
                condition.broadcast()
            }
        }

        func next() -> Batch? {
            let clock = ContinuousClock()
            let start = clock.now
            condition.lock()
            defer { condition.unlock() }
            guard consumed * batchSize < paths.count else { return nil }
            while true {
                if let batch = batches[consumed], batch.pending == 0 {
                    batches[consumed] = nil
                    consumed += 1
                    total.waiting += clock.now - start
                    condition.broadcast()
                    batch.finish()
                    return batch
                }
                condition.wait()
            }
        }

        func work() {
            let clock = ContinuousClock()
            while let (batch, position) = claim() {
                let path = paths[batch.first + position]
                let start = clock.now
                do {
                    let bytes = try readImageFile(path)
                    let read = clock.now - start
                    let times = try preprocessing.preprocess(bytes, name: path, into: batch.slot(position))
                    complete(batch, position, nil, read, times)
                } catch {
                    complete(batch, position, error, clock.now - start, PreprocessingTimes())
                }
            }
        }

        /// The next image to decode; waits while enough batches are ahead. Nil at the end.
        private func claim() -> (Batch, Int)? {
            condition.lock()
            defer { condition.unlock() }
            while !isCancelled, nextIndex < paths.count {
                let number = nextIndex / batchSize
                if number <= consumed + prefetch {
                    let first = number * batchSize
                    let batch =
                        batches[number]
                        ?? Batch(first: first, slots: min(batchSize, paths.count - first), size: size)
                    batches[number] = batch
                    defer { nextIndex += 1 }
                    return (batch, nextIndex - first)
                }
                condition.wait()
            }
            return nil
        }

        private func complete(
            _ batch: Batch, _ position: Int, _ error: (any Error)?, _ read: Duration, _ times: PreprocessingTimes
        ) {
            condition.withLock {
                batch.outcomes[position] = error
                batch.pending -= 1
                total.read += read
                total.preprocessing += times
                if batch.pending == 0 { condition.broadcast() }
            }
        }
    }
}
