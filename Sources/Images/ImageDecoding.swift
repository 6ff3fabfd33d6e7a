// Bytes to RGB. The pixels are those of Pillow's `Image.open(...)`, `ImageOps.exif_transpose`, `convert("RGB")`, which is
// also what transformers' `load_image` does.

import CImageCodecs

/// How `RGBImage(decoding:)` reads a file.
public struct ImageDecodingOptions: Sendable, Hashable, Codable {
    public enum Orientation: String, Sendable, Hashable, Codable {
        /// Turn the pixels upright by the EXIF (or XMP) orientation, like `ImageOps.exif_transpose`.
        case apply
        /// Keep the stored pixels, like a bare `Image.open`: what open_clip's transforms see.
        case ignore
    }

    public enum Scale: Sendable, Hashable, Codable {
        /// Every pixel of the file.
        case full
        /// JPEG only: decode at the smallest of 1/1, 1/2, 1/4, 1/8 that still reaches this size on both sides, like
        /// Pillow's `draft`. Faster, and it changes pixels. PNG and WebP are decoded whole.
        case reduced(toAtLeast: ImageSize)
    }

    public var orientation: Orientation
    public var scale: Scale
    /// Files whose header declares more pixels are refused before anything is allocated.
    public var maximumPixels: Int

    public init(orientation: Orientation = .apply, scale: Scale = .full, maximumPixels: Int = 100_000_000) {
        self.orientation = orientation
        self.scale = scale
        self.maximumPixels = maximumPixels
    }
}

/// The file formats that are decoded, told apart by their first bytes, never by a file's name.
public enum ImageFormat: String, Sendable, Hashable, Codable {
    case jpeg, png, webp
}

/// What a file's header says.
public struct ImageHeader: Sendable, Hashable {
    public let format: ImageFormat
    /// As stored, before orientation.
    public let storedSize: ImageSize
    /// EXIF orientation, 1...8; 1 when the file names none.
    public let orientation: Int

    /// - Throws: `ImageError`, as decoding does: a header that is cut, damaged, too large or of another format.
    public init(
        _ bytes: UnsafeRawBufferPointer, name: String, maximumPixels: Int = ImageDecodingOptions().maximumPixels
    ) throws {
        let session = try DecodingSession(bytes, name: name, maximumPixels: maximumPixels)
        format = session.format
        storedSize = ImageSize(width: Int(session.info.source_width), height: Int(session.info.source_height))
        orientation = Int(session.info.orientation)
    }
}

extension RGBImage {
    /// Decodes a JPEG, PNG or WebP image.
    ///
    /// Grey becomes RGB, palettes are looked up, CMYK is converted as Pillow does (Adobe's inverted inks), alpha is
    /// dropped and not composited, 16-bit colour keeps its high byte, 16-bit grey is clipped to 255. An animation gives
    /// its first frame. Colour profiles are not applied.
    ///
    /// Differences to Pillow: damaged checksums in PNG chunks are an error; the orientation in PNG text chunks of old
    /// ImageMagick files ("Raw profile type exif") and in compressed XMP is not read.
    /// - Parameter name: names the image in errors.
    /// - Throws: `ImageError`: `.empty`, `.truncated`, `.corrupt`, `.unsupported`, `.tooLarge`, `.zeroDimension`,
    ///   `.outOfMemory`.
    public init(decoding bytes: UnsafeRawBufferPointer, name: String, options: ImageDecodingOptions = .init()) throws {
        let session = try DecodingSession(bytes, name: name, maximumPixels: options.maximumPixels)
        let turn = options.orientation == .apply ? session.info.orientation : 1
        if case .reduced(let least) = options.scale {
            session.reduce(toAtLeast: turn >= 5 ? ImageSize(width: least.height, height: least.width) : least)
        }
        let stored = session.size
        let pixels = try session.decodedArray()
        guard turn > 1 else {
            self.init(checkedWidth: stored.width, height: stored.height, pixels: pixels)
            return
        }
        let upright = try withPixelArray(count: pixels.count) { target in
            gic_orient(pixels, Int32(stored.width), Int32(stored.height), turn, target.baseAddress!)
        }
        self.init(
            checkedWidth: turn >= 5 ? stored.height : stored.width, height: turn >= 5 ? stored.width : stored.height,
            pixels: upright)
    }

