import Foundation
import Images

/// What the loader makes of an image.
public enum PixelFormat: Sendable, Hashable, CaseIterable {
    /// Normalised, `[3, H, W]`, float32: what a model reads.
    case floats
    /// Resized and cropped, `[H, W, 3]`, 8 bits: a quarter of the memory, for pixels that wait or are read twice.
    case bytes

    func byteCount(of size: ImageSize) -> Int {
        3 * size.width * size.height * (self == .floats ? MemoryLayout<Float>.stride : 1)
    }
}

/// The pixels of one stream of a batch, for those rows that need them.
public struct PixelBatch: Sendable {
    /// Which rows of the batch the images belong to, ascending.
    public let rows: [Int]
    public let height: Int
    public let width: Int
    public let format: PixelFormat
    let buffer: PixelBuffer?
    /// How bytes become floats.
    let preprocessing: ImagePreprocessing

    /// Of the floats: `[rows.count, 3, H, W]`.
    public var shape: [Int] { [rows.count, 3, height, width] }

    private var valueCount: Int { rows.count * 3 * height * width }

    /// The floats, row-major in ``shape``; nil when `rows` is empty or the pixels are bytes (see ``normalized()``). Valid
    /// while ``owner`` is alive.
    public var floats: UnsafeBufferPointer<Float>? {
        guard format == .floats, let buffer else { return nil }
        return UnsafeBufferPointer(start: buffer.memory.assumingMemoryBound(to: Float.self), count: valueCount)
    }

    /// The object to retain while the floats are in use (`Tensor.borrowing(_:shape:dtype:owner:)` does).
    public var owner: AnyObject? { buffer }

    /// Calls `body` with the floats, which stay valid until it returns; with none for bytes.
    public func withUnsafeFloats<Result>(_ body: (UnsafeBufferPointer<Float>) throws -> Result) rethrows -> Result {
        defer { withExtendedLifetime(buffer) {} }
        return try body(floats ?? UnsafeBufferPointer(start: nil, count: 0))
    }

    /// The same pixels as floats, with the bits that a loader of floats gives; itself when it is of floats.
    public func normalized() -> PixelBatch {
        guard format == .bytes, let buffer else { return self }
        let imageSize = 3 * height * width
        let size = ImageSize(width: width, height: height)
        let target = PixelBuffer(
            memory: PixelBuffer.allocate(valueCount * MemoryLayout<Float>.stride), pool: nil)
        let count = rows.count
        let preprocessing = preprocessing
        // The model waits for this: every core takes part.
        DispatchQueue.concurrentPerform(iterations: count) { row in
            let source = buffer.memory.assumingMemoryBound(to: UInt8.self) + row * imageSize
            let floats = target.memory.assumingMemoryBound(to: Float.self) + row * imageSize
            preprocessing.normalize(
                UnsafeBufferPointer(start: source, count: imageSize), size: size,
                into: UnsafeMutableBufferPointer(start: floats, count: imageSize))
        }
        return PixelBatch(
            rows: rows, height: height, width: width, format: .floats, buffer: target, preprocessing: preprocessing)
    }
}
