import Foundation

/// Float buffers used again and again: a batch of 256 images is 150 MB, which the kernel would otherwise hand out page by
/// page each time.
final class PixelBufferPool: @unchecked Sendable {
    private let lock = NSLock()
    private var free: [UnsafeMutablePointer<Float>] = []
    private let capacity: Int
    /// How many unused buffers are kept.
    private let kept: Int

    init(capacity: Int, kept: Int) {
        self.capacity = capacity
        self.kept = kept
    }

    func take() -> PixelBuffer {
        lock.lock()
        let memory = free.popLast()
        lock.unlock()
        // 64: a cache line, and what libtorch's own allocator gives.
        let fresh =
            memory
            ?? UnsafeMutableRawPointer.allocate(byteCount: capacity * MemoryLayout<Float>.stride, alignment: 64)
            .bindMemory(to: Float.self, capacity: capacity)
        return PixelBuffer(memory: fresh, capacity: capacity, pool: self)
    }

    func giveBack(_ memory: UnsafeMutablePointer<Float>, capacity: Int) {
        lock.lock()
        let keep = free.count < kept
        if keep { free.append(memory) }
        lock.unlock()
        if !keep { UnsafeMutableRawPointer(memory).deallocate() }
    }

    deinit { for memory in free { UnsafeMutableRawPointer(memory).deallocate() } }
}
