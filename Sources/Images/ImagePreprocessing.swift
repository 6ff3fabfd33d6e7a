// The steps before a CLIP image tower: resize, centre crop, rescale, normalise. They belong to the model like its
// weights and are read from the `preprocessor_config.json` beside them. Reference: transformers'
// `CLIPImageProcessorPil` (image_processing_backends.py, image_transforms.py), whose float32 values are reproduced bit
// for bit.

import Foundation

/// The steps from an RGB image to a float `[3, H, W]` tensor, as plain values.
public struct ImagePreprocessing: Sendable, Hashable, Codable {
    public enum Resize: Sendable, Hashable, Codable {
        /// Keep the stored size.
        case none
        /// Bring the shorter side to this length and the other in proportion, truncated to whole pixels.
        case shortestEdge(Int)
        /// Exactly this size; the aspect ratio may change.
        case exact(ImageSize)
    }

    /// How a centre crop halves an odd remainder, and pads an image that is smaller than the crop.
    public enum CropRounding: String, Sendable, Hashable, Codable {
        /// Left and top offsets are rounded down; padding in front is rounded up.
        case transformers
        /// torchvision's `CenterCrop` (open_clip): offsets are rounded half to even, so they differ from transformers'
        /// by one pixel when the remainder is 3 modulo 4; padding in front is rounded down.
        case torchvision
    }

    /// At which scale JPEG files are decoded.
    public struct DecodeScale: Sendable, Hashable, Codable {
        /// The ratio of ``reduced(ratio:)``; nil for every pixel.
        public let ratio: Double?

        private init(checked ratio: Double?) { self.ratio = ratio }

        /// Every pixel of the file, as in the reference.
        public static let full = DecodeScale(checked: nil)

