import Foundation
import Images

/// A photo made small enough to travel inside the page.
enum Thumbnail {
    /// Pixels of the longer side at most: twice what a card shows, for sharp screens.
    static let longerSide = 480

    /// The image at `path` as a `data:` address; images that are smaller already keep their pixels.
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
        // Few pixels show every flaw of the compression, and cost little.
        let jpeg = try ImageWriter.jpeg(image, quality: isSmall ? 95 : 80, fullChroma: isSmall)
        return "data:image/jpeg;base64," + Data(jpeg).base64EncodedString()
    }
}
