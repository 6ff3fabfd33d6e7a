import Foundation
import TestSupport
import Testing

@testable import Images

@Suite struct ErrorTests {
    /// File name in errors, bytes, and the whole text that the reader sees.
    static func table() throws -> [(bytes: [UInt8], text: String)] {
        let jpeg = try imageFixture("420.jpg"), png = try imageFixture("rgb8.png")
        let webp = try imageFixture("lossy.webp")
        var wide = png  // 13 x 9 becomes 100000 x 1001
        wide.replaceSubrange(16..<24, with: [0, 1, 0x86, 0xa0, 0, 0, 3, 0xe9])
        var flat = png
        flat.replaceSubrange(20..<24, with: [0, 0, 0, 0])
        var broken = png
        broken[broken.count - 14] ^= 0xff  // in the checksum of the pixel data
        var noRows = jpeg
        let frame = try #require((0..<jpeg.count).first { jpeg[$0] == 0xff && jpeg[$0 + 1] == 0xc0 })
        noRows.replaceSubrange(frame + 5..<frame + 7, with: [0, 0])
        var huge = jpeg
        huge.replaceSubrange(frame + 5..<frame + 9, with: [0xff, 0xdc, 0xff, 0xdc])
        var deep = jpeg
        deep[frame + 4] = 12
        var lossless = jpeg
        lossless[frame + 1] = 0xc3
        var table = jpeg  // a Huffman table longer than a Huffman table may be
        let huffman = try #require((0..<jpeg.count).first { jpeg[$0] == 0xff && jpeg[$0 + 1] == 0xc4 })
        table[huffman + 5] = 0xff
        let limit = "the limit is 100000000 pixels; raise it with --max-pixels if you trust the file"
        let list = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC"
        let convert = "; expected \(list). Convert it first"
        let again = ". Fetch or copy the file again"
        return [
            ([], "image 'x' is empty: expected a file of \(list), got 0 bytes"),
            ([0xff], "image 'x' is truncated: only 1 bytes" + again),
            (Array("RIFF".utf8), "image 'x' is truncated: only 4 bytes" + again),
            (Array("GIF8".utf8), "image 'x' is truncated: only 4 bytes" + again),
            (Array("GIF89a".utf8), "image 'x' is truncated: the GIF data ends early, after 6 bytes" + again),
            (Array("BM123456".utf8), "image 'x' is truncated: only 8 bytes" + again),
            (
                Array("BMP was a letter head once".utf8),
                "image 'x' is not supported: the bytes begin 42 4d 50 20 77 61 73 20 " + convert
            ),
            (
                [0, 0, 0, 32] + Array("ftypisom\0\0\0\0isomiso2mp41....".utf8),
                "image 'x' is not supported: the bytes are an ISO media file that is no AVIF or HEIC picture" + convert
            ),
            (Array("%PDF-1.7".utf8), "image 'x' is not supported: the bytes are PDF" + convert),
            (Array("P6 2 2 255 ".utf8), "image 'x' is not supported: the bytes are PNM" + convert),
            (Array("\u{0}\u{0}\u{1}\u{0}icon".utf8), "image 'x' is not supported: the bytes are an icon" + convert),
            (
                Array("<html>not found".utf8),
                "image 'x' is a web page, not the image itself; the download was answered with a page (a login, an "
                    + "error); download the file again"
            ),
            (
                Array("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n".utf8),
                "image 'x' is a git-lfs pointer, not the image itself; fetch the file with `git lfs pull` in its "
                    + "repository, or download it again"
            ),
            (
                Array("plain text".utf8),
                "image 'x' is not supported: the bytes begin 70 6c 61 69 6e 20 74 65 " + convert
            ),
            (try fixture("refused/two_bits.bmp"), "image 'x' is not supported: a BMP of 2 bits a pixel" + convert),
            (try fixture("refused/jpeg_inside.bmp"), "image 'x' is not supported: BMP compression 4" + convert),
            (
                try fixture("refused/odd_masks.bmp"),
                "image 'x' is not supported: a BMP of 32 bits with the masks 1 2 4 8" + convert
            ),
            (
                try progressive(scans: 110),
                "image 'x' is corrupt: it has 110 scans over 37 x 29 pixels, more than encoders write" + again
            ),
            (
                Array(jpeg.prefix(jpeg.count / 2)),
                "image 'x' is truncated: the JPEG data ends early, after \(jpeg.count / 2) bytes. "
                    + "Fetch or copy the file again"
            ),
            (
                Array(png.prefix(png.count - 40)),
                "image 'x' is truncated: the PNG data ends early. Fetch or copy the file again"
            ),
            (
                Array(png.prefix(20)),
                "image 'x' is truncated: the PNG data ends in its header, after 20 bytes. "
                    + "Fetch or copy the file again"
            ),
            (
                Array(webp.prefix(90)),
                "image 'x' is truncated: the WebP data ends early, after 90 bytes. Fetch or copy the file again"
            ),
            (wide, "image 'x' is too large: the header declares 100000 x 1001 pixels, " + limit),
            (huge, "image 'x' is too large: the header declares 65500 x 65500 pixels, " + limit),
            (flat, "image 'x' has no pixels: the header declares 13 x 0 pixels"),
            (noRows, "image 'x' has no pixels: Empty JPEG image (DNL not supported)"),
            (broken, "image 'x' is corrupt: IDAT: CRC error. Fetch or copy the file again"),
            (table, "image 'x' is corrupt: Bogus Huffman table definition. Fetch or copy the file again"),
            (deep, "image 'x' is not supported: Unsupported JPEG data precision 12" + convert),
            (lossless, "image 'x' is not supported: Unsupported JPEG process: SOF type 0xc3" + convert),
        ]
    }

