import Foundation

/// How the learning rate changes: a factor in [0, 1] on every group's own rate, as a function of the step alone.
///
/// A pure function of the step needs no state, so a resumed run follows the same curve.
public enum Schedule: Sendable, Equatable, Codable {
    case constant(warmup: Int)
    /// Linear from 1 to 0 over `steps`, after `warmup` linear steps.
    case linear(steps: Int, warmup: Int)
    /// Cosine from 1 to `minimum` over `steps`, after `warmup` linear steps.
    case cosine(steps: Int, warmup: Int, minimum: Double)
    /// Cosine annealing with warm restarts (SGDR, Loshchilov & Hutter 2017, eq. 5), after `warmup` linear steps. The
    /// first period has `firstPeriod` steps, each next one `multiplier` times as many; in every period the factor falls
    /// from 1 to `minimum`.
    case cosineWarmRestarts(firstPeriod: Int, multiplier: Int, warmup: Int, minimum: Double)

    /// The factor of the step numbered `step` (0 for the first), as PyTorch's schedulers give it. Warm-up as in
    /// `LinearLR` reaches 1 at step `warmup`; then the curve starts at 1.
    public func factor(at step: Int) -> Double {
        switch self {
        case .constant(let warmup):
            return step < warmup ? Self.ramp(step, warmup) : 1
        case .linear(let steps, let warmup):
            guard step >= warmup else { return Self.ramp(step, warmup) }
            return max(0, 1 - Double(step - warmup) / Double(max(1, steps - warmup)))
        case .cosine(let steps, let warmup, let minimum):
            guard step >= warmup else { return Self.ramp(step, warmup) }
            let progress = min(1, Double(step - warmup) / Double(max(1, steps - warmup)))
            return minimum + (1 - minimum) * (1 + cos(.pi * progress)) / 2
        case .cosineWarmRestarts(let firstPeriod, let multiplier, let warmup, let minimum):
            guard step >= warmup else { return Self.ramp(step, warmup) }
            var position = step - warmup
            var period = max(1, firstPeriod)
            if multiplier == 1 {
                position %= period
            } else {
                while position >= period {
                    position -= period
                    period *= max(1, multiplier)
                }
            }
            return minimum + (1 - minimum) * (1 + cos(.pi * Double(position) / Double(period))) / 2
        }
    }

    private static func ramp(_ step: Int, _ warmup: Int) -> Double { Double(step + 1) / Double(warmup + 1) }
}
