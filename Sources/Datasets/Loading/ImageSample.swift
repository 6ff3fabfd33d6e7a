/// Where an image's bytes come from.
public enum ImageSource: Sendable, Hashable {
    case file(String)
    /// Bytes at hand (a member of a tar), with the name for errors.
    case bytes([UInt8], name: String)

    public var name: String {
        switch self {
        case .file(let path): path
        case .bytes(_, let name): name
        }
    }
}

/// What the loader is to load for one sample index.
public struct ImageSample: Sendable, Hashable {
    public let id: String
    /// One entry per stream (such as generated, real); nil where this sample needs no pixels of that stream, because
    /// its features are cached.
    public let images: [ImageSource?]

    public init(id: String, images: [ImageSource?]) {
        self.id = id
        self.images = images
    }
}

/// A sample that was left out because one of its images cannot be read.
public struct SkippedSample: Sendable, Hashable, Codable {
    /// Sample index.
    public let index: Int
    public let id: String
    /// The decoder's message; it names the file.
    public let reason: String

    public init(index: Int, id: String, reason: String) {
        self.index = index
        self.id = id
        self.reason = reason
    }
}

/// Memory for one stream's pixels of one batch; it returns to its pool when the last reference goes.
///
/// Written by the loader before it is handed out and never after, hence `Sendable`.
public final class PixelBuffer: @unchecked Sendable {
    let memory: UnsafeMutablePointer<Float>
    let capacity: Int
    private let pool: PixelBufferPool

    init(memory: UnsafeMutablePointer<Float>, capacity: Int, pool: PixelBufferPool) {
        self.memory = memory
        self.capacity = capacity
        self.pool = pool
    }

    deinit { pool.giveBack(memory, capacity: capacity) }
}

/// The pixels of one stream of a batch, for those rows that need them.
public struct PixelBatch: Sendable {
    /// Which rows of the batch the images belong to, ascending.
    public let rows: [Int]
    public let height: Int
    public let width: Int
    let buffer: PixelBuffer?

    /// `[rows.count, 3, H, W]`.
    public var shape: [Int] { [rows.count, 3, height, width] }

    /// The floats, row-major in ``shape``; nil when `rows` is empty. Valid while ``owner`` is alive.
    public var floats: UnsafeBufferPointer<Float>? {
        buffer.map { UnsafeBufferPointer(start: $0.memory, count: rows.count * 3 * height * width) }
    }

    /// The object to retain while the floats are in use (`Tensor.borrowing(_:shape:dtype:owner:)` does).
    public var owner: AnyObject? { buffer }

    /// Calls `body` with the floats, which stay valid until it returns.
    public func withUnsafeFloats<Result>(_ body: (UnsafeBufferPointer<Float>) throws -> Result) rethrows -> Result {
        defer { withExtendedLifetime(buffer) {} }
        return try body(floats ?? UnsafeBufferPointer(start: nil, count: 0))
    }
}

/// One batch as the loader hands it over: plain memory and ids.
public struct ImageBatch: Sendable {
    /// Sample indices of the rows; samples that could not be read are not among them, so it may be shorter than the
    /// sampler's batch.
    public let indices: [Int]
    public let ids: [String]
    /// One per stream, in the order of ``ImageSample/images``.
    public let pixels: [PixelBatch]
    /// What was left out of this batch.
    public let skipped: [SkippedSample]
    /// Where the sampler stands once this batch is used.
    public let next: SamplerPosition

    public var count: Int { indices.count }
}
