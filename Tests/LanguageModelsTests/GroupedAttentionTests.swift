import Testing
import Torch

@testable import LanguageModels

/// Fewer heads of keys than of queries: the same as every head of queries with its own copy.
@Suite struct GroupedAttentionTests {
    private let heads = 6
    private let size = 8
    private let generator = Generator(seed: 8)

    private func numbers(_ shape: [Int]) -> Tensor { .randn(shape, generator: generator) }

    /// Heads of keys and values repeated for their queries: `[B, T, 2, K, d]` to `[B, T, 2, H, d]`.
    private func copies(_ keyValue: Tensor) -> Tensor {
        let shape = keyValue.shape
        let places = (0..<heads).map { Int64($0 * shape[3] / heads) }
        return keyValue.indexSelect(3, Tensor(places))
    }

    private func attention(keyHeads: Int, dropout: Double = 0) -> CausalAttention {
        CausalAttention(headCount: heads, keyHeadCount: keyHeads, scale: 0.3, dropout: dropout)
    }

    @Test(arguments: [1, 2, 3], [false, true]) func withoutACache(keyHeads: Int, isMasked: Bool) {
        let query = numbers([3, 5, heads, size])
        let keyValue = numbers([3, 5, 2, keyHeads, size])
        let mask = isMasked ? Tensor([0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1] as [Int64], shape: [3, 5]) : nil
        let pattern = AttentionPattern(mask: mask, past: 0, newCount: 5, device: .cpu)
        let got = attention(keyHeads: keyHeads)(query, keyValue, pattern: pattern, cache: nil, layer: 0, dropout: nil)
        let wanted = attention(keyHeads: heads)(
            query, copies(keyValue), pattern: pattern, cache: nil, layer: 0, dropout: nil)
        #expect(got.shape == [3, 5, heads * size])
        #expect(maximumDifference(got, wanted) < 1e-5)
    }

    /// Three positions at once, then one by one, with rows that change places, multiply and are padded.
    @Test(arguments: [1, 2, 3], [false, true]) func withACache(keyHeads: Int, isMasked: Bool) {
        let grouped = KeyValueCache(layerCount: 1, headCount: keyHeads, headSize: size, block: 4)
        let whole = KeyValueCache(layerCount: 1, headCount: heads, headSize: size, block: 4)
        var rows = 2
        var paddings = isMasked ? [2, 0] : [0, 0]
        for (step, count) in [3, 1, 1, 1, 1, 1].enumerated() {
            if step == 2 {
                for cache in [grouped, whole] { cache.select(rows: [1, 0, 1]) }
                paddings = [paddings[1], paddings[0], paddings[1]]
                rows = 3
            }
            let past = grouped.length
            let mask =
                isMasked
                ? Tensor(
                    paddings.flatMap { padding in (0..<past + count).map { $0 >= padding } },
                    shape: [rows, past + count])
                : nil
            let pattern = AttentionPattern(mask: mask, past: past, newCount: count, device: .cpu)
            let query = numbers([rows, count, heads, size])
            let keyValue = numbers([rows, count, 2, keyHeads, size])
            let (got, wanted) = inferenceMode {
                (
                    attention(keyHeads: keyHeads)(
                        query, keyValue, pattern: pattern, cache: grouped, layer: 0, dropout: nil),
                    attention(keyHeads: heads)(
                        query, copies(keyValue), pattern: pattern, cache: whole, layer: 0, dropout: nil)
                )
            }
            #expect(got.shape == [rows, count, heads * size])
            // Positions that are padding see nothing that means anything.
            let from = step == 0 && isMasked ? 2 : 0
            #expect(maximumDifference(got.slice(1, from..<count), wanted.slice(1, from..<count)) < 1e-5, "step \(step)")
        }
    }

    @Test func gradientsAndDropout() {
        let query = numbers([2, 4, heads, size])
        let keyValue = numbers([2, 4, 2, 2, size])
        let pattern = AttentionPattern(mask: nil, past: 0, newCount: 4, device: .cpu)
        func gradient(_ attention: CausalAttention, _ keys: (Tensor) -> Tensor) -> Tensor {
            let leaf = keyValue.clone()
            leaf.requiresGrad = true
            let result = attention(
                query, keys(leaf), pattern: pattern, cache: nil, layer: 0, dropout: Generator(seed: 5))
            (result * result).sum().backward()
            return leaf.grad!
        }
        for dropout in [0, 0.4] {
            let got = gradient(attention(keyHeads: 2, dropout: dropout)) { $0 }
            let wanted = gradient(attention(keyHeads: heads, dropout: dropout), copies)
            #expect(maximumDifference(got, wanted) < 1e-4, "dropout \(dropout)")
        }
    }
}
