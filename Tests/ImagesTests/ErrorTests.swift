import Foundation
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
        let limit = "the limit is 100000000 pixels (ImageDecodingOptions.maximumPixels)"
        let convert = "; expected JPEG, PNG or WebP. Convert it first"
        return [
            ([], "image 'x' is empty: expected a JPEG, PNG or WebP file, got 0 bytes"),
            ([0xff], "image 'x' is truncated: only 1 bytes. Fetch or copy the file again"),
            (Array("RIFF".utf8), "image 'x' is truncated: only 4 bytes. Fetch or copy the file again"),
            (Array("GIF89a".utf8), "image 'x' is not supported: the bytes are GIF" + convert),
            (Array("BM123456".utf8), "image 'x' is not supported: the bytes are BMP" + convert),
            ([0x49, 0x49, 0x2a, 0, 8], "image 'x' is not supported: the bytes are TIFF" + convert),
            ([0, 0, 0, 32] + Array("ftypavif".utf8), "image 'x' is not supported: the bytes are AVIF" + convert),
            (
                Array("<html>not found".utf8),
                "image 'x' is not supported: the bytes begin 3c 68 74 6d 6c 3e 6e 6f " + convert
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

    @Test func messages() throws {
        for (bytes, text) in try Self.table() {
            let error = #expect(throws: ImageError.self) { try RGBImage(decoding: bytes, name: "x") }
            #expect(error?.description == text)
            #expect(error?.localizedDescription == text)
        }
    }

    @Test func pixelLimitIsASetting() throws {
        let bytes = try imageFixture("420.jpg")  // 37 x 29 = 1073
        _ = try RGBImage(decoding: bytes, name: "x", options: .init(maximumPixels: 1073))
        let error = #expect(throws: ImageError.self) {
            try RGBImage(decoding: bytes, name: "x", options: .init(maximumPixels: 1072))
        }
        #expect(
            error
                == .tooLarge(image: "x", detail: "the header declares 37 x 29 pixels", maximumPixels: 1072))
    }

    @Test func unreadableFiles() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("images-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }  // a leftover folder harms nobody
        let missing = folder.appendingPathComponent("missing.jpg").path,
            pipe = folder.appendingPathComponent("pipe").path
        #expect(mkfifo(pipe, 0o600) == 0)
        for (path, reason) in [
            (missing, "No such file or directory"), (folder.path, "not a regular file"), (pipe, "not a regular file"),
        ] {
            let error = #expect(throws: ImageError.self) { try RGBImage(contentsOfFile: path) }
            #expect(error?.description == "image '\(path)' cannot be read: \(reason)")
        }
        let path = folder.appendingPathComponent("misnamed.png").path
        try Data(imageFixture("420.jpg")).write(to: URL(fileURLWithPath: path))
        #expect(try RGBImage(contentsOfFile: path) == RGBImage(decoding: imageFixture("420.jpg"), name: "x"))
    }

    @Test func requests() throws {
        let image = try synthetic(3, 2)
        let cases: [(() throws -> Void, String)] = [
            (
                { _ = try RGBImage(width: 2, height: 2, pixels: [1, 2, 3]) },
                "RGB image: expected positive sides and width * height * 3 bytes, got 2x2 with 3 bytes"
            ),
            ({ _ = try ImageEncoder.jpeg(image, quality: 0) }, "JPEG quality: expected 1...100, got 0"),
            (
                { _ = try ImageEncoder.png(image, compressionLevel: 10) },
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

    static let configurations: [(json: String, text: String)] = [
        ("{", "'p.json': key '': expected valid JSON, got "),
        ("[1]", "'p.json': key '': expected a JSON object, got [1]"),
        (#"{"sise": 3}"#, "'p.json': key 'sise': expected a key of a CLIP image processor, got 3"),
        (
            #"{"image_processor_type": "ViTImageProcessor"}"#,
            "'p.json': key 'image_processor_type': expected CLIPImageProcessor, CLIPImageProcessorFast, "
                + #"CLIPImageProcessorPil, CLIPFeatureExtractor, got "ViTImageProcessor""#
        ),
        (#"{"do_resize": 1}"#, "'p.json': key 'do_resize': expected true or false, got 1"),
        (#"{"do_pad": true}"#, "'p.json': key 'do_pad': expected false, got true"),
        (
            #"{"data_format": "channels_last"}"#,
            #"'p.json': key 'data_format': expected "channels_first", got "channels_last""#
        ),
        (#"{"resample": 6}"#, "'p.json': key 'resample': expected one of Pillow's filters, 0...5, got 6"),
        (#"{"resample": 2.5}"#, "'p.json': key 'resample': expected one of Pillow's filters, 0...5, got 2.5"),
        (
            #"{"size": {"longest_edge": 9}}"#,
            #"'p.json': key 'size': expected a number, {shortest_edge} or {height, width}, got {"longest_edge": 9}"#
        ),
        (#"{"size": 0}"#, "'p.json': key 'size': expected a side of 1...16384, got 0"),
        (
            #"{"size": {"height": 4, "width": 99999}}"#,
            "'p.json': key 'size': expected sides of 1...16384, got 99999x4"
        ),
        (
            #"{"crop_size": {"height": 4}}"#,
            #"'p.json': key 'crop_size': expected a number or {height, width}, got {"height": 4}"#
        ),
        (#"{"crop_size": -1}"#, "'p.json': key 'crop_size': expected sides of 1...16384, got -1x-1"),
        (#"{"rescale_factor": 0}"#, "'p.json': key 'rescale_factor': expected a positive number, got 0.0"),
        (#"{"rescale_factor": "a"}"#, #"'p.json': key 'rescale_factor': expected a number, got "a""#),
        (#"{"image_mean": [1, 2]}"#, "'p.json': key 'image_mean': expected 3 numbers, got [1, 2]"),
        (#"{"image_mean": [1, 2, null]}"#, "'p.json': key 'image_mean': expected 3 numbers, got [1, 2, null]"),
        (#"{"image_std": [1, 0, 1]}"#, "'p.json': key 'image_std': expected 3 positive numbers, got [1.0, 0.0, 1.0]"),
    ]

    @Test func configurationMessages() {
        for (json, text) in Self.configurations {
            let error = #expect(throws: ImageError.self) {
                try ImagePreprocessing(preprocessorConfig: Array(json.utf8), file: "p.json")
            }
            // The parser's own words follow "valid JSON".
            if text.hasSuffix("got ") {
                #expect(error?.description.hasPrefix(text) == true, "\(json)")
            } else {
                #expect(error?.description == text)
            }
        }
    }

    /// What openai/clip-vit-base-patch32 ships, and the same in the words of newer releases.
    @Test(arguments: [
        #"""
        {"crop_size": 224, "do_center_crop": true, "do_normalize": true, "do_resize": true,
         "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": [0.48145466, 0.4578275, 0.40821073],
         "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 224}
        """#,
        #"""
        {"crop_size": {"height": 224, "width": 224}, "data_format": "channels_first", "device": null,
         "do_center_crop": true, "do_convert_rgb": true, "do_normalize": true, "do_pad": null, "do_rescale": true,
         "do_resize": true, "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_processor_type":
         "CLIPImageProcessorFast", "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3,
         "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 224}, "use_square_size": false}
        """#,
        "{}",
    ])
    func publishedConfigurations(json: String) throws {
        let settings = try ImagePreprocessing(preprocessorConfig: Array(json.utf8), file: "p.json")
        #expect(settings == (try ImagePreprocessing.clip()))
        #expect(settings.outputSize == ImageSize(width: 224, height: 224))
    }
}
