import Datasets

/// What retrieval is measured on: images that are all there, and every caption with the image it belongs to.
public struct RetrievalSet {
    /// Paths below the images folder, in the order of the evaluation.
    public let images: [String]
    /// All captions, those of one image together.
    public let captions: [String]
    /// Index into `images` for every caption.
    public let imageOfCaption: [Int]
    public let format: CaptionedImages.Format
    /// Karpathy's split, where the file has them.
    public let split: String?
    /// SHA-256 of the captions file.
    public let contentHash: String
    /// Images of the file that no caption names; they could never be found and are left out.
    public let withoutCaption: Int
    /// What to say of those; nil when there are none.
    public let note: String?

    /// - Parameters:
    ///   - folder: where the images are; Karpathy's `filepath` (val2014) is looked for below it, then left out.
    ///   - split: of Karpathy's file, `test` when nil; a COCO file has none.
    /// - Throws: `DatasetError`; missing images are counted, the first ten by name: recall over fewer would be another number.
    public init(file: String, folder: String, split: String?) throws {
        let data = try CaptionedImages(path: file, split: split, defaultSplit: "test")
        images = try data.fileNames(below: folder)
        captions = data.images.flatMap(\.captions)
        imageOfCaption = data.images.enumerated().flatMap { Array(repeating: $0, count: $1.captions.count) }
        format = data.format
        self.split = data.split
        contentHash = data.contentHash
        withoutCaption = data.withoutCaption.count
        note = data.withoutCaptionNote
    }
}
