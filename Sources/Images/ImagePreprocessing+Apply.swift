// Bytes or pixels to floats. Resizing computes only the cropped part, and a baseline JPEG is reconstructed only where
// that part reads it; the values are those of the whole procedure.

import CImageCodecs

/// How the time for one image was spent.
public struct PreprocessingTimes: Sendable, Hashable {
    /// Bytes to upright RGB pixels.
    public var decode: Duration = .zero
    /// Resize and crop.
    public var resize: Duration = .zero
    /// Rescale, normalise, channels first.
    public var normalize: Duration = .zero

    public init() {}

    public var total: Duration { decode + resize + normalize }

    public static func += (sum: inout PreprocessingTimes, other: PreprocessingTimes) {
        sum.decode += other.decode
        sum.resize += other.resize
        sum.normalize += other.normalize
    }
}

extension ImagePreprocessing {
    /// Decodes an image file's bytes and writes the float tensor.
    /// - Parameters:
    ///   - name: names the image in errors.
    ///   - output: `[3, H, W]`, channels red, green, blue; exactly `3 * H * W` floats, H and W from ``outputSize``.
    /// - Returns: the time of each stage.
    /// - Throws: `ImageError`; the content of `output` is unspecified then.
    @discardableResult
    public func preprocess(
        _ bytes: UnsafeRawBufferPointer, name: String, into output: UnsafeMutableBufferPointer<Float>
    ) throws -> PreprocessingTimes {
        try decoded(bytes, name: name, outputCount: output.count) { plan, source, times in
            try plan.run(source, tables: lookupTables, into: output, times: &times)
        }
    }

    /// Decodes, resizes and crops an image file's bytes, and stops before they become floats: pixels that wait take a
    /// quarter of the memory. ``normalize(_:into:)`` does the rest, to the same bits as
    /// ``preprocess(_:name:into:)-swift.method``.
    /// - Parameter output: `[H, W, 3]`, exactly `3 * H * W` bytes, H and W from ``outputSize``.
    /// - Throws: `ImageError`; the content of `output` is unspecified then.
    public func crop(
        _ bytes: UnsafeRawBufferPointer, name: String, into output: UnsafeMutableBufferPointer<UInt8>
    ) throws {
        _ = try decoded(bytes, name: name, outputCount: output.count) { plan, source, _ in
            try plan.crop(source, into: output)
        }
    }

    /// Rescales and normalises cropped pixels, channels first.
    /// - Parameters:
    ///   - cropped: `[H, W, 3]`, from ``crop(_:name:into:)``.
    ///   - size: W and H.
    ///   - output: `[3, H, W]`, as many floats as `cropped` has bytes.
    public func normalize(
        _ cropped: UnsafeBufferPointer<UInt8>, size: ImageSize, into output: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(cropped.count == 3 * size.width * size.height && output.count == cropped.count)
        gic_planar_lookup(
            cropped.baseAddress, Int32(size.width), Int32(size.height), lookupTables, output.baseAddress,
            Int32(size.width), Int32(size.height), 0, 0)
    }

    /// Decodes as much of an image as its crop reads, upright.
    private func decoded(
        _ bytes: UnsafeRawBufferPointer, name: String, outputCount: Int,
        _ body: (Plan, Source, inout PreprocessingTimes) throws -> Void
    ) throws -> PreprocessingTimes {
        let clock = ContinuousClock()
        let start = clock.now
        let session = try DecodingSession(bytes, name: name, limits: limits)
        let turn = session.turn(orientation)
        let upright = turn >= 5 ? session.size.transposed : session.size
        let target = resizedSize(of: upright)
        if let ratio = decodeScale.ratio {
            let least = ImageSize(width: scaled(target.width, ratio), height: scaled(target.height, ratio))
            session.reduce(toAtLeast: turn >= 5 ? least.transposed : least)
        }
        let size = turn >= 5 ? session.size.transposed : session.size
        let colours = try storedColours(of: session, resizes: size != target, name: name)
        let plan = try Plan(
            self, filter: colours == .indexed ? .nearest : filter, source: size, target: target,
            outputCount: outputCount)
        if turn <= 1, let window = plan.window { session.setWindow(window) }
        let pixels = try session.pixels(
            turn: turn, transparency: transparency, keepsFour: colours == .alpha || colours == .inks)
        var times = PreprocessingTimes()
        times.decode = clock.now - start
        try body(plan, Source(pixels.start, size: size, colours: colours), &times)
        return times
    }

