import CImageCodecs
import Files
import Foundation

/// One open decoder: the header has been read, and the pixels can be fetched once.
final class DecodingSession {
    private let decoder: OpaquePointer
    private let name: String
    private let limits: ImageLimits
    private(set) var info = gic_info()

    /// `bytes` must outlive the session.
    /// - Throws: `ImageError`.
    init(_ bytes: UnsafeRawBufferPointer, name: String, limits: ImageLimits) throws {
        var decoder: OpaquePointer?
        var message = gic_message()
        let status = gic_decoder_open(
            bytes.assumingMemoryBound(to: UInt8.self).baseAddress, bytes.count, Int64(limits.maximumPixels), &decoder,
            &info, &message)
        guard status == GIC_OK, let decoder else {
            if status == GIC_UNSUPPORTED { try refusePlaceholder(bytes, name) }
            throw imageError(status, message, image: name, limits: limits)
        }
        self.decoder = decoder
        self.name = name
        self.limits = limits
    }

    deinit { gic_decoder_close(decoder) }

    var format: ImageFormat { ImageFormat(info.format) }

    /// The size of the pixels that `read` writes.
    var size: ImageSize { ImageSize(width: Int(info.width), height: Int(info.height)) }
    var pixelCount: Int { size.width * size.height }
    /// Three (RGB) or four (alpha or CMYK).
    var channels: Int { Int(info.channels) }

    /// EXIF's number of the turn that brings the image upright, according to the caller's option.
    func turn(_ orientation: ImageDecodingOptions.Orientation) -> Int32 {
        orientation == .exif || info.always_turned != 0 ? info.orientation : 1
    }

    func reduce(toAtLeast least: ImageSize) {
        gic_decoder_reduce(decoder, Int32(clamping: least.width), Int32(clamping: least.height), &info)
    }

    func setWindow(_ window: PixelRectangle) {
        gic_decoder_set_window(
            decoder, Int32(window.left), Int32(window.top), Int32(window.left + window.width),
            Int32(window.top + window.height))
    }

    /// Fills ``pixelCount`` times ``channels`` bytes.
    /// - Throws: `ImageError`.
    func read(into pixels: UnsafeMutablePointer<UInt8>) throws {
        var message = gic_message()
        let status = gic_decoder_read(decoder, pixels, pixelCount * channels, &message)
        guard status == GIC_OK else { throw imageError(status, message, image: name, limits: limits) }
    }

    /// The stored pixels, upright; four channels become RGB unless `keepsFour`.
    /// - Throws: `ImageError`.
    func pixels(turn: Int32, transparency: Transparency, keepsFour: Bool = false) throws -> PixelBuffer {
        let stored = try PixelBuffer(count: pixelCount * channels, image: name)
        try read(into: stored.start)
        var kept = info.channels
        if kept == 4, !keepsFour {
            let alpha = transparency == .white ? GIC_ALPHA_WHITE : GIC_ALPHA_DROP
            gic_to_rgb(stored.start, pixelCount, info.mode, alpha, stored.start)
            kept = 3
        }
        guard turn > 1 else { return stored }
        let upright = try PixelBuffer(count: pixelCount * Int(kept), image: name)
        gic_orient(stored.start, info.width, info.height, kept, turn, upright.start)
        return upright
    }
}

/// Memory of an image's size, allocated so that a refusal is an error and does not end the process.
final class PixelBuffer {
    let start: UnsafeMutablePointer<UInt8>

    /// - Throws: `ImageError.outOfMemory`.
    init(count: Int, image: String) throws {
        guard let memory = malloc(max(count, 1)) else {
            throw ImageError.outOfMemory(image: image, detail: "\(count) bytes of pixels")
        }
        start = memory.assumingMemoryBound(to: UInt8.self)
    }

    deinit { free(start) }
}

/// An array whose storage `fill` writes in full, without zeroing it first.
/// - Throws: `ImageError.outOfMemory`, where the array itself would end the process.
func withPixelArray(
    count: Int, image: String, _ fill: (UnsafeMutableBufferPointer<UInt8>) throws -> Void
) throws -> [UInt8] {
    _ = try PixelBuffer(count: count, image: image)
    return try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        try fill(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
        initialized = count
    }
}

/// Throws if bytes of no image format are recognised as a placeholder of a file that was not fetched.
private func refusePlaceholder(_ bytes: UnsafeRawBufferPointer, _ name: String) throws(ImageError) {
    do {
        try PlaceholderFile.refuse(bytes, path: name)
    } catch .placeholder(_, let what, let advice) {
        throw .placeholder(image: name, what: what, advice: advice)
    } catch {
        throw .unreadable(image: name, reason: error.description)
    }
}

func imageError(_ status: gic_status, _ message: gic_message, image: String, limits: ImageLimits) -> ImageError {
    let detail = message.words
    switch status {
    case GIC_EMPTY: return .empty(image: image)
    case GIC_TRUNCATED: return .truncated(image: image, detail: detail)
    case GIC_UNSUPPORTED: return .unsupported(image: image, detail: detail)
    case GIC_TOO_LARGE: return .tooLarge(image: image, detail: detail, maximumPixels: limits.maximumPixels)
    case GIC_ZERO_DIMENSION: return .zeroDimension(image: image, detail: detail)
    case GIC_OUT_OF_MEMORY: return .outOfMemory(image: image, detail: detail)
    case GIC_NO_DECODER: return .noDecoder(image: image, detail: detail)
    case GIC_BAD_ARGUMENT: return .invalidRequest(what: "image '\(image)'", expected: "a valid request", got: detail)
    default: return .corrupt(image: image, detail: detail)
    }
}

extension gic_message {
    var words: String { withUnsafeBytes(of: text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) } }
}
