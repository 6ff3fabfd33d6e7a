import CImageCodecs

/// RGB images to file bytes.
public enum ImageWriter {
    /// Lossless 8-bit RGB PNG.
    /// - Parameter compressionLevel: zlib's, 0 (stored) to 9 (smallest).
    /// - Throws: `ImageError.invalidRequest`, `.outOfMemory`.
    public static func png(_ image: RGBImage, compressionLevel: Int = 6) throws -> [UInt8] {
        guard (0...9).contains(compressionLevel) else {
            throw ImageError.invalidRequest(
                what: "PNG compression level", expected: "0...9", got: "\(compressionLevel)")
        }
        return try encoded { bytes, count, message in
            gic_encode_png(
                image.pixels, Int32(image.width), Int32(image.height), Int32(compressionLevel), bytes, count, message)
        }
    }

    /// Baseline JPEG.
    /// - Parameters:
    ///   - quality: libjpeg's scale, 1...100.
    ///   - fullChroma: keep colour at full resolution (4:4:4) instead of half (4:2:0).
    /// - Throws: `ImageError.invalidRequest` for a quality outside the scale or a side above 65500 pixels, JPEG's limit;
    ///   `.outOfMemory`.
    public static func jpeg(_ image: RGBImage, quality: Int = 90, fullChroma: Bool = false) throws -> [UInt8] {
        guard (1...100).contains(quality) else {
            throw ImageError.invalidRequest(what: "JPEG quality", expected: "1...100", got: "\(quality)")
        }
        guard image.width <= 65500, image.height <= 65500 else {
            throw ImageError.invalidRequest(
                what: "JPEG size", expected: "at most 65500 pixels a side", got: "\(image.size)")
        }
        return try encoded { bytes, count, message in
            gic_encode_jpeg(
                image.pixels, Int32(image.width), Int32(image.height), Int32(quality), fullChroma ? 1 : 0, bytes, count,
                message)
        }
    }

    private static func encoded(
        _ encode: (
            UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>, UnsafeMutablePointer<Int>,
            UnsafeMutablePointer<gic_message>
        ) -> gic_status
    ) throws -> [UInt8] {
        var bytes: UnsafeMutablePointer<UInt8>?
        var count = 0
        var message = gic_message()
        let status = encode(&bytes, &count, &message)
        defer { gic_free(bytes) }
        guard status == GIC_OK, let bytes else {
            throw imageError(status, message, image: "encoded image", limits: .standard)
        }
        return Array(UnsafeBufferPointer(start: bytes, count: count))
    }
}
