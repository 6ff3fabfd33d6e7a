import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// Threads that decode ahead of a model.
package enum DecodingThread {
    /// Their priority (`nice`). A model's operation ends when its slowest thread does, so a decoder that takes one
    /// core's turn holds up all threads. At low priority it runs in the pauses, and on every core once the model waits
    /// for it.
    private static let niceness: Int32 = 10

    /// Runs `body` on a new thread.
    package static func start(name: String, stackSize: Int, _ body: @escaping @Sendable () -> Void) {
        let thread = Thread {
            #if os(Linux)
                // On Linux, 0 means the calling thread. If the call is refused, the thread keeps its priority and only
                // time is lost.
                _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness)
            #endif
            body()
        }
        thread.name = name
        thread.stackSize = stackSize
        thread.start()
    }
}
