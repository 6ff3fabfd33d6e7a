import Datasets
import Files
import Foundation
import Safetensors
import StrictJSON

/// One caption to make images of.
public struct CaptionRow: Sendable, Hashable {
    /// Unique within the file.
    public let id: String
    /// As it stands in the file, not trimmed.
    public let caption: String
    /// The real image of the caption as the file names it.
    public let image: String?

    public init(id: String, caption: String, image: String? = nil) {
        self.id = id
        self.caption = caption
        self.image = image
    }
}

/// The captions of a file, in an order that only the file decides: a row's number is part of what its image is.
///
/// - `.json`: COCO's captions (images ascending by id, captions in file order) or Karpathy's splits (file order); ids are
///   `coco-391895-0`, image and caption number.
/// - `.jsonl`: an object per line, `{"id": "…", "caption": "…", "image": "…"}`, `image` optional. Blank lines are no rows.
/// - `.txt`: a caption per line, all of them: an empty one is an error. Ids are row numbers, `00000041`.
public struct CaptionRows: Sendable {
    public let path: String
    public let rows: [CaptionRow]
    /// SHA-256 of the file.
    public let contentHash: String

    /// - Parameter split: of a Karpathy file; nil takes all.
    /// - Throws: ``SynthesisError``, `DatasetError` for a broken `.json`, `FileError`.
    public init(path: String, split: String? = nil) throws {
        self.path = path
        let ending = (path as NSString).pathExtension.lowercased()
        if split != nil, ending != "json" {
            throw SynthesisError.badSetting(name: "split", expected: "a Karpathy file (.json)", got: "'\(path)'")
        }
        switch ending {
        case "json":
            let file = try CaptionedImages(path: path, split: split)
            rows = Self.rows(of: file)
            contentHash = file.contentHash
        case "jsonl", "txt":
            let file = try MappedFile(path: path)
            let bytes = file.withUnsafeBytes { Array($0) }
            rows = ending == "txt" ? try Self.textRows(bytes, path) : try Self.objectRows(bytes, path)
            contentHash = ContentHash.sha256(of: bytes)
        default:
            throw SynthesisError.unknownCaptionFile(path: path)
        }
        if rows.isEmpty { throw SynthesisError.noCaptions(path: path) }
    }

    private static func rows(of file: CaptionedImages) -> [CaptionRow] {
        // dataset_flickr30k.json is not COCO; the file's name is the only place that tells.
        let name = ((file.path as NSString).lastPathComponent as NSString).deletingPathExtension.lowercased()
        let prefix = name.contains("flickr30k") ? "flickr30k" : name.contains("flickr8k") ? "flickr8k" : "coco"
        return file.images.flatMap { image in
            image.captions.enumerated().map { number, caption in
                CaptionRow(id: "\(prefix)-\(image.id)-\(number)", caption: caption, image: image.fileName)
            }
        }
    }

    private static func textRows(_ bytes: [UInt8], _ path: String) throws -> [CaptionRow] {
        var rows: [CaptionRow] = []
        try forEachLine(bytes) { line, range in
            guard let caption = String(validating: bytes[range], as: UTF8.self) else {
                throw SynthesisError.badLine(path: path, line: line, expected: "UTF-8", got: "other bytes")
            }
            guard hasText(caption) else {
                throw SynthesisError.badLine(path: path, line: line, expected: "a caption", got: "an empty line")
            }
            rows.append(CaptionRow(id: padded(rows.count, 8), caption: caption))
        }
        return rows
    }

    private static func objectRows(_ bytes: [UInt8], _ path: String) throws -> [CaptionRow] {
        var rows: [CaptionRow] = []
        var lines: [String: Int] = [:]
        try forEachLine(bytes) { line, range in
            guard bytes[range].contains(where: { $0 > 0x20 }) else { return }
            let value: JSONValue
            do {
                value = try StrictJSON.parse(Array(bytes[range]), depthLimit: 8)
            } catch {
                throw SynthesisError.badLine(path: path, line: line, expected: "JSON", got: "\(error)")
            }
            func failure(_ expected: String, _ got: String) -> SynthesisError {
                .badLine(path: path, line: line, expected: expected, got: got)
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
            var image: String?
            switch value["image"] {
            case nil, .null?: break
            case .string(let text)? where hasText(text) && !text.utf8.contains(0): image = text
            case let other: throw failure("'image', a path", other?.kind ?? "nothing")
            }
            if let first = lines.updateValue(line, forKey: id) {
                throw SynthesisError.duplicateID(path: path, line: line, id: id, firstLine: first)
            }
            rows.append(CaptionRow(id: id, caption: caption, image: image))
        }
        return rows
    }

    private static func hasText(_ text: String) -> Bool { text.utf8.contains { $0 > 0x20 } }

    /// Lines without their end (LF or CRLF); a file's last line may lack one.
    private static func forEachLine(_ bytes: [UInt8], _ body: (Int, Range<Int>) throws -> Void) throws {
        var start = 0
        var line = 0
        while start < bytes.count {
            line += 1
            let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
            let text = end > start && bytes[end - 1] == 0x0D ? end - 1 : end
            try body(line, start..<text)
            start = end + 1
        }
    }
}

/// A number with leading zeros.
func padded(_ number: Int, _ digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
}
