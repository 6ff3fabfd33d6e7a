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
    /// Whether this is the end of a batch, or all of one: false for every piece but the last (``PieceSampler``).
    public let endsBatch: Bool

    public var count: Int { indices.count }
}
