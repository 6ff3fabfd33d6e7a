import Datasets

/// The data of a retrieval measurement: images that all exist, and every caption with the image to which it belongs.
public struct RetrievalSet {
    /// Paths below the images folder, in the order of the evaluation.
    public let images: [String]
    /// All captions, those of one image together.
    public let captions: [String]
    /// Index into `images` for every caption.
    public let imageOfCaption: [Int]
    public let format: CaptionedImages.Format
    /// Karpathy's split, if the file has splits.
    public let split: String?
    /// SHA-256 of the captions file.
    public let contentHash: String
    /// Images of the file without a caption; they could never be found and are left out.
    public let withoutCaption: Int
    /// What to say of those; nil when there are none.
    public let note: String?

    /// - Parameters:
    ///   - folder: the folder of the images; Karpathy's `filepath` (val2014) is first kept and then dropped.
    ///   - split: a split of Karpathy's file, `test` if nil; a COCO file has none.
    /// - Throws: `DatasetError`; missing images are counted and the first ten named, because recall over fewer images
    ///   would be another number.
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
