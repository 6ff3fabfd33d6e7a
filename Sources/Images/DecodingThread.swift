import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// Threads that decode ahead of a model.
package enum DecodingThread {
    /// How far they stand back (`nice`). A model's operation ends when its slowest thread does, so a decoder that takes one core's
    /// turn holds up all of them; standing back, it takes the pauses instead, and every core once the model waits for it.
    private static let niceness: Int32 = 10

    /// Runs `body` on a new thread.
    package static func start(name: String, stackSize: Int, _ body: @escaping @Sendable () -> Void) {
        let thread = Thread {
            #if os(Linux)
                // Linux counts 0 as the calling thread. Where it is refused the thread keeps its priority, and only time is lost.
                _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness)
            #endif
            body()
        }
        thread.name = name
        thread.stackSize = stackSize
        thread.start()
    }
}
