import Foundation
import TestSupport
import Testing

@testable import Images

@Suite struct PreprocessingTests {
    private func croppedAndNormalized(_ file: [UInt8], _ settings: ImagePreprocessing, _ size: ImageSize) throws
        -> [Float]
    {
        var bytes = [UInt8](repeating: 7, count: 3 * size.width * size.height)
        try bytes.withUnsafeMutableBufferPointer { output in
            try file.withUnsafeBytes { try settings.crop($0, name: "file", into: output) }
        }
        var values = [Float](repeating: .nan, count: bytes.count)
        bytes.withUnsafeBufferPointer { bytes in
            values.withUnsafeMutableBufferPointer { settings.normalize(bytes, size: size, into: $0) }
        }
        return values
    }

    /// transformers' Pillow-backed CLIPImageProcessor: the floats are the same bit for bit.
    @Test(arguments: Fixtures.all.preprocess.indices)
    func equalsTransformers(index: Int) throws {
        let expected = Fixtures.all.preprocess[index]
        let settings = try ImagePreprocessing(
            preprocessorConfig: Array(expected.config.utf8), file: "preprocessor_config.json")
        let image = try synthetic(expected.width, expected.height, seed: 9)
        let size = settings.outputSize(for: image.size)
        #expect([3, size.height, size.width] == expected.shape)
        var values = [Float](repeating: .nan, count: 3 * size.width * size.height)
        try values.withUnsafeMutableBufferPointer { _ = try settings.preprocess(image, into: $0) }
        let samples = expected.samples.withUnsafeBytes { raw in
            (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
        for (i, sample) in samples.enumerated() { #expect(values[i * expected.sampleStep] == sample) }
        #expect(values.withUnsafeBytes { fastFNV($0) } == expected.digest)

        // The same from a file's bytes.
        let (fromFile, fileSize) = try settings.tensor(ImageWriter.png(image), name: "png")
        #expect(fromFile == values && fileSize == size)

        // And in two steps, with bytes between them.
        #expect(try croppedAndNormalized(ImageWriter.png(image), settings, size) == values)
    }

    @Test(arguments: Fixtures.all.openCLIP.indices)
    func cropRoundingOfOpenCLIP(index: Int) throws {
        let expected = Fixtures.all.openCLIP[index]
        let side = abs(expected.side)
        let settings = try ImagePreprocessing(
            resize: expected.side > 0 ? .shortestEdge(side) : .none, crop: ImageSize(width: side, height: side),
            cropRounding: .torchvision, rescaleFactor: nil, mean: nil, std: nil)
        let image = try synthetic(expected.source.width, expected.source.height, seed: 9)
        var values = [Float](repeating: .nan, count: 3 * side * side)
        try values.withUnsafeMutableBufferPointer { _ = try settings.preprocess(image, into: $0) }
        let bytes = (0..<3 * side * side).map { UInt8(values[$0 % 3 * side * side + $0 / 3]) }
        #expect(fnv(bytes) == expected.pixels, "\(expected.source) to \(expected.side)")
    }

    /// Whatever part of a JPEG the crop looks at, leaving out the rest of the decode changes nothing.
    @Test(arguments: ["420", "422", "444", "440", "411", "grey", "progressive", "restart"])
    func windowedDecodeChangesNothing(kind: String) throws {
        let files = [
            "420": "window_420.jpg", "422": "window_422.jpg", "444": "window_444.jpg", "440": "window_440.jpg",
            "411": "window_411.jpg", "grey": "window_grey.jpg", "progressive": "window_progressive.jpg",
            "restart": "window_restart.jpg",
        ]
        let bytes = try imageFixture(try #require(files[kind]))
        let image = try RGBImage(decoding: bytes, name: kind)
        for crop in [(9, 9), (40, 7), (7, 40), (64, 64), (100, 31)] {
            for resize in [ImagePreprocessing.Resize.none, .shortestEdge(64), .shortestEdge(31), .shortestEdge(150)] {
                let settings = try ImagePreprocessing(
                    resize: resize, crop: ImageSize(width: crop.0, height: crop.1), mean: nil, std: nil)
                var expected = [Float](repeating: 0, count: 3 * crop.0 * crop.1)
                try expected.withUnsafeMutableBufferPointer { _ = try settings.preprocess(image, into: $0) }
                #expect(try settings.tensor(bytes, name: kind).values == expected, "crop \(crop), \(resize)")
                let size = ImageSize(width: crop.0, height: crop.1)
                #expect(try croppedAndNormalized(bytes, settings, size) == expected, "crop \(crop), \(resize), bytes")
            }
        }
    }

    /// A cropped decode still notices that the file is cut.
    @Test func windowedDecodeNoticesTruncation() throws {
        let bytes = try imageFixture("window_420.jpg")
        let settings = try ImagePreprocessing(
            resize: .none, crop: ImageSize(width: 8, height: 8), mean: nil, std: nil)
        for count in stride(from: 700, to: bytes.count - 2, by: 37) {
            #expect(throws: ImageError.self, "\(count) bytes") {
                try settings.tensor(Array(bytes.prefix(count)), name: "cut")
            }
        }
    }

    @Test func orientationIsApplied() throws {
        let settings = try ImagePreprocessing(resize: .none, crop: nil, mean: nil, std: nil)
        var ignoring = settings
        ignoring.orientation = .ignore
        let bytes = try imageFixture("exif6.jpg")
        let (upright, size) = try settings.tensor(bytes, name: "exif6.jpg")
        let (stored, storedSize) = try ignoring.tensor(bytes, name: "exif6.jpg")
        #expect(size == ImageSize(width: 11, height: 19) && storedSize == ImageSize(width: 19, height: 11))
        #expect(upright[0] == stored[10 * 19])  // the lower left pixel comes to the upper left
    }

    @Test func reducedDecodeKeepsTheRatio() throws {
        var settings = try ImagePreprocessing.clip(side: 24)
        let bytes = try imageFixture("large.jpg")
        let full = try settings.tensor(bytes, name: "large.jpg").values
        settings.decodeScale = try .reduced(ratio: 2)
        let reduced = try settings.tensor(bytes, name: "large.jpg").values
        #expect(full != reduced)
        let mean = zip(full, reduced).map { abs($0 - $1) }.reduce(0, +) / Float(full.count)
        #expect(mean < 0.1, "mean difference \(mean)")
    }

    @Test func elongatedImagesCostTheCropOnly() throws {
        let image = try RGBImage(width: 1, height: 50_000, pixels: [UInt8](repeating: 7, count: 150_000))
        let settings = try ImagePreprocessing.clip()
        var values = [Float](repeating: 0, count: 3 * 224 * 224)
        try values.withUnsafeMutableBufferPointer { _ = try settings.preprocess(image, into: $0) }
        #expect(values[0] == values[224 * 224 - 1])
        let uncropped = try ImagePreprocessing(resize: .shortestEdge(224), crop: nil, mean: nil, std: nil)
        #expect(throws: ImageError.self) {
            _ = try uncropped.preprocess(image, into: UnsafeMutableBufferPointer(start: nil, count: 0))
        }
    }

    @Test func canonicalTextNamesEverySetting() throws {
        let base = try ImagePreprocessing.clip()
        #expect(
            base.canonicalJSON
                == #"{"crop":{"height":224,"width":224},"crop_rounding":"transformers","decode_scale":"full","#
                + #""image_mean":[0.48145466,0.4578275,0.40821073],"image_std":[0.26862954,0.26130258,0.27577711],"#
                + #""orientation":"exif","resample":3,"rescale_factor":0.00392156862745098,"#
                + #""size":{"shortest_edge":224},"transparency":"white","version":2}"#)
        var texts: Set<String> = [base.canonicalJSON]
        let changes: [(inout ImagePreprocessing) -> Void] = [
            { $0.resize = .none }, { $0.resize = .exact(ImageSize(width: 224, height: 225)) },
            { $0.filter = .bilinear },
            { $0.crop = nil }, { $0.crop = ImageSize(width: 224, height: 223) }, { $0.cropRounding = .torchvision },
            { $0.rescaleFactor = nil }, { $0.mean![2] = 0.5 }, { $0.std![0] = 0.5 }, { $0.orientation = .ignore },
            { $0.transparency = .drop }, { $0.transparency = .openCLIP },
            { $0.decodeScale = try! .reduced(ratio: 2) },  // a ratio of the test's own
        ]
        for change in changes {
            var changed = base
            change(&changed)
            #expect(texts.insert(changed.canonicalJSON).inserted)
            #expect(try JSONDecoder().decode(ImagePreprocessing.self, from: JSONEncoder().encode(changed)) == changed)
        }
        // A limit decides whether an image is read, not what comes out.
        var wider = base
        wider.limits = try ImageLimits(maximumPixels: 7)
        #expect(wider.canonicalJSON == base.canonicalJSON && wider != base)
        #expect(try JSONDecoder().decode(ImagePreprocessing.self, from: JSONEncoder().encode(wider)) == wider)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity, 0.999, 0, -2])
    func aReducedDecodeHasARatioOfAtLeastOne(ratio: Double) throws {
        let text = "ratio of a reduced decode: expected a finite number of at least 1, got \(ratio)"
        #expect(message { _ = try ImagePreprocessing.DecodeScale.reduced(ratio: ratio) } == text)
        if ratio.isFinite {
            #expect(throws: ImageError.self) {
                try JSONDecoder().decode(ImagePreprocessing.DecodeScale.self, from: Data("\(ratio)".utf8))
            }
        }
    }

    @Test func theLargestRatioDecodesEveryPixel() throws {
        var settings = try ImagePreprocessing.clip(side: 24)
        let bytes = try imageFixture("large.jpg")
        let full = try settings.tensor(bytes, name: "large.jpg").values
        settings.decodeScale = try .reduced(ratio: .greatestFiniteMagnitude)
        #expect(try settings.tensor(bytes, name: "large.jpg").values == full)
    }
}
