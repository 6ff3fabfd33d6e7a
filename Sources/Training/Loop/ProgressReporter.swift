import Foundation
import Terminal

/// The progress of a run on standard error: one line that is redrawn on a terminal, otherwise a line for every logged
/// step.
public final class ProgressReporter {
    public typealias Style = ProgressLine.Style

    private let line: ProgressLine
    private let total: Int
    /// The last known loss, for steps between logged ones.
    private var lastLoss = Double.nan

    /// - Parameter total: steps of the whole run.
    public init(
        style: Style, total: Int,
        write: @escaping (String) -> Void = { Terminal.write($0) }
    ) {
        line = ProgressLine(style: style, write: write)
        self.total = total
    }

    /// Reports a step.
    /// - Parameter isLogged: whether a plain line is due.
    public func update(step: Int, loss: Double, rate: RateMeter, isLogged: Bool) {
        lastLoss = loss
        line.update(done: step, total: total, isLineDue: isLogged) { text(step: step, rate: rate) }
    }

    /// A message on a line of its own.
    public func note(_ text: String) { line.note(text) }

    /// Ends an open line.
    public func finish() { line.finish() }

    private func text(step: Int, rate: RateMeter) -> String {
        let eta = rate.secondsLeft(steps: total - step).map { ", ETA \(ProgressLine.clock($0))" } ?? ""
        let share = Int((rate.waitShare * 100).rounded())
        return "step \(step)/\(total), loss \(Self.short(lastLoss)), "
            + "\(Self.short(rate.pairsPerSecond)) pairs/s, data wait \(share) %\(eta)"
    }

    static func short(_ value: Double) -> String {
        value.isFinite ? String(format: value.magnitude < 100 ? "%.4g" : "%.0f", value) : "\(value)"
    }
}

/// Pairs per second and the share of time spent waiting for data, over the last steps.
public struct RateMeter: Sendable {
    private struct Sample {
        let seconds: Double
        let waited: Double
        let pairs: Int
    }
    private var samples: [Sample] = []
    private let window: Int

    /// - Parameter window: over how many steps the numbers are computed.
    public init(window: Int = 50) { self.window = window }

    public mutating func add(seconds: Double, waited: Double, pairs: Int) {
        samples.append(Sample(seconds: seconds, waited: waited, pairs: pairs))
        if samples.count > window { samples.removeFirst(samples.count - window) }
    }

    private var seconds: Double { samples.reduce(0) { $0 + $1.seconds } }

    public var pairsPerSecond: Double {
        seconds > 0 ? Double(samples.reduce(0) { $0 + $1.pairs }) / seconds : 0
    }

    /// 0...1.
    public var waitShare: Double {
        seconds > 0 ? min(1, samples.reduce(0) { $0 + $1.waited } / seconds) : 0
    }

    public func secondsLeft(steps: Int) -> Double? {
        samples.isEmpty ? nil : seconds / Double(samples.count) * Double(max(0, steps))
    }
}

extension Duration {
    /// A duration as a number of seconds.
    var seconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}
