import Datasets
import Files
import Foundation
import StrictJSON

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
/// - `.json`: COCO's captions (images ascending by id, captions in file order) or Karpathy's splits (file order); ids are
///   `coco-391895-0`, image and caption number.
/// - `.jsonl`: an object per line, `{"id": "…", "caption": "…", "image": "…"}`, `image` optional. Blank lines are no rows.
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
        let ending = (path as NSString).pathExtension.lowercased()
        if split != nil, ending != "json" {
            throw SynthesisError.badSetting(name: "split", expected: "a Karpathy file (.json)", got: "'\(path)'")
        }
        switch ending {
        case "json":
            let file = try CaptionedImages(path: path, split: split, defaultSplit: Self.defaultSplits)
            let all = try Self.rows(of: file)
            rows = all.filter { Self.hasText($0.caption) }
            emptyCount = all.count - rows.count
            contentHash = file.contentHash
            self.split = file.split
        case "jsonl", "txt":
            let bytes = try RegularFile.bytes(path)
            try PlaceholderFile.refuse(bytes, path: path)
            let lines = TextLines(bytes, path: path)
            rows = ending == "txt" ? try Self.textRows(lines, path) : try Self.objectRows(lines, path)
            contentHash = ContentHash.sha256(of: bytes)
            self.split = nil
        default:
            throw SynthesisError.unknownCaptionFile(path: path)
        }
        if rows.isEmpty { throw SynthesisError.noCaptions(path: path) }
    }

    private static func rows(of file: CaptionedImages) throws -> [CaptionRow] {
        // dataset_flickr30k.json is not COCO; only the name of the file tells.
        let name = FileSystem.name(of: file.path).lowercased()
        let prefix = name.contains("flickr30k") ? "flickr30k" : name.contains("flickr8k") ? "flickr8k" : "coco"
        var numbers: Set<Int> = []
        return try file.images.flatMap { image in
            guard numbers.insert(image.id).inserted else {
                throw DatasetError.badCaptionFile(
                    path: file.path, place: "images", expected: "a number of its own for each", got: "\(image.id) twice"
                )
            }
            return image.captions.enumerated().map { number, caption in
                CaptionRow(id: "\(prefix)-\(image.id)-\(number)", caption: caption, image: image.fileName)
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

    private static func objectRows(_ file: TextLines, _ path: String) throws -> [CaptionRow] {
        var rows: [CaptionRow] = []
        var lines: [ExactString: Int] = [:]
        for line in file where !line.isBlank {
            let value: JSONValue
            do {
                value = try StrictJSON.parse(Array(line.bytes), depthLimit: 8)
            } catch {
                throw SynthesisError.badLine(path: path, line: line.number, expected: "JSON", got: "\(error)")
            }
            func failure(_ expected: String, _ got: String) -> SynthesisError {
                .badLine(path: path, line: line.number, expected: expected, got: got)
            }
            guard let members = value.members else { throw failure("an object with id and caption", value.kind) }
            if let other = members.first(where: { !["id", "caption", "image"].contains($0.key) }) {
                throw failure("the keys id, caption and image", "'\(other.key)'")
            }
            let id: String
            switch value["id"] {
            case .string(let text)? where hasText(text): id = text
            case .number(let text)? where Int(text) != nil: id = text
            case let other: throw failure("'id', a string or a whole number", other?.kind ?? "nothing")
            }
            guard let caption = value["caption"]?.string, hasText(caption) else {
                throw failure("'caption', a string with text", value["caption"]?.kind ?? "nothing")
            }
            if let excess = TextLimit.excess(of: caption) {
                throw failure("'caption', \(TextLimit.expectation)", excess)
            }
            var image: String?
            switch value["image"] {
            case nil, .null?: break
            case .string(let text)? where hasText(text) && !text.utf8.contains(0): image = text
            case let other: throw failure("'image', a path", other?.kind ?? "nothing")
            }
            if let first = lines.updateValue(line.number, forKey: ExactString(id)) {
                throw SynthesisError.duplicateID(path: path, line: line.number, id: id, firstLine: first)
            }
            rows.append(CaptionRow(id: id, caption: caption, image: image))
        }
        return rows
    }

    private static func hasText(_ text: String) -> Bool { text.utf8.contains { $0 > 0x20 } }
}

/// A number with leading zeros.
func padded(_ number: Int, _ digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
}