    /// The colours that are resized: RGB, but under ``Transparency/openCLIP`` what the file stores.
    private func storedColours(of session: DecodingSession, resizes: Bool, name: String) throws -> Source.Colours {
        guard transparency == .openCLIP, resizes else { return .rgb }
        switch session.info.mode {
        case GIC_MODE_INDEXED: return .indexed
        case GIC_MODE_ALPHA: return .alpha
        case GIC_MODE_CMYK: return .inks
        case GIC_MODE_OTHER:
            throw ImageError.unsupported(
                image: name,
                detail: "open_clip resizes grey of more than 8 bits (and a palette with alpha) before it becomes RGB, "
                    + "which is not implemented; with transparency 'drop' or 'white' it is read")
        default: return .rgb
        }
    }

    @discardableResult
    public func preprocess(_ bytes: [UInt8], name: String, into output: UnsafeMutableBufferPointer<Float>) throws
        -> PreprocessingTimes
    {
        try bytes.withUnsafeBytes { try preprocess($0, name: name, into: output) }
    }

    /// The same for an image that is already decoded; `orientation`, `transparency`, `decodeScale` and `limits` have no
    /// effect here.
    @discardableResult
    public func preprocess(_ image: RGBImage, into output: UnsafeMutableBufferPointer<Float>) throws
        -> PreprocessingTimes
    {
        let plan = try Plan(
            self, filter: filter, source: image.size, target: resizedSize(of: image.size), outputCount: output.count)
        var times = PreprocessingTimes()
        try image.pixels.withUnsafeBufferPointer {
            try plan.run(
                Source($0.baseAddress!, size: image.size, colours: .rgb), tables: lookupTables, into: output,
                times: &times)
        }
        return times
    }

    /// Decode and preprocess into a new array `[3, H, W]`.
    public func tensor(_ bytes: [UInt8], name: String) throws -> (values: [Float], size: ImageSize) {
        let upright = try bytes.withUnsafeBytes { bytes in
            let session = try DecodingSession(bytes, name: name, limits: limits)
            return session.turn(orientation) >= 5 ? session.size.transposed : session.size
        }
        let size = outputSize(for: upright)
        try checkOutput(size)
        let count = 3 * size.width * size.height
        let values = try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            try preprocess(bytes, name: name, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
            initialized = count
        }
        return (values, size)
    }

    /// The float of each byte value, per channel: `[3, 256]`. It is rounded in the reference's order: the product in
    /// double, then in float32; mean and deviation in float32.
    var lookupTables: [Float] {
        var tables = [Float](repeating: 0, count: 3 * 256)
        for channel in 0..<3 {
            for value in 0..<256 {
                var real = rescaleFactor.map { Float(Double(value) * $0) } ?? Float(value)
                if let mean, let std { real = (real - Float(mean[channel])) / Float(std[channel]) }
                tables[channel * 256 + value] = real
            }
        }
        return tables
    }

    private func scaled(_ side: Int, _ ratio: Double) -> Int {
        Int(min((Double(side) * ratio).rounded(.up), Double(Int32.max)))
    }
}

private func checkOutput(_ size: ImageSize) throws {
    guard size.width <= 65535, size.height <= 65535, size.width >= 1, size.height >= 1 else {
        throw ImageError.invalidRequest(
            what: "preprocessed image", expected: "sides of 1...65535 pixels (set a crop)", got: "\(size)")
    }
}

extension ImageSize {
    var transposed: ImageSize { ImageSize(width: height, height: width) }
}

/// Upright pixels before the resize.
private struct Source {
    enum Colours {
        case rgb
        /// RGB from the indices of a palette.
        case indexed
        /// Four channels, the last one alpha.
        case alpha
        /// Four channels of ink.
        case inks
    }

    let pixels: UnsafePointer<UInt8>
    let size: ImageSize
    let colours: Colours

    init(_ pixels: UnsafePointer<UInt8>, size: ImageSize, colours: Colours) {
        self.pixels = pixels
        self.size = size
        self.colours = colours
    }

