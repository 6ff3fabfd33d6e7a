import CImageCodecs

/// The file formats that are decoded, recognised by their first bytes and never by a file's name.
///
/// Every build reads JPEG, PNG, WebP, GIF and BMP. TIFF, AVIF and HEIF need libtiff, libavif and libheif, which are
/// loaded when the first such file is read. Without them those files are refused, and the error names the package to
/// install.
public enum ImageFormat: String, Sendable, Hashable, Codable, CaseIterable {
    case jpeg, png, webp, gif, bmp, tiff, avif
    /// HEIC and other HEIF pictures.
    case heif

    /// Why files of this format cannot be decoded here, with the package to install; nil if they can.
    public var missingDecoder: String? {
        var message = gic_message()
        return gic_check_format(code, &message) == GIC_OK ? nil : message.words
    }

    /// The number of this format in the C library.
    private var code: gic_format {
        switch self {
        case .jpeg: GIC_FORMAT_JPEG
        case .png: GIC_FORMAT_PNG
        case .webp: GIC_FORMAT_WEBP
        case .gif: GIC_FORMAT_GIF
        case .bmp: GIC_FORMAT_BMP
        case .tiff: GIC_FORMAT_TIFF
        case .avif: GIC_FORMAT_AVIF
        case .heif: GIC_FORMAT_HEIF
        }
    }

    /// - Precondition: a number from an open decoder.
    init(_ code: gic_format) {
        guard let format = Self.allCases.first(where: { $0.code == code }) else {
            preconditionFailure("no image format \(code.rawValue)")
        }
        self = format
    }

    /// The formats, in the words of messages.
    static let list = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC"

    /// Endings of file names (lower case) that promise this format.
    public var endings: [String] {
        switch self {
        case .jpeg: ["jpg", "jpeg", "jpe", "jfif"]
        case .png: ["png", "apng"]
        case .webp: ["webp"]
        case .gif: ["gif"]
        case .bmp: ["bmp", "dib"]
        case .tiff: ["tif", "tiff"]
        case .avif: ["avif", "avifs"]
        case .heif: ["heic", "heif", "heics", "heifs", "hif"]
        }
    }
}

/// How large an image may be.
public struct ImageLimits: Sendable, Hashable, Codable {
    /// Files whose header declares more pixels are refused before anything is allocated. A decoding thread holds three
    /// bytes per pixel, four where there is transparency, and up to nine for a progressive JPEG.
    public let maximumPixels: Int

    /// 100 million pixels, 300 MB: larger than the picture of any camera.
    public static let standard = ImageLimits(checked: 100_000_000)
    /// The range of the limit; its upper end keeps every computation with it within 64 bits.
    public static let range = 1...1_000_000_000_000

    private init(checked: Int) { maximumPixels = checked }

    /// - Throws: `ImageError.invalidRequest` for a number outside ``range``.
    public init(maximumPixels: Int) throws {
        guard Self.range.contains(maximumPixels) else {
            throw ImageError.invalidRequest(
                what: "--max-pixels", expected: "a number from \(Self.range.lowerBound) to \(Self.range.upperBound)",
                got: "\(maximumPixels)")
        }
        self.init(checked: maximumPixels)
    }

    public init(from decoder: any Decoder) throws {
        try self.init(maximumPixels: decoder.singleValueContainer().decode(Int.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(maximumPixels)
    }
}
