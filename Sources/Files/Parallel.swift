import Dispatch

/// Work shared among the cores, with results in order, whichever core made them.
package enum Parallel {
    /// The results of `body` for `0..<count`, each made once, on any core.
    package static func map<Result: Sendable>(_ count: Int, _ body: @Sendable (Int) -> Result) -> [Result] {
        guard count > 1 else { return (0..<count).map(body) }
        var results = [Result?](repeating: nil, count: count)
        results.withUnsafeMutableBufferPointer { buffer in
            // Each index is written by only one call.
            nonisolated(unsafe) let slots = buffer
            DispatchQueue.concurrentPerform(iterations: count) { slots[$0] = body($0) }
        }
        return results.map { $0! }
    }

    /// As `map`, in blocks of neighbouring indices: for many small pieces of work.
    package static func mapBlocks<Result: Sendable>(
        _ count: Int, blockSize: Int = 128, _ body: @Sendable (Range<Int>) -> [Result]
    ) -> [Result] {
        let blocks = (count + blockSize - 1) / blockSize
        return map(blocks) { body($0 * blockSize..<min(count, ($0 + 1) * blockSize)) }.flatMap { $0 }
    }
}
