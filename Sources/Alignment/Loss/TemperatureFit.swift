import Foundation
import Randomness
import Torch

/// The temperature at which Eq. 1 is lowest for embeddings as they are.
///
/// At a lower temperature the loss finds the similarities too sure and spends vector length where the softmax does not
/// look, so that cosines fall; at a higher one it hardly sees the difference between a pair and the others.
public enum TemperatureFit: Sendable, Equatable {
    case fitted(Double)
    /// Every generated image finds its own real one: the loss falls down to the lowest temperature that is tried.
    case belowRange
    /// The pairs are no more similar than the others: the loss falls up to the highest.
    case aboveRange
    /// All pairs show one real image.
    case noNegatives

    public static let range = 0.001...10.0
    /// More batches change the fit by less than it varies from run to run.
    static let mostBatches = 40

    /// Looks at the pairs in batches, as a training does, since the fit depends on the number of negatives.
    /// - Parameters:
    ///   - generated: `[n, E]`, n at least 2; compared by cosine.
    ///   - real: `[n, E]`
    ///   - groups: the real image of each pair; pairs of one image are not negatives of each other.
    ///   - batchSize: pairs that do not fill a batch are left out, unless they are the only ones; of more than
    ///     `mostBatches`, a random choice is used.
    public init(generated: Tensor, real: Tensor, groups: [Int], batchSize: Int) {
        let batches = Self.batches(
            generated.to(.cpu).to(.float64).normalized(), real.to(.cpu).to(.float64).normalized(), groups, batchSize)
        guard batches.contains(where: { !$0.others.isEmpty }) else {
            self = .noNegatives
            return
        }
        // The loss is convex in 1/τ, so its slope has one zero.
        var (low, high) = (log(1 / Self.range.upperBound), log(1 / Self.range.lowerBound))
        if Self.slope(batches, exp(high)) <= 0 {
            self = .belowRange
        } else if Self.slope(batches, exp(low)) >= 0 {
            self = .aboveRange
        } else {
            for _ in 0..<50 {
                let middle = (low + high) / 2
                if Self.slope(batches, exp(middle)) < 0 { low = middle } else { high = middle }
            }
            self = .fitted(exp(-(low + high) / 2))
        }
    }

    public var value: Double? { if case .fitted(let value) = self { value } else { nil } }

    /// What to tell a reader; nil if a temperature was found.
    public var note: String? {
        switch self {
        case .fitted: nil
        case .belowRange: "every generated image finds its own real one: no temperature is too low"
        case .noNegatives: "all pairs show one real image: there is nothing to tell apart"
        case .aboveRange: "pairs are no more similar than other images: no temperature fits"
        }
    }

    /// For a pair, the similarity with its own image, and those with the others of its batch.
    private struct Row {
        let own: Double
        let others: [Double]
    }

    private static func batches(_ generated: Tensor, _ real: Tensor, _ groups: [Int], _ size: Int) -> [Row] {
        // Neighbours in a file often share an image or a theme.
        var order = Array(groups.indices)
        var random = SplitMix64(seed: 0)
        for index in order.indices.dropLast() {
            order.swapAt(index, index + Int(random.next(below: UInt64(order.count - index))))
        }
        let size = min(size, order.count)
        var rows: [Row] = []
        for start in stride(from: 0, through: order.count - size, by: size).prefix(mostBatches) {
            let own = Array(order[start..<start + size])
            let index = Tensor(own)
            let similarity = generated.indexSelect(0, index).matmul(real.indexSelect(0, index).transposed(0, 1))
                .array(of: Double.self)
            for i in 0..<size {
                rows.append(
                    Row(
                        own: similarity[i * size + i],
                        others: (0..<size).filter { groups[own[$0]] != groups[own[i]] }.map {
                            similarity[i * size + $0]
                        }))
            }
        }
        return rows
    }

    /// The derivative of the mean loss by 1/τ: what softmax expects of the similarity, less the pair's own.
    private static func slope(_ rows: [Row], _ inverse: Double) -> Double {
        var sum = 0.0
        for row in rows {
            let top = max(row.own, row.others.max() ?? row.own)
            var weight = exp((row.own - top) * inverse)
            var expected = weight * row.own
            for other in row.others {
                let share = exp((other - top) * inverse)
                weight += share
                expected += share * other
            }
            sum += expected / weight - row.own
        }
        return sum / Double(rows.count)
    }
}
