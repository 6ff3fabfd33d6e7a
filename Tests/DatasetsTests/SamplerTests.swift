import Datasets
import Randomness
import Testing

@Suite struct SamplerTests {
    @Test func splitMixGivesThePublishedNumbers() {
        // The first outputs for seed 1234567 of Vigna's splitmix64.c.
        var generator = SplitMix64(seed: 1_234_567)
        let numbers: [UInt64] = (0..<3).map { _ in generator.next() }
        let published: [UInt64] = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        #expect(numbers == published)
    }

    /// Pinned for ever: a change here would change every run that is resumed.
    @Test func theOrderIsPinned() throws {
        var sampler = try ShuffledSampler(count: 10, batchSize: 5, seed: 42)
        let batches: [[Int]] = (0..<4).map { _ in sampler.next()!.indices }
        #expect(batches == Self.pinned)
    }
    // Computed apart from this code, in Python, from the definitions of SplitMix64, Lemire's method and Fisher-Yates.
    static let pinned = [[0, 6, 9, 1, 5], [7, 8, 2, 4, 3], [3, 8, 7, 1, 9], [0, 2, 6, 5, 4]]

    @Test(arguments: [true, false])
    func everyEpochHoldsEverySampleOnce(dropLast: Bool) throws {
        var sampler = try ShuffledSampler(count: 23, batchSize: 5, seed: 7, dropLast: dropLast)
        var epochs: [[Int]] = []
        for epoch in 0..<3 {
            var indices: [Int] = []
            for _ in 0..<(dropLast ? 4 : 5) {
                let batch = sampler.next()!
                #expect(batch.next.epoch == epoch)
                indices += batch.indices
            }
            #expect(Set(indices).count == (dropLast ? 20 : 23))
            #expect(indices.count == Set(indices).count)
            epochs.append(indices)
        }
        #expect(epochs[0] != epochs[1] && epochs[1] != epochs[2])
    }

    @Test(arguments: [true, false])
    func resumingAnywhereContinuesTheSequence(dropLast: Bool) throws {
        var whole = try ShuffledSampler(count: 11, batchSize: 3, seed: 5, dropLast: dropLast)
        let batches = (0..<12).map { _ in whole.next()! }
        for cut in 0..<11 {
            var resumed = try ShuffledSampler(
                count: 11, batchSize: 3, seed: 5, dropLast: dropLast, position: batches[cut].next)
            let rest: [SampledBatch] = (cut + 1..<12).map { _ in resumed.next()! }
            #expect(rest == Array(batches[(cut + 1)...]))
        }
    }

    @Test func seedsGiveDifferentOrders() throws {
        let orders = try (0..<20).map { seed in
            var sampler = try ShuffledSampler(count: 50, batchSize: 50, seed: UInt64(seed))
            return sampler.next()!.indices
        }
        #expect(Set(orders).count == 20)
    }

    @Test func theSequentialSamplerEnds() {
        #expect(SequentialSampler(count: 5, batchSize: 2).map(\.indices) == [[0, 1], [2, 3], [4]])
    }

    @Test func wrongSettingsAreNamed() {
        #expect(
            message { _ = try ShuffledSampler(count: 4, batchSize: 5, seed: 0) }
                == "batch size: expected 1...4, the number of samples, got 5")
        #expect(
            message { _ = try ShuffledSampler(count: 4, batchSize: 2, seed: 0, position: .init(epoch: 0, cursor: 9)) }
                == "sampler position: expected epoch at least 0, cursor 0...4, got epoch 0, cursor 9; was the data changed since the checkpoint?"
        )
    }
}
