// Bytes or pixels to floats. Resizing computes the cropped part only, and a baseline JPEG is only reconstructed where
// that part looks; the values are those of the whole procedure.

import CImageCodecs

/// Where the time of one image went.
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
        try decoded(bytes, name: name, outputCount: output.count) { plan, pixels, times in
            try plan.run(pixels, tables: lookupTables, into: output, times: &times)
        }
    }

    /// Decodes, resizes and crops an image file's bytes, and stops before they become floats: a quarter of the memory, for
    /// pixels that wait. ``normalize(_:into:)`` does the rest, to the same bits as ``preprocess(_:name:into:)-swift.method``.
    /// - Parameter output: `[H, W, 3]`, exactly `3 * H * W` bytes, H and W from ``outputSize``.
    /// - Throws: `ImageError`; the content of `output` is unspecified then.
    public func crop(
        _ bytes: UnsafeRawBufferPointer, name: String, into output: UnsafeMutableBufferPointer<UInt8>
    ) throws {
        _ = try decoded(bytes, name: name, outputCount: output.count) { plan, pixels, _ in
            try plan.crop(pixels, into: output)
        }
    }

    /// Rescales and normalises cropped pixels, channels first.
    /// - Parameters:
    ///   - cropped: `[H, W, 3]`, of ``crop(_:name:into:)``.
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

    /// Decodes as much of an image as its crop looks at, upright.
    private func decoded(
        _ bytes: UnsafeRawBufferPointer, name: String, outputCount: Int,
        _ body: (Plan, UnsafePointer<UInt8>, inout PreprocessingTimes) throws -> Void
    ) throws -> PreprocessingTimes {
        let clock = ContinuousClock()
        let start = clock.now
        let session = try DecodingSession(bytes, name: name, maximumPixels: maximumPixels)
        let turn = orientation == .apply ? session.info.orientation : 1
        let upright = turn >= 5 ? session.size.transposed : session.size
        let target = resizedSize(of: upright)
        if case .reduced(let ratio) = decodeScale {
            let least = ImageSize(width: scaled(target.width, ratio), height: scaled(target.height, ratio))
            session.reduce(toAtLeast: turn >= 5 ? least.transposed : least)
        }
        let stored = session.size
        let source = turn >= 5 ? stored.transposed : stored
        let plan = try Plan(self, source: source, target: target, outputCount: outputCount)

        let count = stored.width * stored.height * 3
        let pixels = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: count)
        defer { pixels.deallocate() }
        var times = PreprocessingTimes()
        if turn <= 1 {
            if let window = plan.window { session.setWindow(window) }
            try session.read(into: pixels)
            times.decode = clock.now - start
            try body(plan, pixels.baseAddress!, &times)
        } else {
            try session.read(into: pixels)
            let turned = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: count)
            defer { turned.deallocate() }
            gic_orient(pixels.baseAddress, Int32(stored.width), Int32(stored.height), turn, turned.baseAddress)
            times.decode = clock.now - start
            try body(plan, turned.baseAddress!, &times)
        }
        return times
    }

    @discardableResult
    public func preprocess(_ bytes: [UInt8], name: String, into output: UnsafeMutableBufferPointer<Float>) throws
        -> PreprocessingTimes
    {
        try bytes.withUnsafeBytes { try preprocess($0, name: name, into: output) }
    }

    /// The same for an image already decoded; `orientation`, `decodeScale` and `maximumPixels` have no say here.
    @discardableResult
    public func preprocess(_ image: RGBImage, into output: UnsafeMutableBufferPointer<Float>) throws
        -> PreprocessingTimes
    {
        let plan = try Plan(
            self, source: image.size, target: resizedSize(of: image.size), outputCount: output.count)
        var times = PreprocessingTimes()
        try image.pixels.withUnsafeBufferPointer {
            try plan.run($0.baseAddress!, tables: lookupTables, into: output, times: &times)
        }
        return times
    }

    /// Decode and preprocess into a new array `[3, H, W]`.
    public func tensor(_ bytes: [UInt8], name: String) throws -> (values: [Float], size: ImageSize) {
        let header = try bytes.withUnsafeBytes { try ImageHeader($0, name: name, maximumPixels: maximumPixels) }
        let turned = orientation == .apply && header.orientation >= 5
        let size = outputSize(for: turned ? header.storedSize.transposed : header.storedSize)
        try checkOutput(size)
        let count = 3 * size.width * size.height
        let values = try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            try preprocess(bytes, name: name, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
            initialized = count
        }
        return (values, size)
    }

    /// The float of each byte value, per channel: `[3, 256]`. Rounded in the reference's order: the product in double,
    /// then float32; mean and deviation as float32.
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

extension DecodingSession {
    func setWindow(_ window: PixelRectangle) {
        setWindow(
            left: Int32(window.left), top: Int32(window.top), right: Int32(window.left + window.width),
            bottom: Int32(window.top + window.height))
    }
}

/// The geometry of one image: which part of the resized image is computed, and where in the output it goes.
private struct Plan {
    let output: ImageSize
    /// Where the part lies in the output; the rest is padding.
    let left: Int
    let top: Int
    let part: PixelRectangle
    let request: gic_resample_request
    /// The source pixels that are read.
    let window: PixelRectangle?

    init(_ settings: ImagePreprocessing, source: ImageSize, target: ImageSize, outputCount: Int) throws {
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
        request = try resampleRequest(from: source, to: target, filter: settings.filter, part: part)
        var request = request
        var bounds: (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
        let status = gic_resample_window(&request, &bounds.0, &bounds.1, &bounds.2, &bounds.3)
        window =
            status == GIC_OK
            ? PixelRectangle(
                left: Int(bounds.0), top: Int(bounds.1), width: Int(bounds.2 - bounds.0),
                height: Int(bounds.3 - bounds.1)) : nil
    }

    /// One axis of the centre crop: which `count` pixels from `offset` on are kept, after how much padding.
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
        _ pixels: UnsafePointer<UInt8>, tables: [Float], into planes: UnsafeMutableBufferPointer<Float>,
        times: inout PreprocessingTimes
    ) throws {
        let clock = ContinuousClock()
        let start = clock.now
        let resized = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: part.width * part.height * 3)
        defer { resized.deallocate() }
        try resample(request, pixels, into: resized.baseAddress!)
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
            resized.baseAddress, Int32(part.width), Int32(part.height), tables, planes.baseAddress, Int32(output.width),
            Int32(output.height), Int32(left), Int32(top))
        times.normalize = clock.now - between
    }

    private var isPadded: Bool { part.width != output.width || part.height != output.height }

    /// The resized and cropped pixels, `[H, W, 3]`; padding is 0, as it is before it is normalised.
    func crop(_ pixels: UnsafePointer<UInt8>, into cropped: UnsafeMutableBufferPointer<UInt8>) throws {
        guard isPadded else { return try resample(request, pixels, into: cropped.baseAddress!) }
        let resized = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: part.width * part.height * 3)
        defer { resized.deallocate() }
        try resample(request, pixels, into: resized.baseAddress!)
        cropped.update(repeating: 0)
        for row in 0..<part.height {
            let target = cropped.baseAddress! + ((top + row) * output.width + left) * 3
            target.update(from: resized.baseAddress! + row * part.width * 3, count: part.width * 3)
        }
    }
}
