import Files
import Foundation
import Safetensors

/// The captions of a file, in its order, and the file's hash.
///
/// Three layouts are read, told apart by their shape:
/// - COCO captions: `{"annotations": [{"image_id": 1, "caption": "…"}, …], …}`;
/// - COCO results: `[{"image_id": 1, "caption": "…"}, …]`;
/// - by image: `{"1": ["…", …], …}`, where a caption may also be `{"caption": "…"}` and a single one may stand alone.
public struct CaptionFile: Sendable {
    public struct Entry: Sendable, Equatable {
        public let imageID: ImageID
        public let caption: String

        public init(imageID: ImageID, caption: String) {
            self.imageID = imageID
            self.caption = caption
        }
    }

    public let entries: [Entry]
    /// Lower-case hexadecimal SHA-256 of the file.
    public let hash: String

    public init(entries: [Entry], hash: String) {
        self.entries = entries
        self.hash = hash
    }

    static let layouts = """
        COCO captions {"annotations": [{"image_id", "caption"}]}, COCO results [{"image_id", "caption"}], \
        or {"image id": ["caption", …]}
        """

    /// - Throws: `FileError`; `CaptionDataError`: `malformed` (with line and column), `unknownLayout`, `badEntry`.
    public init(contentsOf path: String) throws {
        let bytes = try RegularFile.bytes(path)
        try PlaceholderFile.refuse(bytes, path: path)
        try self.init(Data(bytes), path: path)
    }

    /// - Parameter path: for messages.
    public init(_ data: Data, path: String) throws {
        // Hash and text are independent: two cores.
        let parts = Parallel.map(2) { part -> Result<Part, any Error> in
            part == 0
                ? .success(.hash(data.withUnsafeBytes { ContentHash.sha256(of: $0) }))
                : Result { .entries(try Self.parse(data, path)) }
        }
        var hash = ""
        var entries: [Entry] = []
        for part in parts {
            switch try part.get() {
            case .hash(let value): hash = value
            case .entries(let value): entries = value
            }
        }
        self.init(entries: entries, hash: hash)
    }

    private enum Part: Sendable {
        case hash(String)
        case entries([Entry])
    }

    private static func parse(_ data: Data, _ path: String) throws -> [Entry] {
        try data.withUnsafeBytes { raw in
            var reader = JSONReader(raw.bindMemory(to: UInt8.self), path: path)
            var entries: [Entry] = []
            switch reader.peek() {
            case 0x5B:
                try readEntries(&reader, path, &entries)
            case 0x7B:
                var isCOCO = false
                try reader.readObject { reader, key in
                    if key == "annotations" {
                        isCOCO = true
                        entries.removeAll()
                        try readEntries(&reader, path, &entries)
                    } else if isCOCO || ["info", "images", "licenses", "type"].contains(key) {
                        try reader.skip()
                    } else {
                        try readImage(&reader, ImageID(key: key), path, &entries)
                    }
                }
            default:
                throw CaptionDataError.unknownLayout(path: path, expected: layouts)
            }
            try reader.finish()
            for entry in entries {
                if let excess = TextLimit.excess(of: entry.caption) {
                    throw CaptionDataError.badEntry(
                        path: path, entry: "image \(entry.imageID)", expected: TextLimit.expectation, got: excess)
                }
            }
            return entries
        }
    }

    private static func readEntries(_ reader: inout JSONReader, _ path: String, _ entries: inout [Entry]) throws {
        try reader.readArray { reader, index in
            guard reader.peek() == 0x7B else {
                throw CaptionDataError.badEntry(
                    path: path, entry: "entry \(index)", expected: "an object with 'image_id' and 'caption'",
                    got: "another value")
            }
            var id: ImageID?
            var caption: String?
            try reader.readObject { reader, key in
                switch key {
                case "image_id": id = try reader.readImageID()
                case "caption" where reader.peek() == 0x22: caption = try reader.readString()
                default: try reader.skip()
                }
            }
            guard let id else {
                throw CaptionDataError.badEntry(
                    path: path, entry: "entry \(index)", expected: "'image_id'", got: "an entry without it")
            }
            guard let caption else {
                throw CaptionDataError.badEntry(
                    path: path, entry: "entry \(index) (image \(id))", expected: "'caption', a string",
                    got: "an entry without it")
            }
            entries.append(Entry(imageID: id, caption: caption))
        }
    }

    private static func readImage(
        _ reader: inout JSONReader, _ id: ImageID, _ path: String, _ entries: inout [Entry]
    ) throws {
        let notACaption = CaptionDataError.badEntry(
            path: path, entry: "image \(id)", expected: "captions: strings, or objects with 'caption'",
            got: "another value")
        func readCaption(_ reader: inout JSONReader) throws {
            switch reader.peek() {
            case 0x22: entries.append(Entry(imageID: id, caption: try reader.readString()))
            case 0x7B:
                var caption: String?
                try reader.readObject { reader, key in
                    if key == "caption", reader.peek() == 0x22 {
                        caption = try reader.readString()
                    } else {
                        try reader.skip()
                    }
                }
                guard let caption else { throw notACaption }
                entries.append(Entry(imageID: id, caption: caption))
            default: throw notACaption
            }
        }
        if reader.peek() == 0x5B {
            try reader.readArray { reader, _ in try readCaption(&reader) }
        } else {
            try readCaption(&reader)
        }
    }
}
