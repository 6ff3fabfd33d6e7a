/// Width and height in pixels.
public struct ImageSize: Sendable, Hashable, Codable, CustomStringConvertible {
    public var width: Int
    public var height: Int

    public init(width: Int, height: Int) {
        self.width = width
        self.height = height
    }

    public var description: String { "\(width)x\(height)" }
}

/// An 8-bit RGB image: `pixels[(y * width + x) * 3 + channel]`, rows from the top, channels red, green, blue.
///
/// The array is copy-on-write and `Sendable`, so an image can cross tasks; decoding writes straight into its storage.
public struct RGBImage: Sendable, Hashable {
    public let width: Int
    public let height: Int
    public let pixels: [UInt8]

    public var size: ImageSize { ImageSize(width: width, height: height) }

    /// - Throws: `ImageError.invalidRequest` if a side is not positive or the length of `pixels` is not `width * height
    ///   * 3`.
    public init(width: Int, height: Int, pixels: [UInt8]) throws {
        guard width > 0, height > 0, !width.multipliedReportingOverflow(by: height).overflow,
            pixels.count.isMultiple(of: 3), pixels.count / 3 == width * height
        else {
            throw ImageError.invalidRequest(
                what: "RGB image", expected: "positive sides and width * height * 3 bytes",
                got: "\(width)x\(height) with \(pixels.count) bytes")
        }
        self.init(checkedWidth: width, height: height, pixels: pixels)
    }

    init(checkedWidth width: Int, height: Int, pixels: [UInt8]) {
        self.width = width
        self.height = height
        self.pixels = pixels
    }
}
