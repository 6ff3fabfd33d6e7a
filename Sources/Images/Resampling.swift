// Antialiased resizing that equals Pillow's `Image.resize` on RGB bit for bit.

import CImageCodecs

/// Raw values are Pillow's `Image.Resampling`, as `preprocessor_config.json` stores them under `resample`.
public enum ResampleFilter: Int, Sendable, Hashable, Codable, CaseIterable {
    case nearest = 0
    case lanczos = 1
    case bilinear = 2
    /// Keys' cubic with a = -0.5.
    case bicubic = 3
    case box = 4
    case hamming = 5
}

extension RGBImage {
    /// The image at another size.
    /// - Throws: `ImageError.invalidRequest` for sides outside 1...65535, or more than 2^30 pixels.
    public func resized(to target: ImageSize, filter: ResampleFilter = .bicubic) throws -> RGBImage {
        try resized(
            to: target, filter: filter,
            part: PixelRectangle(left: 0, top: 0, width: target.width, height: target.height))
    }

    /// Only the rectangle `part` of the image at another size: the pixels of resizing and then cropping, at the cost of
    /// the rectangle.
    public func resized(to target: ImageSize, filter: ResampleFilter, part: PixelRectangle) throws -> RGBImage {
        try resized(to: target, filter: filter, part: part, portable: false)
    }

    func resized(to target: ImageSize, filter: ResampleFilter, part: PixelRectangle, portable: Bool) throws -> RGBImage
    {
        let request = try resampleRequest(from: size, to: target, filter: filter, part: part, portable: portable)
        let result = try withPixelArray(count: part.width * part.height * 3, image: "resize") { output in
            try resample(request, pixels, into: output.baseAddress!)
        }
        return RGBImage(checkedWidth: part.width, height: part.height, pixels: result)
    }
}

/// A rectangle of whole pixels; `left` and `top` count from the upper left corner.
public struct PixelRectangle: Sendable, Hashable, Codable {
    public var left: Int
    public var top: Int
    public var width: Int
    public var height: Int

    public init(left: Int, top: Int, width: Int, height: Int) {
        self.left = left
        self.top = top
        self.width = width
        self.height = height
    }
}

func resampleRequest(
    from source: ImageSize, to target: ImageSize, filter: ResampleFilter, part: PixelRectangle, portable: Bool = false
) throws -> gic_resample_request {
    // The target may be longer than an image may be (a very elongated one of which only the middle is computed), but
    // the part that is held in memory may not.
    let limit = Int(Int32.max) / 4
    guard (1...limit).contains(target.width), (1...limit).contains(target.height), part.width >= 1, part.height >= 1,
        part.left >= 0, part.top >= 0, part.left <= target.width - part.width, part.top <= target.height - part.height,
        part.width <= 65535, part.height <= 65535, part.width * part.height <= 1 << 30
    else {
        throw ImageError.invalidRequest(
            what: "resize of \(source)", expected: "a part of at most 65535 pixels a side inside the resized image",
            got: "\(part.width)x\(part.height) at (\(part.left), \(part.top)) of \(target)")
    }
    return gic_resample_request(
        source_width: Int32(source.width), source_height: Int32(source.height), target_width: Int32(target.width),
        target_height: Int32(target.height), left: Int32(part.left), top: Int32(part.top), width: Int32(part.width),
        height: Int32(part.height), filter: gic_filter(UInt32(filter.rawValue)), portable: portable ? 1 : 0)
}

func resample(_ request: gic_resample_request, _ source: UnsafePointer<UInt8>, into target: UnsafeMutablePointer<UInt8>)
    throws
{
    var request = request
    let status = gic_resample(&request, source, target)
    guard status == GIC_OK else {
        throw ImageError.outOfMemory(
            image: "resize", detail: "to \(request.target_width)x\(request.target_height) pixels")
    }
}
