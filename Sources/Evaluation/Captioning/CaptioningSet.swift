import CaptionFiles
import Datasets

/// The images of a captions file that are to be captioned, and where they are.
public struct CaptioningSet {
    public let images: [CaptionedImage]
    /// Of each image, as this process can open it.
    public let paths: [String]
    /// Of Karpathy's file, which holds the training images too: `test` unless another was asked for.
    public let split: String?
    /// SHA-256 of the captions file.
    public let contentHash: String
    /// What the user should know of the set, a line each.
    public let notes: [String]
    /// The captions file and the folder, as they were named.
    public let file: String
    public let folder: String

    /// - Parameters:
    ///   - folder: that the file's names are below; names are also looked for without their folders.
    ///   - limit: only this many images, from the first.
    /// - Throws: `DatasetError` and `CaptionFileError`; images that are missing, or that would share a file, are errors.
    public init(file: String, folder: String, split: String?, limit: Int?) throws {
        let all = try CaptionedImages(path: file, split: split, defaultSplit: "test")
        let set = limit.map(all.first) ?? all
        self.file = file
        self.folder = folder
        self.split = set.split
        contentHash = set.contentHash
        images = set.images
        paths = try set.fileNames(below: folder).map { "\(folder)/\($0)" }
        notes = set.withoutCaptionNote.map { [$0] } ?? []
    }

    /// The captions that scores are made against.
    public var references: CaptionFile {
        CaptionFile(
            entries: images.flatMap { image in
                image.captions.map { CaptionFile.Entry(imageID: image.id, caption: $0) }
            }, hash: contentHash)
    }
}
