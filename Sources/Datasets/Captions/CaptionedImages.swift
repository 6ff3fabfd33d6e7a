// Captions for retrieval evaluation, from either of the two files in use:
// - COCO's own `captions_val2014.json`: `images[]` {id, file_name} and `annotations[]` {image_id, caption};
// - Karpathy's `dataset_coco.json` / `dataset_flickr30k.json`: `images[]` {filename, filepath?, split, sentences[]{raw}}.

import Files
import Foundation
import Safetensors
import StrictJSON

/// One image and all its captions.
public struct CaptionedImage: Sendable, Hashable {
    /// COCO's number; the running number `imgid` for sets without one.
    public let id: Int
    /// As the file names it; Karpathy's `filepath` comes first (`val2014/COCO_val2014_000000391895.jpg`).
    public let fileName: String
    /// `train`, `restval`, `val` or `test` in Karpathy's files, nil in COCO's.
    public let split: String?
    /// In file order, as written (not trimmed).
    public let captions: [String]
}

/// The images and captions of one COCO or Karpathy file, or of one split of it.
public struct CaptionedImages: Sendable {
    /// Whose file it is.
    public enum Format: String, Sendable {
        case coco
        case karpathy
    }

    public let path: String
    public let format: Format
    /// COCO's file: ascending by id, as torchvision's `CocoCaptions` reads it. Karpathy's: file order.
    public let images: [CaptionedImage]
    /// The splits that were taken, joined by `+`; nil for all.
    public let split: String?
    /// COCO images that no caption names; they are left out.
    public let withoutCaption: Int
    /// SHA-256 of the file.
    public let contentHash: String

    public var captionCount: Int { images.reduce(0) { $0 + $1.captions.count } }

    /// - Parameters:
    ///   - split: only the images of this split (Karpathy's files), or of several: `train+restval`.
    ///   - defaultSplit: what `split` means when nil and the file has splits, as far as they are there; nil takes all.
    /// - Throws: ``DatasetError``: a broken file with the place in it, an unknown split with those there are, or no
    ///   captioned image. COCO images without a caption are left out.
    public init(path: String, split: String? = nil, defaultSplit: String? = nil) throws {
        let file = try MappedFile(path: path)
        try PlaceholderFile.refuse(file.bytes, path: path)
        let root: JSONValue
        do {
            root = try StrictJSON.parse(file.bytes)
        } catch {
            throw DatasetError.badCaptionFile(
                path: path, place: "top level", expected: "JSON", got: error.description)
        }
        let reader = Reader(path: path)
        let entries = try reader.array(root["images"], "images")
        let format: Format = entries.first?["sentences"] != nil ? .karpathy : .coco
        var images = format == .karpathy ? try reader.karpathy(entries) : try reader.coco(entries, root: root)
        withoutCaption = entries.count - images.count
        var known: [String] = []
        for case let name? in images.map(\.split) where !known.contains(name) { known.append(name) }
        var split = split
        if split == nil, format == .karpathy, let defaultSplit {
            // Flickr30k's file has no restval.
            let there = Self.names(of: defaultSplit).filter(known.contains)
            split = there.isEmpty ? defaultSplit : there.joined(separator: "+")
        }
        if let split {
            let wanted = Self.names(of: split)
            guard !wanted.isEmpty, wanted.allSatisfy(known.contains) else {
                throw DatasetError.unknownSplit(path: path, split: split, known: known.sorted())
            }
            images.removeAll { image in !wanted.contains { $0 == image.split } }
        }
        guard !images.isEmpty else { throw DatasetError.noImages(path: path, split: split) }
        self.path = path
        self.format = format
        self.images = images
        self.split = split
        contentHash = file.withUnsafeBytes { ContentHash.sha256(of: $0) }
    }

    private static func names(of split: String) -> [String] { split.split(separator: "+").map(String.init) }