        /// Decodes at the smallest of 1/1, 1/2, 1/4, 1/8 that keeps the decoded sides at least `ratio` times the
        /// resized ones. This is faster for large photos and changes pixels.
        /// - Throws: `ImageError.invalidRequest` unless `ratio` is a finite number of at least 1.
        public static func reduced(ratio: Double) throws -> DecodeScale {
            guard ratio.isFinite, ratio >= 1 else {
                throw ImageError.invalidRequest(
                    what: "ratio of a reduced decode", expected: "a finite number of at least 1", got: "\(ratio)")
            }
            return DecodeScale(checked: ratio)
        }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            self = container.decodeNil() ? .full : try .reduced(ratio: container.decode(Double.self))
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(ratio)
        }
    }

    public var resize: Resize
    public var filter: ResampleFilter
    /// Centre crop; pixels outside a smaller image are 0 before rescaling.
    public var crop: ImageSize?
    public var cropRounding: CropRounding
    /// Factor from bytes to reals, usually 1/255; `nil` keeps 0...255.
    public var rescaleFactor: Double?
    /// For each of red, green and blue, subtracted after rescaling; `nil`, like `std`, for none.
    public var mean: [Double]?
    public var std: [Double]?
    public var orientation: ImageDecodingOptions.Orientation
    public var transparency: Transparency
    public var decodeScale: DecodeScale
    /// Not part of ``canonicalJSON``: a limit decides whether an image is read, but not what comes out.
    public var limits: ImageLimits

    /// - Throws: `ImageError.invalidConfiguration` for values with which no image could be processed.
    public init(
        resize: Resize, filter: ResampleFilter = .bicubic, crop: ImageSize?,
        cropRounding: CropRounding = .transformers, rescaleFactor: Double? = 1.0 / 255.0, mean: [Double]?,
        std: [Double]?, orientation: ImageDecodingOptions.Orientation = .exif, transparency: Transparency = .white,
        decodeScale: DecodeScale = .full, limits: ImageLimits = .standard
    ) throws {
        self.resize = resize
        self.filter = filter
        self.crop = crop
        self.cropRounding = cropRounding
        self.rescaleFactor = rescaleFactor
        self.mean = mean
        self.std = std
        self.orientation = orientation
        self.transparency = transparency
        self.decodeScale = decodeScale
        self.limits = limits
        try validate(file: "ImagePreprocessing")
    }

    /// OpenAI's CLIP: shorter side to `side` with bicubic, centre crop, its training set's mean and deviation.
    /// - Parameter side: the side of the square input, 1...16384 (224 or 336 for the published models).
    public static func clip(side: Int = 224, cropRounding: CropRounding = .transformers) throws -> ImagePreprocessing {
        try ImagePreprocessing(
            resize: .shortestEdge(side), crop: ImageSize(width: side, height: side), cropRounding: cropRounding,
            mean: clipMean, std: clipDeviation)
    }

    // openai/CLIP: clip/clip.py
    static let clipMean = [0.48145466, 0.4578275, 0.40821073]
    static let clipDeviation = [0.26862954, 0.26130258, 0.27577711]

    /// The size of every result if it does not depend on the image: the crop, or an exact resize.
    public var outputSize: ImageSize? {
        if let crop { return crop }
        if case .exact(let size) = resize { return size }
        return nil
    }

    /// The size of the result for an image of this (upright) size.
    public func outputSize(for image: ImageSize) -> ImageSize { crop ?? resizedSize(of: image) }

    /// Equal to transformers' `get_resize_output_image_size` and torchvision's `Resize`.
    public func resizedSize(of image: ImageSize) -> ImageSize {
        switch resize {
        case .none: return image
        case .exact(let size): return size
        case .shortestEdge(let side):
            let short = min(image.width, image.height), long = max(image.width, image.height)
            // A quotient of whole numbers in double, truncated, as Python's int(side * long / short).
            let scaled = Int(Double(side * long) / Double(short))
            return image.width <= image.height
                ? ImageSize(width: side, height: scaled) : ImageSize(width: scaled, height: side)
        }
    }

    /// One line of JSON with sorted keys that names every setting on which the pixels depend. Equal settings give equal
    /// text, so its hash can key a cache of features.
    public var canonicalJSON: String {
        func list(_ values: [Double]?) -> String {
            values.map { "[" + $0.map(\.description).joined(separator: ",") + "]" } ?? "null"
        }
        func size(_ size: ImageSize) -> String { #"{"height":\#(size.height),"width":\#(size.width)}"# }
        let resizing =
            switch resize {
            case .none: "null"
            case .shortestEdge(let side): #"{"shortest_edge":\#(side)}"#
            case .exact(let exact): size(exact)
            }
        let scale = decodeScale.ratio.map { #"{"reduced":\#($0)}"# } ?? #""full""#
        return #"{"crop":\#(crop.map(size) ?? "null"),"crop_rounding":"\#(cropRounding.rawValue)","#
            + #""decode_scale":\#(scale),"image_mean":\#(list(mean)),"image_std":\#(list(std)),"#
            + #""orientation":"\#(orientation.rawValue)","resample":\#(filter.rawValue),"#
            + #""rescale_factor":\#(rescaleFactor.map(\.description) ?? "null"),"size":\#(resizing),"#
            + #""transparency":"\#(transparency.rawValue)","version":2}"#
    }
}

extension ImagePreprocessing {
    /// Plausible sides of a tower's input.
    static let sides = 1...16384

    func validate(file: String) throws {
        func check(_ holds: Bool, _ key: String, _ expected: String, _ got: String) throws {
            guard holds else {
                throw ImageError.invalidConfiguration(file: file, key: key, expected: expected, got: got)
            }
        }
        let range = "\(Self.sides.lowerBound)...\(Self.sides.upperBound)"
        switch resize {
        case .none: break
        case .shortestEdge(let side): try check(Self.sides.contains(side), "size", "a side of \(range)", "\(side)")
        case .exact(let size):
            try check(
                Self.sides.contains(size.width) && Self.sides.contains(size.height), "size", "sides of \(range)",
                "\(size)")
        }
        if let crop {
            try check(
                Self.sides.contains(crop.width) && Self.sides.contains(crop.height), "crop_size", "sides of \(range)",
                "\(crop)")
        }
        if let rescaleFactor {
            try check(
                rescaleFactor.isFinite && rescaleFactor > 0, "rescale_factor", "a positive number", "\(rescaleFactor)")
        }
        try check(
            (mean == nil) == (std == nil), mean == nil ? "image_mean" : "image_std", "both of mean and std, or neither",
            "only one")
        if let mean, let std {
            try check(mean.count == 3 && mean.allSatisfy(\.isFinite), "image_mean", "3 finite numbers", "\(mean)")
            try check(
                std.count == 3 && std.allSatisfy { Float($0).isNormal && $0 > 0 }, "image_std", "3 positive numbers",
                "\(std)")
        }
    }
}
