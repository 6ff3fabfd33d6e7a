import Foundation

/// Progress of a counted job on standard error: a bar with rate and remaining time on a terminal, a plain line every few
/// seconds otherwise, nothing when quiet.
final class Progress {
    private let label: String
    private let unit: String
    private let total: Int
    private let isQuiet: Bool
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var lastShown: ContinuousClock.Instant
    private var done = 0

    init(_ label: String, total: Int, unit: String, quiet: Bool) {
        self.label = label
        self.unit = unit
        self.total = total
        isQuiet = quiet
        start = clock.now
        lastShown = start
    }

    func advance(by count: Int, note: String = "") {
        done += count
        guard !isQuiet else { return }
        let now = clock.now
        let isLast = done >= total
        guard isLast || now - lastShown >= (isTerminal ? .milliseconds(100) : .seconds(5)) else { return }
        lastShown = now
        let seconds = (now - start).seconds
        let rate = Double(done) / max(seconds, 1e-9)
        let remaining =
            isLast ? "in \(Self.clock(seconds))" : "\(Self.clock(Double(total - done) / max(rate, 1e-9))) left"
        let line =
            "\(label) \(done)/\(total) \(unit), \(String(format: "%.1f", rate)) \(unit)/s, \(remaining)\(note.isEmpty ? "" : ", \(note)")"
        if isTerminal {
            let width = 24
            let filled = total == 0 ? width : min(width, width * done / total)
            let bar = String(repeating: "━", count: filled) + String(repeating: "╌", count: width - filled)
            write("\r\u{1B}[K\(bar) \(line)\(isLast ? "\n" : "")")
        } else {
            write(line + "\n")
        }
    }

    /// A line that stays, above the bar.
    func say(_ text: String) {
        guard !isQuiet else { return }
        write("\(isTerminal ? "\r\u{1B}[K" : "")\(text)\n")
    }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }

    private static func clock(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded())
        return whole >= 3600
            ? String(format: "%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60)
            : String(format: "%d:%02d", whole / 60, whole % 60)
    }
}

extension Duration {
    /// As a number of seconds.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
