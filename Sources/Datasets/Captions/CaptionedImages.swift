import CaptionFiles
import Files

/// One image and all its captions.
public struct CaptionedImage: Sendable, Hashable {
    /// COCO's number, `imgid` for Karpathy's sets without one; names elsewhere.
    public let id: ImageID
    /// As the file names it; Karpathy's `filepath` comes first (`val2014/COCO_val2014_000000391895.jpg`). nil in files
    /// that name no images.
    public let fileName: String?
    /// `train`, `restval`, `val` or `test` in Karpathy's files, nil elsewhere.
    public let split: String?
    /// In file order, as written (not trimmed).
    public let captions: [String]
}

/// The images and captions of a captions file, or of one split of it.
public struct CaptionedImages: Sendable {
    public typealias Format = CaptionFile.Format

    public let path: String
    public let format: Format
    /// COCO's file: ascending by id, as torchvision's `CocoCaptions` reads it. Others: file order.
    public private(set) var images: [CaptionedImage]
    /// The splits that were taken, joined by `+`; nil for all.
    public let split: String?
    /// Names of the images of those splits that have no caption; they are left out.
    public let withoutCaption: [String]
    /// SHA-256 of the file.
    public let contentHash: String

    public var captionCount: Int { images.reduce(0) { $0 + $1.captions.count } }

    /// - Parameters:
    ///   - split: only the images of this split (Karpathy's files), or of several: `train+restval`.
    ///   - defaultSplit: what `split` means when nil and the file has splits, as far as they are there; nil takes all.
    /// - Throws: `FileError`, `CaptionFileError`; ``DatasetError``: an unknown split with those there are, or no captioned
    ///   image.
    public init(path: String, split: String? = nil, defaultSplit: String? = nil) throws {
        try self.init(
            CaptionFile(contentsOf: path, withImages: true), path: path, split: split, defaultSplit: defaultSplit)
    }

    /// - Parameter file: read with its images.
    package init(_ file: CaptionFile, path: String, split: String?, defaultSplit: String?) throws {
        var order: [ImageID] = []
        var captions: [ImageID: [String]] = [:]
        for entry in file.entries {
            if captions[entry.imageID] == nil { order.append(entry.imageID) }
            captions[entry.imageID, default: []].append(entry.caption)
        }
        var known: [ImageID: CaptionFile.Image] = [:]
        for image in file.images { known[image.id] = image }
        if file.format == .coco { order.sort() }
        let wanted = try Self.splits(of: file, path: path, split: split, defaultSplit: defaultSplit)
        let isWanted = { (image: CaptionFile.Image?) in wanted.map { $0.contains(image?.split ?? "") } ?? true }

        images = order.compactMap { id in
            guard isWanted(known[id]) else { return nil }
            return CaptionedImage(
                id: id, fileName: known[id]?.fileName, split: known[id]?.split, captions: captions[id] ?? [])
        }
        withoutCaption = file.images.filter { captions[$0.id] == nil && isWanted($0) }.map(\.fileName)
        self.split = wanted?.joined(separator: "+")
        guard !images.isEmpty else { throw DatasetError.noImages(path: path, split: self.split) }
        self.path = path
        format = file.format
        contentHash = file.hash
    }

    /// The splits that count; nil for all images.
    private static func splits(
        of file: CaptionFile, path: String, split: String?, defaultSplit: String?
    ) throws -> [String]? {
        var known: [String] = []
        for case let name? in file.images.map(\.split) where !known.contains(name) { known.append(name) }
        let names = { (text: String) in text.split(separator: "+").map(String.init) }
        var wanted = split.map(names)
        var asked = split
        if split == nil, !known.isEmpty, let defaultSplit {
            // Flickr30k's file has no restval.
            let there = names(defaultSplit).filter(known.contains)
            wanted = there.isEmpty ? names(defaultSplit) : there
            asked = defaultSplit
        }
        guard let wanted, let asked else { return nil }
        guard !wanted.isEmpty, wanted.allSatisfy(known.contains) else {
            throw DatasetError.unknownSplit(path: path, split: asked, known: known.sorted())
        }
        return wanted
    }

    /// The same with the first images only, at most `count`.
    public func first(_ count: Int) -> CaptionedImages {
        var part = self
        part.images = Array(images.prefix(count))
        return part
    }

    /// Where each image stands below `folder`: as the file names it, or without folders when `folder` holds the images
    /// directly.
    /// - Throws: ``DatasetError/missingImages(path:folder:first:missing:total:)``, ``DatasetError/oneFileForTwo``,
    ///   ``DatasetError/noFileNames(path:)``.
    public func fileNames(below folder: String) throws -> [String] {
        var missing: [String] = []
        var takenBy: [ExactString: String] = [:]
        let names = try images.map { image in
            guard let name = image.fileName else { throw DatasetError.noFileNames(path: path) }
            let short = FileSystem.name(of: name)
            guard let found = [name, short].first(where: { FileSystem.exists("\(folder)/\($0)") }) else {
                missing.append(name)
                return name
            }
            // A flat folder has one file for two names that differ in their folders.
            if let other = takenBy.updateValue(name, forKey: ExactString(found)),
                ExactString(other) != ExactString(name)
            {
                throw DatasetError.oneFileForTwo(path: path, first: other, second: name, file: "\(folder)/\(found)")
            }
            return found
        }
        guard missing.isEmpty else {
            throw DatasetError.missingImages(
                path: path, folder: folder, first: Array(missing.prefix(10)), missing: missing.count, total: names.count
            )
        }
        return names
    }

    /// What to say of images without captions; nil when every image has one.
    public var withoutCaptionNote: String? {
        guard !withoutCaption.isEmpty else { return nil }
        let shown = withoutCaption.prefix(10).joined(separator: ", ")
        return "\(withoutCaption.count) images of '\(path)' have no caption and are left out: "
            + "\(shown)\(withoutCaption.count > 10 ? ", …" : "")"
    }
}
