// Bytes to RGB. The pixels are those of Pillow's `Image.open(...)`, `ImageOps.exif_transpose`, and the conversion that the
// chosen `Transparency` names.

import CImageCodecs

/// How `RGBImage(decoding:)` reads a file.
public struct ImageDecodingOptions: Sendable, Hashable, Codable {
    public enum Orientation: String, Sendable, Hashable, Codable, CaseIterable {
        /// Turn the pixels upright by the EXIF (or XMP) orientation, like `ImageOps.exif_transpose` and transformers'
        /// `load_image`.
        case exif
        /// Keep the stored pixels, like a bare `Image.open`: what open_clip's transforms see. TIFF and HEIC are turned
        /// all the same, because opening them turns them in Pillow too.
        case ignore
    }

    public enum Scale: Sendable, Hashable, Codable {
        /// Every pixel of the file.
        case full
        /// JPEG only: decode at the smallest of 1/1, 1/2, 1/4, 1/8 that still reaches this size on both sides, like
        /// Pillow's `draft`. This is faster and changes pixels. Other formats are decoded whole.
        case reduced(toAtLeast: ImageSize)
    }

    public var orientation: Orientation
    public var transparency: Transparency
    public var scale: Scale
    public var limits: ImageLimits

    public init(
        orientation: Orientation = .exif, transparency: Transparency = .white, scale: Scale = .full,
        limits: ImageLimits = .standard
    ) {
        self.orientation = orientation
        self.transparency = transparency
        self.scale = scale
        self.limits = limits
    }
}

/// What a file's header says.
public struct ImageHeader: Sendable, Hashable {
    public let format: ImageFormat
    /// The stored size, before orientation.
    public let storedSize: ImageSize
    /// EXIF orientation, 1...8; 1 if the file has none.
    public let orientation: Int
    /// Whether pixels may be transparent, in which case ``Transparency`` matters.
    public let hasTransparency: Bool

    /// - Throws: `ImageError`, as decoding does, for a header that is truncated, damaged, too large or of another
    ///   format.
    public init(_ bytes: UnsafeRawBufferPointer, name: String, limits: ImageLimits = .standard) throws {
        let session = try DecodingSession(bytes, name: name, limits: limits)
        format = session.format
        storedSize = ImageSize(width: Int(session.info.source_width), height: Int(session.info.source_height))
        orientation = Int(session.info.orientation)
        hasTransparency = session.channels == 4 && session.info.mode != GIC_MODE_CMYK
    }
}

extension RGBImage {
    /// Decodes the bytes of an image file of any ``ImageFormat``.
    ///
    /// Grey becomes RGB, palettes are looked up, CMYK is converted as in Pillow (Adobe's inverted inks in JPEG), 16-bit
    /// colour keeps its high byte, grey of more than 8 bits is clipped to 255. An animation gives its first frame, a
    /// TIFF its first page, a HEIC file its primary picture. Colour profiles are not applied.
    ///
    /// Differences from Pillow: damaged checksums in PNG chunks are an error. The orientation in PNG text chunks of old
    /// ImageMagick files ("Raw profile type exif") and in compressed XMP is not read. docs/images.md lists the layouts
    /// of TIFF and BMP that are refused.
    /// - Parameter name: names the image in errors.
    /// - Throws: `ImageError`: `.empty`, `.truncated`, `.corrupt`, `.unsupported`, `.noDecoder`, `.placeholder`,
    ///   `.tooLarge`, `.zeroDimension`, `.outOfMemory`.
    public init(decoding bytes: UnsafeRawBufferPointer, name: String, options: ImageDecodingOptions = .init()) throws {
        let session = try DecodingSession(bytes, name: name, limits: options.limits)
        let turn = session.turn(options.orientation)
        if case .reduced(let least) = options.scale {
            session.reduce(toAtLeast: turn >= 5 ? least.transposed : least)
        }
        let stored = session.size
        let upright = turn >= 5 ? stored.transposed : stored
        let pixels: [UInt8]
        if turn <= 1, session.channels == 3 {
            pixels = try withPixelArray(count: session.pixelCount * 3, image: name) {
                try session.read(into: $0.baseAddress!)
            }
        } else {
            let buffer = try session.pixels(turn: turn, transparency: options.transparency)
            pixels = try withPixelArray(count: session.pixelCount * 3, image: name) {
                $0.baseAddress!.update(from: buffer.start, count: $0.count)
            }
        }
        self.init(checkedWidth: upright.width, height: upright.height, pixels: pixels)
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