    /// Resizes to RGB.
    func resized(_ request: gic_resample_request, into target: UnsafeMutablePointer<UInt8>) throws {
        guard colours == .alpha || colours == .inks else { return try resample(request, pixels, into: target) }
        // A resize does not mix channels, so four channels are resized as two images of three.
        let mode = colours == .inks ? GIC_MODE_CMYK : GIC_MODE_ALPHA
        let count = size.width * size.height, part = Int(request.width) * Int(request.height)
        let colour = try PixelBuffer(count: 3 * count, image: "resize")
        let fourth = try PixelBuffer(count: 3 * count, image: "resize")
        gic_split(pixels, count, mode, colour.start, fourth.start)
        let resizedFourth = try PixelBuffer(count: 3 * part, image: "resize")
        try resample(request, colour.start, into: target)
        try resample(request, fourth.start, into: resizedFourth.start)
        gic_join(target, resizedFourth.start, part, mode, target)
    }
}

/// The geometry of one image: which part of the resized image is computed, and where in the output it goes.
private struct Plan {
    let output: ImageSize
    /// Where the part is in the output; the rest is padding.
    let left: Int
    let top: Int
    let part: PixelRectangle
    let request: gic_resample_request
    /// The source pixels that are read.
    let window: PixelRectangle?

    init(
        _ settings: ImagePreprocessing, filter: ResampleFilter, source: ImageSize, target: ImageSize, outputCount: Int
    ) throws {
        output = settings.crop ?? target
        try checkOutput(output)
        guard outputCount == 3 * output.width * output.height else {
            throw ImageError.invalidRequest(
                what: "preprocessing output", expected: "3 * \(output.height) * \(output.width) floats",
                got: "\(outputCount)")
        }
        let across = Self.placed(target.width, output.width, settings.cropRounding)
        let down = Self.placed(target.height, output.height, settings.cropRounding)
        left = across.padding
        top = down.padding
        part = PixelRectangle(
            left: across.offset, top: down.offset, width: across.count, height: down.count)
        request = try resampleRequest(from: source, to: target, filter: filter, part: part)
        var request = request
        var bounds: (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
        let status = gic_resample_window(&request, &bounds.0, &bounds.1, &bounds.2, &bounds.3)
        window =
            status == GIC_OK
            ? PixelRectangle(
                left: Int(bounds.0), top: Int(bounds.1), width: Int(bounds.2 - bounds.0),
                height: Int(bounds.3 - bounds.1)) : nil
    }

    /// One axis of the centre crop: which `count` pixels from `offset` on are kept, and after how much padding.
    private static func placed(_ resized: Int, _ wanted: Int, _ rounding: ImagePreprocessing.CropRounding)
        -> (offset: Int, count: Int, padding: Int)
    {
        let difference = resized - wanted
        guard difference >= 0 else {
            let missing = -difference
            return (0, resized, rounding == .transformers ? (missing + 1) / 2 : missing / 2)
        }
        guard rounding == .torchvision else { return (difference / 2, wanted, 0) }
        return (Int((Double(difference) / 2).rounded(.toNearestOrEven)), wanted, 0)
    }

    func run(
        _ source: Source, tables: [Float], into planes: UnsafeMutableBufferPointer<Float>,
        times: inout PreprocessingTimes
    ) throws {
        let clock = ContinuousClock()
        let start = clock.now
        let resized = try PixelBuffer(count: part.width * part.height * 3, image: "resize")
        try source.resized(request, into: resized.start)
        let between = clock.now
        times.resize = between - start
        if isPadded {
            let plane = output.width * output.height
            for channel in 0..<3 {
                UnsafeMutableBufferPointer(rebasing: planes[channel * plane..<(channel + 1) * plane])
                    .update(repeating: tables[channel * 256])
            }
        }
        gic_planar_lookup(
            resized.start, Int32(part.width), Int32(part.height), tables, planes.baseAddress, Int32(output.width),
            Int32(output.height), Int32(left), Int32(top))
        times.normalize = clock.now - between
    }

    private var isPadded: Bool { part.width != output.width || part.height != output.height }

    /// The resized and cropped pixels, `[H, W, 3]`; padding is 0, its value before normalisation.
    func crop(_ source: Source, into cropped: UnsafeMutableBufferPointer<UInt8>) throws {
        guard isPadded else { return try source.resized(request, into: cropped.baseAddress!) }
        let resized = try PixelBuffer(count: part.width * part.height * 3, image: "resize")
        try source.resized(request, into: resized.start)
        cropped.update(repeating: 0)
        for row in 0..<part.height {
            let target = cropped.baseAddress! + ((top + row) * output.width + left) * 3
            target.update(from: resized.start + row * part.width * 3, count: part.width * 3)
        }
    }
}
