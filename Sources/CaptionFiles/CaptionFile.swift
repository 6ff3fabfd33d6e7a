import Files
import Foundation

/// The captions of a file, in its order, and the file's hash: the one reader of captions, for metrics, retrieval and
/// generation.
///
/// Layouts are told apart by their shape, whatever the file is called:
/// - COCO captions: `{"annotations": [{"image_id": 1, "caption": "…"}, …], "images": [{"id": 1, "file_name": "…"}], …}`;
/// - COCO results: `[{"image_id": 1, "caption": "…"}, …]`, also under `"results"`;
/// - Karpathy's: `{"images": [{"filename": "…", "cocoid": 1, "split": "test", "sentences": [{"raw": "…"}]}, …]}`;
/// - BLIP's and LAVIS's: `[{"image": "val2014/….jpg", "caption": "…" or ["…", …]}, …]`;
/// - by image: `{"1": ["…", …], …}`, where a caption may also be `{"caption": "…"}` and a single one may stand alone;
/// - JSON Lines: an object per line with `caption` and `image_id`, `image` or `id`, the first of these that is there.
///
/// JSON is taken as Python's `json` takes it, which stands behind pycocotools: `NaN` is a value, of equal keys the last
/// counts, a lone surrogate is a character (it becomes U+FFFD here). A byte-order mark is skipped.
public struct CaptionFile: Sendable {
    public enum Format: String, Sendable {
        case coco, karpathy, list, lines
        case byImage = "by image"
    }

    public struct Entry: Sendable, Equatable {
        public let imageID: ImageID
        public let caption: String
        /// Of a line of JSON Lines that has one.
        public let id: String?

        public init(imageID: ImageID, caption: String, id: String? = nil) {
            self.imageID = imageID
            self.caption = caption
            self.id = id
        }
    }

    /// An image that the file names, with captions or without.
    public struct Image: Sendable, Equatable {
        public let id: ImageID
        /// As the file names it; Karpathy's `filepath` comes first.
        public let fileName: String
        /// Karpathy's.
        public let split: String?

        public init(id: ImageID, fileName: String, split: String? = nil) {
            self.id = id
            self.fileName = fileName
            self.split = split
        }
    }

    public let format: Format
    public let entries: [Entry]
    /// In file order, each once; empty when they were not asked for.
    public let images: [Image]
    /// Lower-case hexadecimal SHA-256 of the file.
    public let hash: String
    /// Of JSON Lines: the number of every entry's line, from 1.
    package let lines: [Int]

    /// Captions that are in no file.
    public init(entries: [Entry], hash: String) {
        format = .list
        self.entries = entries
        images = []
        self.hash = hash
        lines = []
    }

    /// - Parameter withImages: also reads what the file says of the images.
    /// - Throws: `FileError`, ``CaptionFileError``.
    public init(contentsOf path: String, withImages: Bool = false) throws {
        try self.init(contentsOf: path, withImages: withImages, lineKeys: nil)
    }

    /// - Parameter lineKeys: the keys that an object of JSON Lines may have; others are refused, since a misspelt key would
    ///   be lost without a word.
    package init(contentsOf path: String, withImages: Bool, lineKeys: [String]?) throws {
        let file = try MappedFile(path: path)
        // Hash and text are independent: two cores.
        let parts = Parallel.map(2) { part -> Result<Part, any Error> in
            part == 0
                ? .success(.hash(file.withUnsafeBytes { ContentHash.sha256(of: $0) }))
                : Result {
                    .content(
                        try file.withUnsafeBytes {
                            try CaptionContent($0, path: path, withImages: withImages, lineKeys: lineKeys)
                        })
                }
        }
        var hash = ""
        var content: CaptionContent?
        for part in parts {
            switch try part.get() {
            case .hash(let value): hash = value
            case .content(let value): content = value
            }
        }
        self.init(content!, hash: hash)
    }

    /// - Parameter path: for messages.
    public init(_ bytes: [UInt8], path: String) throws {
        try self.init(bytes, path: path, withImages: false)
    }

    package init(_ bytes: [UInt8], path: String, withImages: Bool, lineKeys: [String]? = nil) throws {
        self.init(
            try bytes.withUnsafeBytes {
                try CaptionContent($0, path: path, withImages: withImages, lineKeys: lineKeys)
            }, hash: ContentHash.sha256(of: bytes))
    }

    private init(_ content: CaptionContent, hash: String) {
        format = content.format
        entries = content.entries
        images = content.images
        lines = content.lines
        self.hash = hash
    }

    private enum Part: Sendable {
        case hash(String)
        case content(CaptionContent)
    }
}
