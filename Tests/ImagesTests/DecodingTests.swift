import Foundation
import Testing

@testable import Images

/// Another libjpeg-turbo, libwebp, libtiff (its JPEG) or libavif than the one that Pillow bundles may round one level
/// differently; the versions here are equal bit for bit. libheif's colour conversion does so from version to version, and
/// division by a small alpha makes more of it.
private func tolerance(_ file: String) -> Int {
    switch file.split(separator: ".").last {
    case "png", "gif", "bmp": 0
    case "tif": file.hasPrefix("jpeg") || file.hasPrefix("ycbcr") ? 1 : 0
    case "heic": 2
    default: 1
    }
}

@Suite struct DecodingTests {
    @Test(arguments: Fixtures.all.decode.map(\.file).filter(isDecodable))
    func equalsPillow(file: String) throws {
        let expected = try #require(Fixtures.all.decode.first { $0.file == file })
        let bytes = try imageFixture(file)
        let image = try RGBImage(
            decoding: bytes, name: file, options: .init(orientation: .ignore, transparency: .drop))
        #expect(image.size == ImageSize(width: expected.width, height: expected.height))
        let sampled = stride(from: 0, to: image.pixels.count, by: expected.stride).map { image.pixels[$0] }
        #expect(sampled.count == expected.pixels.count)
        let differences = zip(sampled, expected.pixels).map { abs(Int($0) - Int($1)) }
        let largest = differences.max() ?? 0
        #expect(largest <= tolerance(file), "largest difference \(largest)")

        let upright = try RGBImage(decoding: bytes, name: file, options: .init(transparency: .drop))
        #expect(upright.size == ImageSize(width: expected.uprightWidth, height: expected.uprightHeight))
        // What the samples leave out may differ where the library rounds otherwise.
        guard tolerance(file) < 2 else { return }
        if largest == 0 { #expect(fnv(upright.pixels) == expected.upright) }
        // transformers puts transparency on white before anything else.
        let white = try RGBImage(decoding: bytes, name: file)
        #expect(white.size == upright.size)
        if largest == 0 { #expect(fnv(white.pixels) == expected.white) }
    }

    /// Without its library a format is refused with the package's name; a test that skipped it must not look like a pass.
    @Test func everyFormatIsTested() {
        for format in ImageFormat.allCases {
            if let missing = format.missingDecoder {
                #expect(missing.contains("apt-get install"))
                print("no fixtures of \(format) were compared: \(missing)")
            }
        }
        let endings = Set(Fixtures.all.decode.map { String($0.file.split(separator: ".").last ?? "") })
        #expect(endings == ["jpg", "png", "webp", "gif", "bmp", "tif", "avif", "heic"])
    }

    /// The eight orientations, each from its definition.
    @Test(arguments: 1...8)
    func orientation(number: Int) throws {
        let bytes = try imageFixture("exif\(number).jpg")
        let stored = try RGBImage(decoding: bytes, name: "stored", options: .init(orientation: .ignore))
        let upright = try RGBImage(decoding: bytes, name: "upright")
        let w = stored.width, h = stored.height
        #expect(upright.size == (number >= 5 ? ImageSize(width: h, height: w) : stored.size))
        for y in 0..<h {
            for x in 0..<w {
                // Where EXIF says that the stored pixel belongs.
                let (ux, uy) =
                    switch number {
                    case 2: (w - 1 - x, y)
                    case 3: (w - 1 - x, h - 1 - y)
                    case 4: (x, h - 1 - y)
                    case 5: (y, x)
                    case 6: (h - 1 - y, x)
                    case 7: (h - 1 - y, w - 1 - x)
                    case 8: (y, w - 1 - x)
                    default: (x, y)
                    }
                let from = (y * w + x) * 3, to = (uy * upright.width + ux) * 3
                #expect(stored.pixels[from..<from + 3] == upright.pixels[to..<to + 3])
            }
        }
        let header = try bytes.withUnsafeBytes { try ImageHeader($0, name: "header") }
        #expect(header.orientation == number && header.format == .jpeg && header.storedSize == stored.size)
    }

    /// A beginning of a file decodes from the length on at which Pillow decodes it, and is named truncated below. Of a
    /// PNG we also want the end of the compressed data with its two checksums, bytes that Pillow does without.
    @Test(arguments: Fixtures.all.prefix.map(\.file).filter(isDecodable))
    func everyPrefix(file: String) throws {
        let expected = try #require(Fixtures.all.prefix.first { $0.file == file })
        let bytes = try imageFixture(file)
        #expect(bytes.count == expected.count)
        for count in 0..<bytes.count {
            let outcome = Result { try RGBImage(decoding: Array(bytes.prefix(count)), name: file) }
            switch outcome {
            case .success: #expect(count >= expected.shortest, "decoded \(count) bytes")
            case .failure(let error as ImageError):
                let slack = file.hasSuffix(".png") ? 12 : 0
                #expect(count < expected.shortest + slack, "\(count) bytes: \(error)")
                if count == 0 {
                    #expect(error == .empty(image: file))
                } else if case .truncated = error {
                } else if case .corrupt = error, file.hasSuffix(".tif") {
                    // libtiff calls a directory beyond the end of the file a damaged one.
                } else {
                    Issue.record("\(count) bytes: \(error)")
                }
            case .failure(let error): Issue.record("\(count) bytes: \(error)")
            }
        }
    }

    @Test(arguments: Fixtures.all.draft.indices)
    func reducedScaleEqualsPillowsDraft(index: Int) throws {
        let expected = Fixtures.all.draft[index]
        let least = ImageSize(width: expected.leastWidth, height: expected.leastHeight)
        let image = try RGBImage(
            decoding: imageFixture("large.jpg"), name: "large.jpg", options: .init(scale: .reduced(toAtLeast: least)))
        #expect(image.size == ImageSize(width: expected.width, height: expected.height))
        #expect(image.width >= min(least.width, 203) && image.height >= min(least.height, 157))
        #expect(fnv(image.pixels) == expected.pixels)
    }

    @Test func reducedScaleLeavesOtherFormatsWhole() throws {
        let options = ImageDecodingOptions(scale: .reduced(toAtLeast: ImageSize(width: 2, height: 2)))
        for file in ["rgb8.png", "lossy.webp"] {
            let bytes = try imageFixture(file)
            #expect(
                try RGBImage(decoding: bytes, name: file, options: options) == RGBImage(decoding: bytes, name: file))
        }
    }

    @Test func encodersRoundTrip() throws {
        let image = try synthetic(23, 9)
        for level in [0, 6, 9] {
            #expect(
                try RGBImage(decoding: ImageWriter.png(image, compressionLevel: level), name: "png") == image)
        }
        // A smooth image survives JPEG within a few levels.
        let smooth = try synthetic(2, 2, seed: 3).resized(to: ImageSize(width: 41, height: 27), filter: .bilinear)
        let jpeg = try RGBImage(decoding: ImageWriter.jpeg(smooth, quality: 98, fullChroma: true), name: "jpeg")
        #expect(jpeg.size == smooth.size)
        #expect(zip(jpeg.pixels, smooth.pixels).map { abs(Int($0) - Int($1)) }.max()! <= 4)
        #expect(try ImageWriter.jpeg(smooth, quality: 20).count < ImageWriter.jpeg(smooth, quality: 95).count)
    }

    /// Images decode alike from many tasks at once.
    @Test func concurrentDecoding() async throws {
        let bytes = try imageFixture("420.jpg")
        let expected = try RGBImage(decoding: bytes, name: "420.jpg")
        try await withThrowingTaskGroup(of: RGBImage.self) { group in
            for _ in 0..<64 { group.addTask { try RGBImage(decoding: bytes, name: "420.jpg") } }
            for try await image in group { #expect(image == expected) }
        }
    }
}
