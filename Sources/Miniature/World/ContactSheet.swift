import Images

/// Many pictures in one, row by row.
public enum ContactSheet {
    /// - Parameters:
    ///   - images: at least one, all of one size.
    ///   - columns: pictures per row; the last row is filled up with the background colour.
    ///   - scale: each pixel becomes a square with this side.
    /// - Throws: `ImageError.invalidRequest` if there is no image.
    public static func make(_ images: [RGBImage], columns: Int, scale: Int = 1, gap: Int = 4) throws -> RGBImage {
        guard let first = images.first else { return try RGBImage(width: 0, height: 0, pixels: []) }
        let rows = (images.count + columns - 1) / columns
        let (cellWidth, cellHeight) = (first.width * scale + gap, first.height * scale + gap)
        let (width, height) = (columns * cellWidth + gap, rows * cellHeight + gap)
        var pixels = [UInt8](repeating: 246, count: width * height * 3)
        for (index, image) in images.enumerated() {
            let left = index % columns * cellWidth + gap
            let top = index / columns * cellHeight + gap
            for y in 0..<image.height * scale {
                for x in 0..<image.width * scale {
                    let source = (y / scale * image.width + x / scale) * 3
                    let target = ((top + y) * width + left + x) * 3
                    for channel in 0..<3 { pixels[target + channel] = image.pixels[source + channel] }
                }
            }
        }
        return try RGBImage(width: width, height: height, pixels: pixels)
    }
}
