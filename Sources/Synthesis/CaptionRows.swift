import CaptionFiles
import Datasets
import Files
import Foundation

/// One caption for which images are made.
public struct CaptionRow: Sendable, Hashable {
    /// Unique within the file.
    public let id: String
    /// As in the file, not trimmed.
    public let caption: String
    /// The real image of the caption, as the file names it.
    public let image: String?

    public init(id: String, caption: String, image: String? = nil) {
        self.id = id
        self.caption = caption
        self.image = image
    }
}

/// The captions of a file, in an order that depends only on the file, because the number of a row decides its images.
///
/// - `.json` and `.jsonl`: any layout of `CaptionFile`. The images of COCO's captions ascend by id; other files keep their
///   order. Ids are `coco-391895-0`, image and caption number.
/// - JSON Lines: an object per line, `{"id": "…", "caption": "…", "image": "…"}`, `image` optional; rows keep these ids.
///   Blank lines are no rows.
/// - `.txt`: a caption per line; an empty line is an error. Ids are row numbers, `00000041`.
///
/// Lines end only at LF or CRLF, and a byte-order mark is skipped.
public struct CaptionRows: Sendable {
    /// The splits of a Karpathy file for which images are made unless others are requested: captions on which results
    /// are measured must not become training pairs.
    public static let defaultSplits = "train+restval"

    public let path: String
    public let rows: [CaptionRow]
    /// SHA-256 of the file.
    public let contentHash: String
    /// The splits that were used; nil if the file has none.
    public let split: String?
    /// Captions of a `.json` file without text, which are left out.
    public private(set) var emptyCount = 0

    /// - Parameter split: splits of a Karpathy file, joined by `+`; nil means those of ``defaultSplits`` that the file
    ///   has.
    /// - Throws: ``SynthesisError``, `DatasetError` for a broken `.json`, `FileError`.
    public init(path: String, split: String? = nil) throws {
        self.path = path
        switch (path as NSString).pathExtension.lowercased() {
        case "json", "jsonl":
            let file = try CaptionFile(contentsOf: path, withImages: true, lineKeys: ["id", "caption", "image"])
            contentHash = file.hash
            if file.format == .lines {
                try Self.refuse(split, path)
                rows = try Self.rows(ofLines: file, path)
                self.split = nil
            } else if file.entries.isEmpty {
                rows = []
                self.split = nil
            } else {
                let set = try CaptionedImages(file, path: path, split: split, defaultSplit: Self.defaultSplits)
                let all = Self.rows(of: set)
                rows = all.filter { Self.hasText($0.caption) }
                emptyCount = all.count - rows.count
                self.split = set.split
            }
        case "txt":
            try Self.refuse(split, path)
            let bytes = try RegularFile.bytes(path)
            try PlaceholderFile.refuse(bytes, path: path)
            rows = try Self.textRows(TextLines(bytes, path: path), path)
            contentHash = ContentHash.sha256(of: bytes)
            self.split = nil
        default:
            throw SynthesisError.unknownCaptionFile(path: path)
        }
        if rows.isEmpty { throw SynthesisError.noCaptions(path: path) }
    }

    private static func refuse(_ split: String?, _ path: String) throws {
        guard split != nil else { return }
        throw SynthesisError.badSetting(name: "split", expected: "a Karpathy file (.json)", got: "'\(path)'")
    }

    private static func rows(of file: CaptionedImages) -> [CaptionRow] {
        // dataset_flickr30k.json is not COCO; only the name of the file tells.
        let name = FileSystem.name(of: file.path).lowercased()
        let prefix = name.contains("flickr30k") ? "flickr30k" : name.contains("flickr8k") ? "flickr8k" : "coco"
        return file.images.flatMap { image in
            let id =
                switch image.id {
                case .name(let name): name.string
                default: "\(prefix)-\(image.id)"
                }
            return image.captions.enumerated().map { number, caption in
                CaptionRow(id: "\(id)-\(number)", caption: caption, image: image.fileName)
            }
        }
    }

    private static func textRows(_ lines: TextLines, _ path: String) throws -> [CaptionRow] {
        var rows: [CaptionRow] = []
        for line in lines {
            let caption = try line.text
            guard hasText(caption) else {
                throw SynthesisError.badLine(
                    path: path, line: line.number, expected: "a caption", got: "an empty line")
            }
            if let excess = TextLimit.excess(of: caption) {
                throw SynthesisError.badLine(
                    path: path, line: line.number, expected: TextLimit.expectation, got: excess)
            }
            rows.append(CaptionRow(id: padded(rows.count, 8), caption: caption))
        }
        return rows
    }

    private static func rows(ofLines file: CaptionFile, _ path: String) throws -> [CaptionRow] {
        var firstLines: [ExactString: Int] = [:]
        var images: [ImageID: String] = [:]
        for image in file.images { images[image.id] = image.fileName }
        return try zip(file.entries, file.lines).map { entry, line in
            guard let id = entry.id, hasText(id) else {
                throw SynthesisError.badLine(
                    path: path, line: line, expected: "'id', a string or a whole number",
                    got: entry.id == nil ? "nothing" : "an empty string")
            }
            guard hasText(entry.caption) else {
                throw SynthesisError.badLine(
                    path: path, line: line, expected: "'caption', a string with text", got: "an empty string")
            }
            let image = images[entry.imageID]
            if let image, !hasText(image) || image.utf8.contains(0) {
                throw SynthesisError.badLine(path: path, line: line, expected: "'image', a path", got: "another string")
            }
            if let first = firstLines.updateValue(line, forKey: ExactString(id)) {
                throw SynthesisError.duplicateID(path: path, line: line, id: id, firstLine: first)
            }
            return CaptionRow(id: id, caption: entry.caption, image: image)
        }
    }

    private static func hasText(_ text: String) -> Bool { text.utf8.contains { $0 > 0x20 } }
}

/// A number with leading zeros.
func padded(_ number: Int, _ digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
}