    /// Where each image stands below `folder`: as the file names it, or, for Karpathy's files, without `filepath` when the
    /// folder holds the images directly.
    /// - Throws: ``DatasetError/missingImages(path:folder:first:missing:total:)``.
    public func fileNames(below folder: String) throws -> [String] {
        let manager = FileManager.default
        var missing: [String] = []
        let names = images.map { image in
            if manager.fileExists(atPath: "\(folder)/\(image.fileName)") { return image.fileName }
            if format == .karpathy {
                let name = (image.fileName as NSString).lastPathComponent
                if manager.fileExists(atPath: "\(folder)/\(name)") { return name }
            }
            missing.append(image.fileName)
            return image.fileName
        }
        guard missing.isEmpty else {
            throw DatasetError.missingImages(
                path: path, folder: folder, first: Array(missing.prefix(10)), missing: missing.count, total: names.count
            )
        }
        return names
    }
}

private struct Reader {
    let path: String

    func coco(_ entries: [JSONValue], root: JSONValue) throws -> [CaptionedImage] {
        var names: [Int: String] = [:]
        for (index, entry) in entries.enumerated() {
            let id = try integer(entry["id"], "images[\(index)].id")
            let name = try self.name(entry["file_name"], "images[\(index)].file_name")
            guard names.updateValue(name, forKey: id) == nil else {
                throw failure("images[\(index)].id", "a number of its own", "\(id) again")
            }
        }
        var captions: [Int: [String]] = [:]
        for (index, entry) in try array(root["annotations"], "annotations").enumerated() {
            let id = try integer(entry["image_id"], "annotations[\(index)].image_id")
            guard names[id] != nil else {
                throw failure("annotations[\(index)].image_id", "the id of an image in the file", "\(id)")
            }
            captions[id, default: []].append(try string(entry["caption"], "annotations[\(index)].caption"))
        }
        return captions.keys.sorted().map {
            CaptionedImage(id: $0, fileName: names[$0]!, split: nil, captions: captions[$0]!)
        }
    }

    func karpathy(_ entries: [JSONValue]) throws -> [CaptionedImage] {
        try entries.enumerated().map { index, entry in
            let place = "images[\(index)]"
            let name = try self.name(entry["filename"], "\(place).filename")
            let folder = try entry["filepath"].map { try self.name($0, "\(place).filepath") } ?? ""
            let sentences = try array(entry["sentences"], "\(place).sentences")
            let captions = try sentences.enumerated().map { number, sentence in
                try string(sentence["raw"], "\(place).sentences[\(number)].raw")
            }
            guard !captions.isEmpty else { throw failure("\(place).sentences", "at least one caption", "none") }
            let id = try integer(
                entry["cocoid"] ?? entry["imgid"], entry["cocoid"] == nil ? "\(place).imgid" : "\(place).cocoid")
            return CaptionedImage(
                id: id, fileName: folder.isEmpty ? name : "\(folder)/\(name)",
                split: try string(entry["split"], "\(place).split"), captions: captions)
        }
    }

    func array(_ value: JSONValue?, _ place: String) throws -> [JSONValue] {
        guard let array = value?.array else { throw failure(place, "an array", value?.kind ?? "nothing") }
        return array
    }

    func integer(_ value: JSONValue?, _ place: String) throws -> Int {
        guard let number = value?.integer else { throw failure(place, "a whole number", value?.kind ?? "nothing") }
        return number
    }

    func string(_ value: JSONValue?, _ place: String) throws -> String {
        guard let text = value?.string else { throw failure(place, "a string", value?.kind ?? "nothing") }
        if let excess = TextLimit.excess(of: text) { throw failure(place, TextLimit.expectation, excess) }
        return text
    }

    /// A file's name.
    func name(_ value: JSONValue?, _ place: String) throws -> String {
        let name = try string(value, place)
        guard !name.utf8.contains(0) else { throw failure(place, "a file's name", "a text with a NUL character") }
        return name
    }

    func failure(_ place: String, _ expected: String, _ got: String) -> DatasetError {
        .badCaptionFile(path: path, place: place, expected: expected, got: got)
    }
}