    /// A progressive JPEG with its last scan over and over.
    private static func progressive(scans: Int) throws -> [UInt8] {
        let bytes = try imageFixture("progressive_420.jpg")
        let starts = (0..<bytes.count - 1).filter { bytes[$0] == 0xff && bytes[$0 + 1] == 0xda }
        let last = try #require(starts.last), end = bytes.count - 2
        return Array(bytes[..<end]) + (starts.count..<scans).flatMap { _ in bytes[last..<end] } + bytes[end...]
    }

    /// Scans are counted before anything is decoded: a hundred over a small image are taken.
    @Test func scansAreBounded() throws {
        #expect(try RGBImage(decoding: Self.progressive(scans: 100), name: "x").width == 37)
        #expect(throws: ImageError.self) { try RGBImage(decoding: Self.progressive(scans: 101), name: "x") }
        // The header alone says so, and the larger the image the fewer.
        var large = try Self.progressive(scans: 21)
        let frame = try #require((0..<large.count).first { large[$0] == 0xff && large[$0 + 1] == 0xc2 })
        large.replaceSubrange(frame + 5..<frame + 9, with: [0x1f, 0x40, 0x1f, 0x40])
        let text = message { _ = try large.withUnsafeBytes { try ImageHeader($0, name: "x") } }
        #expect(text.contains("21 scans over 8000 x 8000 pixels"))
        var fewer = try Self.progressive(scans: 20)
        fewer.replaceSubrange(frame + 5..<frame + 9, with: [0x1f, 0x40, 0x1f, 0x40])
        #expect(try fewer.withUnsafeBytes { try ImageHeader($0, name: "x") }.storedSize.width == 8000)
    }

    /// Layouts of TIFF that Pillow reads in its own way or not at all: refused, each by what it is.
    @Test(
        .enabled(if: ImageFormat.tiff.missingDecoder == nil),
        arguments: [
            ("lab.tif", "photometric interpretation 8 with 3 samples of 8 bits, sample format 1"),
            ("ycbcr_plain.tif", "photometric interpretation 6 with 3 samples of 8 bits, sample format 1"),
            ("grey12.tif", "photometric interpretation 1 with 1 samples of 12 bits, sample format 1"),
            ("grey16_white.tif", "photometric interpretation 0 with 1 samples of 16 bits, sample format 1"),
            ("float64.tif", "photometric interpretation 1 with 1 samples of 64 bits, sample format 3"),
            ("alpha_in_colour.tif", "photometric interpretation 1 with 2 samples of 8 bits, sample format 1"),
        ])
    func refusedTIFF(file: String, words: String) throws {
        let error = #expect(throws: ImageError.self) { try RGBImage(decoding: fixture("refused/" + file), name: "x") }
        #expect(error == .unsupported(image: "x", detail: "a TIFF of \(words)"))
    }

