// Which samples stand in which batch: seeded, without replacement within an epoch, the same on every machine.

import Randomness

/// Where a sampler stands: everything a checkpoint needs besides the sampler's settings.
public struct SamplerPosition: Sendable, Hashable, Codable {
    /// Passes over the data completed.
    public var epoch: Int
    /// Samples of this epoch already given out.
    public var cursor: Int

    public init(epoch: Int = 0, cursor: Int = 0) {
        self.epoch = epoch
        self.cursor = cursor
    }
}

/// The sample indices of one batch.
public struct SampledBatch: Sendable, Hashable {
    public let indices: [Int]
    /// Where the sampler stands once this batch is used; resume from here.
    public let next: SamplerPosition
    /// Whether this is the end of a batch, or all of one: false for every piece but the last (``PieceSampler``).
    public var endsBatch = true
}

/// Batches of `0..<count` in an order that depends on seed and epoch alone, for ever.
///
/// Each epoch is a Fisher-Yates shuffle driven by SplitMix64, seeded with (seed, epoch): a position needs no generator
/// state, and any epoch can be made without those before it. Memory is 4 bytes per sample.
public struct ShuffledSampler: Sequence, IteratorProtocol, Sendable {
    public let count: Int
    public let batchSize: Int
    public let seed: UInt64
    /// Whether an epoch's last batch, when smaller than the others, is left out.
    public let dropLast: Bool
    /// Where the next batch begins.
    public private(set) var position: SamplerPosition

    private var order: [Int32] = []
    private var orderEpoch = -1

    /// - Throws: ``DatasetError/badSetting(name:expected:got:)`` or ``DatasetError/badSamplerPosition(expected:got:)``.
    public init(
        count: Int, batchSize: Int, seed: UInt64, dropLast: Bool = true, position: SamplerPosition = .init()
    ) throws {
        guard (1...Int(Int32.max)).contains(count) else {
            throw DatasetError.badSetting(name: "sample count", expected: "1...\(Int32.max)", got: "\(count)")
        }
        guard batchSize > 0, !dropLast || batchSize <= count else {
            throw DatasetError.badSetting(
                name: "batch size", expected: "1...\(count), the number of samples", got: "\(batchSize)")
        }
        guard position.epoch >= 0, (0...count).contains(position.cursor) else {
            throw DatasetError.badSamplerPosition(
                expected: "epoch at least 0, cursor 0...\(count)",
                got: "epoch \(position.epoch), cursor \(position.cursor)")
        }
        self.count = count
        self.batchSize = batchSize
        self.seed = seed
        self.dropLast = dropLast
        self.position = position
    }

    public mutating func next() -> SampledBatch? {
        let left = count - position.cursor
        if left == 0 || dropLast && left < batchSize { position = SamplerPosition(epoch: position.epoch + 1) }
        if orderEpoch != position.epoch { shuffle(epoch: position.epoch) }
        let end = Swift.min(position.cursor + batchSize, count)
        let indices = order[position.cursor..<end].map(Int.init)
        position.cursor = end
        return SampledBatch(indices: indices, next: position)
    }

    private mutating func shuffle(epoch: Int) {
        // The epoch goes through the generator once, so that neighbouring seeds and epochs share no sequence.
        var mixer = SplitMix64(seed: UInt64(epoch))
        var generator = SplitMix64(seed: seed ^ mixer.next())
        order = (0..<Int32(count)).map { $0 }
        order.withUnsafeMutableBufferPointer { order in
            for i in stride(from: count - 1, to: 0, by: -1) {
                order.swapAt(i, Int(generator.next(below: UInt64(i + 1))))
            }
        }
        orderEpoch = epoch
    }
}

/// Batches of `0..<count` in ascending order, once: for validation and for embedding whole sets.
public struct SequentialSampler: Sequence, IteratorProtocol, Sendable {
    public let count: Int
    public let batchSize: Int
    private var cursor = 0

    public init(count: Int, batchSize: Int) {
        precondition(count >= 0 && batchSize > 0)
        self.count = count
        self.batchSize = batchSize
    }

    public mutating func next() -> SampledBatch? {
        guard cursor < count else { return nil }
        let end = Swift.min(cursor + batchSize, count)
        defer { cursor = end }
        return SampledBatch(indices: Array(cursor..<end), next: SamplerPosition(epoch: 0, cursor: end))
    }
}

/// The batches of another sampler, each in pieces of at most `size` samples.
///
/// Every piece names the position behind its whole batch: a batch is used as one, so there is no position within it.
public struct PieceSampler<Batches: IteratorProtocol & Sendable>: Sequence, IteratorProtocol, Sendable
where Batches.Element == SampledBatch {
    public let size: Int
    private var batches: Batches
    private var current: SampledBatch?
    private var cursor = 0

    public init(_ batches: Batches, size: Int) {
        precondition(size > 0)
        self.batches = batches
        self.size = size
    }

    public mutating func next() -> SampledBatch? {
        if current == nil {
            current = batches.next()
            cursor = 0
        }
        guard let batch = current else { return nil }
        let end = Swift.min(cursor + size, batch.indices.count)
        defer { cursor = end }
        let isLast = end == batch.indices.count
        if isLast { current = nil }
        return SampledBatch(indices: Array(batch.indices[cursor..<end]), next: batch.next, endsBatch: isLast)
    }
}