    public init(decoding bytes: [UInt8], name: String, options: ImageDecodingOptions = .init()) throws {
        self = try bytes.withUnsafeBytes { try RGBImage(decoding: $0, name: name, options: options) }
    }

    /// Reads and decodes a file; errors name its path.
    /// - Throws: `ImageError`, also `.unreadable`.
    public init(contentsOfFile path: String, options: ImageDecodingOptions = .init()) throws {
        try self.init(decoding: readImageFile(path), name: path, options: options)
    }
}

/// One open decoder: the header is read, the pixels may be fetched once.
final class DecodingSession {
    private let decoder: OpaquePointer
    private let name: String
    private let maximumPixels: Int
    private(set) var info = gic_info()

    /// `bytes` must outlive the session.
    init(_ bytes: UnsafeRawBufferPointer, name: String, maximumPixels: Int) throws {
        var decoder: OpaquePointer?
        var message = gic_message()
        let status = gic_decoder_open(
            bytes.assumingMemoryBound(to: UInt8.self).baseAddress, bytes.count, Int64(maximumPixels), &decoder, &info,
            &message)
        guard status == GIC_OK, let decoder else {
            throw imageError(status, message, image: name, maximumPixels: maximumPixels)
        }
        self.decoder = decoder
        self.name = name
        self.maximumPixels = maximumPixels
    }

    deinit { gic_decoder_close(decoder) }

    var format: ImageFormat {
        switch info.format {
        case GIC_FORMAT_JPEG: .jpeg
        case GIC_FORMAT_PNG: .png
        default: .webp
        }
    }

    /// Of the pixels that `read(into:)` writes.
    var size: ImageSize { ImageSize(width: Int(info.width), height: Int(info.height)) }

    func reduce(toAtLeast least: ImageSize) {
        gic_decoder_reduce(decoder, Int32(clamping: least.width), Int32(clamping: least.height), &info)
    }

    func setWindow(left: Int32, top: Int32, right: Int32, bottom: Int32) {
        gic_decoder_set_window(decoder, left, top, right, bottom)
    }

    func read(into pixels: UnsafeMutableBufferPointer<UInt8>) throws {
        var message = gic_message()
        let status = gic_decoder_read(decoder, pixels.baseAddress, pixels.count, &message)
        guard status == GIC_OK else { throw imageError(status, message, image: name, maximumPixels: maximumPixels) }
    }

    func decodedArray() throws -> [UInt8] {
        try withPixelArray(count: size.width * size.height * 3) { try read(into: $0) }
    }
}

/// An array whose storage `fill` writes in full, without zeroing it first.
func withPixelArray(count: Int, _ fill: (UnsafeMutableBufferPointer<UInt8>) throws -> Void) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        try fill(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
        initialized = count
    }
}

func imageError(_ status: gic_status, _ message: gic_message, image: String, maximumPixels: Int) -> ImageError {
    let detail = withUnsafeBytes(of: message.text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    switch status {
    case GIC_EMPTY: return .empty(image: image)
    case GIC_TRUNCATED: return .truncated(image: image, detail: detail)
    case GIC_UNSUPPORTED: return .unsupported(image: image, detail: detail)
    case GIC_TOO_LARGE: return .tooLarge(image: image, detail: detail, maximumPixels: maximumPixels)
    case GIC_ZERO_DIMENSION: return .zeroDimension(image: image, detail: detail)
    case GIC_OUT_OF_MEMORY: return .outOfMemory(image: image, detail: detail)
    case GIC_BAD_ARGUMENT: return .invalidRequest(what: "image '\(image)'", expected: "a valid request", got: detail)
    default: return .corrupt(image: image, detail: detail)
    }
}
