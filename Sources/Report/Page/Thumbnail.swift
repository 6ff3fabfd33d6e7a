import Foundation
import Images

/// A photo, reduced so that it can be embedded in the page.
enum Thumbnail {
    /// The most pixels of the longer side: twice what a card shows, for sharp screens.
    static let longerSide = 480

    /// The image at `path` as a `data:` address; smaller images keep their pixels.
    /// - Throws: `ImageError`.
    static func dataAddress(_ path: String) throws -> String {
        let bytes = try readImageFile(path)
        let least = ImageSize(width: longerSide, height: longerSide)
        var image = try RGBImage(decoding: bytes, name: path, options: .init(scale: .reduced(toAtLeast: least)))
        let longer = max(image.width, image.height)
        let isSmall = longer <= longerSide
        if !isSmall {
            let target = ImageSize(
                width: max(1, (image.width * longerSide + longer / 2) / longer),
                height: max(1, (image.height * longerSide + longer / 2) / longer))
            image = try image.resized(to: target, filter: .lanczos)
        }
        // In few pixels every flaw of the compression is visible, and high quality costs little.
        let jpeg = try ImageWriter.jpeg(image, quality: isSmall ? 95 : 80, fullChroma: isSmall)
        return "data:image/jpeg;base64," + Data(jpeg).base64EncodedString()
    }
}
