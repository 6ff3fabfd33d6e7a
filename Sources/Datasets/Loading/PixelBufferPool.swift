import Foundation

/// Pixel buffers used again and again: a batch of 256 images is 150 MB of floats, which the kernel would otherwise hand out
/// page by page each time.
final class PixelBufferPool: @unchecked Sendable {
    private let lock = NSLock()
    private var free: [UnsafeMutableRawPointer] = []
    private let byteCount: Int
    /// How many unused buffers are kept.
    private let kept: Int

    init(byteCount: Int, kept: Int) {
        self.byteCount = byteCount
        self.kept = kept
    }

    func take() -> PixelBuffer {
        let memory = lock.withLock { free.popLast() } ?? PixelBuffer.allocate(byteCount)
        return PixelBuffer(memory: memory, pool: self)
    }

    func giveBack(_ memory: UnsafeMutableRawPointer) {
        let keeps = lock.withLock {
            let keeps = free.count < kept
            if keeps { free.append(memory) }
            return keeps
        }
        if !keeps { memory.deallocate() }
    }

    deinit { for memory in free { memory.deallocate() } }
}

/// Memory for one stream's pixels of one batch; it returns to its pool, if it is of one, when the last reference goes.
///
/// Written before it is handed out and never after, hence `Sendable`.
public final class PixelBuffer: @unchecked Sendable {
    let memory: UnsafeMutableRawPointer
    private let pool: PixelBufferPool?

    init(memory: UnsafeMutableRawPointer, pool: PixelBufferPool?) {
        self.memory = memory
        self.pool = pool
    }

    static func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
        // 64: a cache line, and what libtorch's own allocator gives.
        .allocate(byteCount: byteCount, alignment: 64)
    }

    deinit {
        if let pool { pool.giveBack(memory) } else { memory.deallocate() }
    }
}
