import Dispatch
import Files
import Foundation
import Synchronization

/// Ctrl-C, SIGTERM, SIGHUP and a reader that left as a request: the work finishes its step, writes a checkpoint and
/// returns. A second signal, a second or more after the first, ends the process at once; nearer ones are the same request
/// (coreutils' `timeout` sends two).
///
/// The exit code afterwards is 128 plus the signal's number: 130 for Ctrl-C (SIGINT), 143 for SIGTERM, 129 for a closed
/// terminal (SIGHUP), 141 for a closed pipe (SIGPIPE).
public final class StopSignal: @unchecked Sendable {
    /// Signals nearer than this are one.
    static let repeatInterval = Duration.seconds(1)

    private let lock = NSLock()
    private var received: (number: Int32, time: ContinuousClock.Instant)?
    private var sources: [any DispatchSourceSignal] = []
    private let note: (String) -> Void
    private var listensToPipes = false

    /// - Parameter note: gets a line when the first signal comes.
    public init(note: @escaping @Sendable (String) -> Void = { Terminal.note($0) }) { self.note = note }

    /// Begins to listen; the signals no longer end the process.
    public func listen(to signals: [Int32] = [SIGINT, SIGTERM, SIGHUP, SIGPIPE]) {
        let queue = DispatchQueue(label: "gmail.stop-signal")
        for number in signals {
            // A process that was told to ignore a closed terminal (nohup) goes on doing so.
            if number == SIGHUP, isIgnored(SIGHUP) { continue }
            signal(number, SIG_IGN)
            // A closed pipe is noticed by the write that fails.
            if number == SIGPIPE {
                lock.withLock { listensToPipes = true }
                continue
            }
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { [weak self] in self?.receive(number) }
            source.resume()
            lock.withLock { sources.append(source) }
        }
    }

    private func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// Stops listening and gives the signals their usual effect back.
    public func ignore() {
        let sources = lock.withLock {
            listensToPipes = false
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
        lock.withLock { if received == nil { received = (number, .now) } }
    }

    private func receive(_ number: Int32) {
        let first = lock.withLock { received }
        guard let first else {
            request(number)
            note("stopping after the step at work; a second signal ends at once")
            return
        }
        if .now - first.time >= Self.repeatInterval { _exit(128 + number) }
    }

    /// Ends work that has no checkpoint of its own to write.
    /// - Throws: ``Interruption`` once a signal was received.
    public func check() throws(Interruption) {
        if let signal = signalNumber { throw Interruption(signal: signal) }
    }

    /// The signal received; nil when none was.
    public var signalNumber: Int32? {
        lock.withLock {
            if received == nil, listensToPipes, Terminal.isPipeClosed { received = (SIGPIPE, .now) }
            return received?.number
        }
    }
}

/// Work that a signal ended between two of its steps.
public struct Interruption: Error, Equatable, Sendable {
    public let signal: Int32

    public init(signal: Int32) { self.signal = signal }
}