    @Test(.enabled(if: ImageFormat.tiff.missingDecoder == nil))
    func aTIFFThatIsTooLargeIsRefusedBeforeItsStripsAreLookedFor() throws {
        let error = #expect(throws: ImageError.self) {
            try RGBImage(decoding: fixture("refused/long_size.tif"), name: "x")
        }
        #expect(
            error
                == .tooLarge(
                    image: "x", detail: "the header declares 100000 x 100000 pixels", maximumPixels: 100_000_000))
    }

    @Test func messages() throws {
        for (bytes, text) in try Self.table() {
            let error = #expect(throws: ImageError.self) { try RGBImage(decoding: bytes, name: "x") }
            #expect(error?.description == text)
            #expect(error?.localizedDescription == text)
        }
    }

    @Test func pixelLimitIsASetting() throws {
        let bytes = try imageFixture("420.jpg")  // 37 x 29 = 1073
        _ = try RGBImage(decoding: bytes, name: "x", options: .init(limits: ImageLimits(maximumPixels: 1073)))
        let error = #expect(throws: ImageError.self) {
            try RGBImage(decoding: bytes, name: "x", options: .init(limits: ImageLimits(maximumPixels: 1072)))
        }
        #expect(
            error
                == .tooLarge(image: "x", detail: "the header declares 37 x 29 pixels", maximumPixels: 1072))
    }

    @Test(arguments: [0, -1, .min, .max])
    func limitsAreChecked(number: Int) {
        #expect(
            message { _ = try ImageLimits(maximumPixels: number) }
                == "--max-pixels: expected a number from 1 to 1000000000000, got \(number)")
    }

    /// A header that lies about its size, with a limit that lets it pass: refused for want of data or memory, not the end
    /// of the process.
    @Test func aLimitThatLetsEverythingPass() throws {
        var png = try imageFixture("rgb8.png")
        png.replaceSubrange(16..<24, with: [0, 9, 0x86, 0xa0, 0, 9, 0x86, 0xa0])  // 624288 squared: 1.2 TB of pixels
        let limits = try ImageLimits(maximumPixels: ImageLimits.range.upperBound)
        #expect(throws: ImageError.self) { try RGBImage(decoding: png, name: "x", options: .init(limits: limits)) }
        var settings = try ImagePreprocessing.clip(side: 8)
        settings.limits = limits
        #expect(throws: ImageError.self) { try settings.tensor(png, name: "x") }
    }

    @Test func unreadableFiles() throws {
        let folder = try TemporaryFolder()
        #expect(mkfifo(folder("pipe.jpg"), 0o600) == 0)
        for (path, reason) in [
            (folder("missing.jpg"), "No such file or directory"),
            (folder.path, "it is a folder, expected a regular file"),
            (folder("pipe.jpg"), "it is a named pipe, expected a regular file"),
            ("/dev/zero", "it is a device, expected a regular file"),
        ] {
            #expect(
                message { _ = try RGBImage(contentsOfFile: path) } == "image '\(path)' cannot be read: \(reason)")
        }
        // A file that is all hole: as large as a disk, and not read.
        let path = try folder.write([], to: "hole.png")
        #expect(truncate(path, 1 << 40) == 0)
        #expect(message { _ = try readImageFile(path) }.contains("image files above 1073741824 bytes are not read"))
        let misnamed = try folder.write(imageFixture("420.jpg"), to: "misnamed.png")
        #expect(try RGBImage(contentsOfFile: misnamed) == RGBImage(decoding: imageFixture("420.jpg"), name: "x"))
    }

    @Test func requests() throws {
        let image = try synthetic(3, 2)
        let cases: [(() throws -> Void, String)] = [
            (
                { _ = try RGBImage(width: 2, height: 2, pixels: [1, 2, 3]) },
                "RGB image: expected positive sides and width * height * 3 bytes, got 2x2 with 3 bytes"
            ),
            ({ _ = try ImageWriter.jpeg(image, quality: 0) }, "JPEG quality: expected 1...100, got 0"),
            (
                { _ = try ImageWriter.png(image, compressionLevel: 10) },
                "PNG compression level: expected 0...9, got 10"
            ),
            (
                { _ = try image.resized(to: ImageSize(width: 0, height: 4)) },
                "resize of 3x2: expected a part of at most 65535 pixels a side inside the resized image, "
                    + "got 0x4 at (0, 0) of 0x4"
            ),
            (
                {
                    var values = [Float](repeating: 0, count: 5)
                    _ = try values.withUnsafeMutableBufferPointer {
                        try ImagePreprocessing.clip(side: 4).preprocess(image, into: $0)
                    }
                }, "preprocessing output: expected 3 * 4 * 4 floats, got 5"
            ),
        ]
        for (body, text) in cases {
            let error = #expect(throws: ImageError.self) { try body() }
            #expect(error?.description == text)
        }
    }
}
