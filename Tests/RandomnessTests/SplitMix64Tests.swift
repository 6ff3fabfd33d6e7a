import Foundation
import Randomness
import Testing

@Suite struct SplitMix64Tests {
    /// Numbers beyond 2^53 stand as text.
    struct Case: Decodable {
        let seed: String
        let bits: [String]
        let below: [String: [String]]
        let uniform: [Double]
        let streams: [[String]]
    }

    private static func cases() throws -> [Case] {
        let file = try #require(
            Bundle.module.url(forResource: "splitmix", withExtension: "json", subdirectory: "Fixtures"))
        return try JSONDecoder().decode([Case].self, from: Data(contentsOf: file))
    }

    /// Fixtures/make_splitmix.py, in Python's whole numbers.
    @Test func theSequenceIsThePublishedOne() throws {
        let cases = try Self.cases()
        #expect(cases.count == 4)
        for item in cases {
            let seed = try #require(UInt64(item.seed))
            var bits = SplitMix64(seed: seed)
            #expect(item.bits.map { _ in "\(bits.next())" } == item.bits)
            #expect(bits.state == seed &+ 6 &* 0x9e37_79b9_7f4a_7c15)
            var uniform = SplitMix64(seed: seed)
            #expect(item.uniform.map { _ in uniform.uniform() } == item.uniform)
            for (number, expected) in zip([0, 1, 77] as [UInt64], item.streams) {
                var stream = SplitMix64(seed: seed, stream: number)
                #expect(expected.map { _ in "\(stream.next())" } == expected)
            }
        }
        // The first numbers of seed 0 as the paper's reference code prints them.
        var zero = SplitMix64(seed: 0)
        #expect([zero.next(), zero.next()] == [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4])
    }

    /// Bounds just above 2^63 reject nearly half of all values; powers of two none.
    @Test func numbersBelowABoundAreLemires() throws {
        for item in try Self.cases() {
            for (bound, expected) in item.below {
                let limit = try #require(UInt64(bound))
                var generator = SplitMix64(seed: try #require(UInt64(item.seed)))
                let got = expected.map { _ in generator.next(below: limit) }
                #expect(got.map { "\($0)" } == expected, "seed \(item.seed), below \(bound)")
                #expect(got.allSatisfy { $0 < limit })
            }
        }
    }

    @Test func aPowerOfTwoTakesTheUpperBits() {
        for power in [1, 5, 31, 63] as [UInt64] {
            var (a, b) = (SplitMix64(seed: 9), SplitMix64(seed: 9))
            for _ in 0..<50 { #expect(a.next(below: 1 << power) == b.next() >> (64 - power)) }
            #expect(a == b)
        }
    }

    /// Every remainder as often as the others, within five standard deviations.
    @Test func numbersBelowABoundAreUniform() {
        var generator = SplitMix64(seed: 4)
        var counts = [Int](repeating: 0, count: 7)
        for _ in 0..<70_000 { counts[Int(generator.next(below: 7))] += 1 }
        #expect(counts.allSatisfy { abs(Double($0) - 10_000) < 5 * (10_000.0 * 6 / 7).squareRoot() })
        var sum = 0.0
        for _ in 0..<70_000 {
            let value = generator.uniform()
            #expect((0..<1).contains(value))
            sum += value
        }
        #expect(abs(sum / 70_000 - 0.5) < 5 * (1 / 12.0 / 70_000).squareRoot())
    }

    @Test func seedsAndStreamsAreApart() {
        var first: Set<UInt64> = []
        for seed in 0..<20 as Range<UInt64> {
            for stream in 0..<20 as Range<UInt64> {
                var generator = SplitMix64(seed: seed, stream: stream)
                first.insert(generator.next())
            }
        }
        #expect(first.count == 400)
        // A copy goes its own way from the same place.
        var a = SplitMix64(seed: 3)
        _ = a.next()
        var b = a
        #expect(a.next() == b.next() && a == b)
    }
}
