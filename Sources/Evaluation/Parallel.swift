import Dispatch

/// Independent pieces of work on all cores; every result has its own place, so the order of execution cannot change
/// them.
enum Parallel {
    private struct Slots<T>: @unchecked Sendable {  // every iteration writes its own element
        let base: UnsafeMutablePointer<T>
    }

    static func map<T>(_ count: Int, _ body: (Int) -> T) -> [T] {
        [T](unsafeUninitializedCapacity: count) { buffer, initialized in
            if let base = buffer.baseAddress {
                let slots = Slots(base: base)
                withoutActuallyEscaping(body) { body in
                    let job = Job(run: body)
                    DispatchQueue.concurrentPerform(iterations: count) { (slots.base + $0).initialize(to: job.run($0)) }
                }
            }
            initialized = count
        }
    }

    private struct Job<T>: @unchecked Sendable {  // runs only while `map` waits
        let run: (Int) -> T
    }
}
