import Files
import Foundation

/// How progress shows itself on standard error: one line redrawn on a terminal, plain lines otherwise, or nothing.
///
/// What the line says is the caller's: `ProgressReporter` words training, `JobProgress` counted jobs.
public final class ProgressLine {
    public enum Style: Sendable {
        case bar
        case lines
        case quiet

        /// What suits standard error.
        public static func automatic(quiet: Bool) -> Style {
            quiet ? .quiet : isatty(STDERR_FILENO) == 1 ? .bar : .lines
        }
    }

    public let style: Style
    private let write: (String) -> Void
    private var isLineOpen = false
    private var lastDrawn: ContinuousClock.Instant?

    public init(
        style: Style, write: @escaping (String) -> Void = { Terminal.write($0) }
    ) {
        self.style = style
        self.write = write
    }

    /// Shows how far a job is. A bar is redrawn at most ten times a second; its last state always is.
    /// - Parameters:
    ///   - isLineDue: whether a plain line is to be written, where there is no bar.
    ///   - text: made only when it is shown.
    public func update(done: Int, total: Int, isLineDue: Bool, text: () -> String) {
        switch style {
        case .quiet: return
        case .lines:
            if isLineDue { write(printable(text()) + "\n") }
        case .bar:
            let now = ContinuousClock.now
            if let lastDrawn, now - lastDrawn < .milliseconds(100), done < total { return }
            lastDrawn = now
            let width = 24
            let filled = total > 0 ? min(width, width * done / total) : width
            let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
            write("\r\(bar) \(printable(text()))\u{1B}[K")
            isLineOpen = true
        }
    }

    /// A message of its own line, which stays.
    public func note(_ text: String) {
        guard style != .quiet else { return }
        write((isLineOpen ? "\r\u{1B}[K" : "") + printable(text) + "\n")
        isLineOpen = false
        lastDrawn = nil
    }

    /// Ends an open line.
    public func finish() {
        if isLineOpen { write("\n") }
        isLineOpen = false
    }

    /// Seconds as `m:ss` or `h:mm:ss`, rounded up.
    public static func clock(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded(.up))
        let (hours, minutes) = (whole / 3600, whole / 60 % 60)
        return hours > 0
            ? String(format: "%d:%02d:%02d", hours, minutes, whole % 60)
            : String(format: "%d:%02d", minutes, whole % 60)
    }
}
