import Dispatch
import Foundation

/// Ctrl-C and SIGTERM as a request: the loop finishes its step, writes a checkpoint and returns. A second signal ends the
/// process at once.
///
/// The exit code after either is 128 plus the signal's number: 130 for Ctrl-C (SIGINT), 143 for SIGTERM.
public final class StopSignal: @unchecked Sendable {
    private let lock = NSLock()
    private var received: Int32?
    private var sources: [any DispatchSourceSignal] = []

    public init() {}

    /// Begins to listen; the signals no longer end the process.
    public func listen(to signals: [Int32] = [SIGINT, SIGTERM]) {
        let queue = DispatchQueue(label: "gmail.stop-signal")
        for number in signals {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { [weak self] in self?.receive(number) }
            source.resume()
            lock.withLock { sources.append(source) }
        }
    }

    /// Stops listening and gives the signals their usual effect back.
    public func ignore() {
        let sources = lock.withLock {
            defer { self.sources = [] }
            return self.sources
        }
        for source in sources {
            signal(Int32(source.handle), SIG_DFL)
            source.cancel()
        }
    }

    deinit { ignore() }

    /// Asks to stop, as the signal `number` would.
    public func request(_ number: Int32 = SIGINT) {
        lock.withLock { if received == nil { received = number } }
    }

    private func receive(_ number: Int32) {
        let isSecond = lock.withLock { received != nil }
        if isSecond { _exit(128 + number) }
        request(number)
    }

    /// The signal received; nil when none was.
    public var signalNumber: Int32? { lock.withLock { received } }
}
