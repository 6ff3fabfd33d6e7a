import Foundation
import Torch

/// Random choice by the inverse of the distribution function.
///
/// The tokens that pass the filters are in descending order of score, equal ones by id. A number u in [0, 1) picks the
/// first token whose cumulative probability exceeds u. transformers draws from the same distribution with
/// `torch.multinomial`.
/// first whose cumulative probability exceeds u. transformers draws with `torch.multinomial` from the same distribution.
struct SamplingChooser: TokenChooser {
    private let settings: GenerationSettings.Sampling
    private let table: [[Double]]

    init(_ settings: GenerationSettings.Sampling, table: [[Double]]) {
        self.settings = settings
        self.table = table
    }

    func choose(_ logits: Tensor, excluding excluded: [Int], sequences: [Int], index: Int) -> [Int] {
        let width = logits.size(1)
        let excluded = Set(excluded)
        return logits.to(.cpu).contiguous().withUnsafeBytes { bytes in
            let values = bytes.bindMemory(to: Float.self)
            return sequences.enumerated().map { row, sequence in
                pick(
                    UnsafeBufferPointer(rebasing: values[row * width..<(row + 1) * width]), excluded,
                    table[sequence][index])
            }
        }
    }

    /// One token of a row of logits.
    func pick(_ logits: UnsafeBufferPointer<Float>, _ excluded: Set<Int>, _ u: Double) -> Int {
        let temperature = Float(settings.temperature)
        var candidates: [(id: Int, score: Float)] = []
        candidates.reserveCapacity(logits.count)
        for (id, logit) in logits.enumerated() where excluded.isEmpty || !excluded.contains(id) {
            candidates.append((id, logit / temperature))
        }
        if let k = settings.topK, k < candidates.count {
            // Every token that is no worse than the k-th best, so that ties with it stay.
            let threshold = kthLargest(candidates.map(\.score), k)
            candidates.removeAll { $0.score < threshold }
        }
        candidates.sort { $0.score != $1.score ? $0.score > $1.score : $0.id < $1.id }
        let highest = candidates[0].score
        var weights = candidates.map { exp(Double($0.score - highest)) }
        if settings.topP < 1 {
            // A token stays as long as those before it have not reached the requested probability.
            let wanted = settings.topP * weights.reduce(0, +)
            var sum = 0.0
            let kept = weights.prefix { weight in
                defer { sum += weight }
                return sum < wanted
            }
            weights = Array(kept)
        }
        let target = u * weights.reduce(0, +)
        var sum = 0.0
        for (index, weight) in weights.enumerated() {
            sum += weight
            if sum > target { return candidates[index].id }
        }
        return candidates[weights.count - 1].id  // u so near 1 that rounding left nothing over
    }

    private func kthLargest(_ scores: [Float], _ k: Int) -> Float {
        // A heap of the k largest, smallest on top.
        var heap = Array(scores[..<k]).sorted()
        for score in scores[k...] where score > heap[0] {
            heap[0] = score
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < k && heap[child] < heap[least] {
                    least = child
                }
                if least == parent { break }
                heap.swapAt(parent, least)
                parent = least
            }
        }
        return heap[0]
    }
}
