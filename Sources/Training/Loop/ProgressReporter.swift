import Foundation

/// How far a run is, on standard error: one line redrawn on a terminal, a line now and then otherwise.
public final class ProgressReporter {
    public enum Style: Sendable {
        case bar
        /// A plain line for every logged step.
        case lines
        case quiet

        /// What suits standard error.
        public static func automatic(quiet: Bool) -> Style {
            quiet ? .quiet : isatty(STDERR_FILENO) == 1 ? .bar : .lines
        }
    }

    private let style: Style
    private let total: Int
    private let write: (String) -> Void
    private var isLineOpen = false
    private var lastDrawn: ContinuousClock.Instant?
    /// Loss last seen, for steps between logged ones.
    private var lastLoss = Double.nan

    /// - Parameter total: steps of the whole run.
    public init(
        style: Style, total: Int,
        write: @escaping (String) -> Void = { FileHandle.standardError.write(Data($0.utf8)) }
    ) {
        self.style = style
        self.total = total
        self.write = write
    }

    /// After a step.
    /// - Parameter isLogged: whether a plain line is due.
    public func update(step: Int, loss: Double, rate: RateMeter, isLogged: Bool) {
        lastLoss = loss
        switch style {
        case .quiet: return
        case .lines:
            if isLogged { write(text(step: step, rate: rate) + "\n") }
        case .bar:
            let now = ContinuousClock.now
            if let lastDrawn, now - lastDrawn < .milliseconds(100), step < total { return }
            lastDrawn = now
            let width = 24
            let filled = total > 0 ? min(width, width * step / total) : width
            let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
            write("\r\(bar) \(text(step: step, rate: rate))\u{1B}[K")
            isLineOpen = true
        }
    }

    /// A message of its own line.
    public func note(_ text: String) {
        guard style != .quiet else { return }
        write((isLineOpen ? "\r\u{1B}[K" : "") + text + "\n")
        isLineOpen = false
        lastDrawn = nil
    }

    /// Ends an open line.
    public func finish() {
        if isLineOpen { write("\n") }
        isLineOpen = false
    }

    private func text(step: Int, rate: RateMeter) -> String {
        let eta = rate.secondsLeft(steps: total - step).map { ", ETA \(Self.clock($0))" } ?? ""
        let share = Int((rate.waitShare * 100).rounded())
        return "step \(step)/\(total), loss \(Self.short(lastLoss)), "
            + "\(Self.short(rate.pairsPerSecond)) pairs/s, data wait \(share) %\(eta)"
    }

    static func short(_ value: Double) -> String {
        value.isFinite ? String(format: value.magnitude < 100 ? "%.4g" : "%.0f", value) : "\(value)"
    }

    static func clock(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded(.up))
        let (hours, minutes) = (whole / 3600, whole / 60 % 60)
        return hours > 0
            ? String(format: "%d:%02d:%02d", hours, minutes, whole % 60)
            : String(format: "%d:%02d", minutes, whole % 60)
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

    /// - Parameter window: how many steps the numbers are taken over.
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
    /// As a number of seconds.
    var seconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}
