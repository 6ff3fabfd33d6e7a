import Foundation

/// Progress of a counted job on standard error: a bar with rate and remaining time on a terminal, a plain line every few
/// seconds otherwise, nothing when quiet.
public final class JobProgress {
    private let line: ProgressLine
    private let label: String
    private let unit: String
    private let total: Int
    private let start = ContinuousClock.now
    private var lastLine = ContinuousClock.now
    private var done = 0

    public init(_ label: String, total: Int, unit: String, quiet: Bool) {
        line = ProgressLine(style: .automatic(quiet: quiet))
        self.label = label
        self.unit = unit
        self.total = total
    }

    public func advance(by count: Int, note: String = "") {
        done += count
        let now = ContinuousClock.now
        let isLast = done >= total
        let isLineDue = isLast || now - lastLine >= .seconds(5)
        if isLineDue { lastLine = now }
        line.update(done: done, total: total, isLineDue: isLineDue) {
            let seconds = (now - start).seconds
            let rate = Double(done) / max(seconds, 1e-9)
            let left =
                isLast
                ? "in \(ProgressLine.clock(seconds))"
                : "\(ProgressLine.clock(Double(total - done) / max(rate, 1e-9))) left"
            return "\(label) \(done)/\(total) \(unit), \(String(format: "%.1f", rate)) \(unit)/s, \(left)"
                + (note.isEmpty ? "" : ", \(note)")
        }
        if isLast { line.finish() }
    }

    /// A line that stays, above the bar.
    public func say(_ text: String) { line.note(text) }
}

extension Duration {
    /// As a number of seconds.
    package var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
