import Foundation
import Images

/// What Fixtures/make_image_fixtures.py recorded.
struct Fixtures: Decodable {
    struct Decode: Decodable {
        let file: String
        let width: Int
        let height: Int
        /// Every `stride`-th byte.
        let pixels: Data
        let stride: Int
        let uprightWidth: Int
        let uprightHeight: Int
        let upright: String
        /// Digest of the upright pixels with transparency on white.
        let white: String

        enum CodingKeys: String, CodingKey {
            case file, width, height, pixels, stride, upright, white
            case uprightWidth = "upright_width"
            case uprightHeight = "upright_height"
        }
    }

    struct Draft: Decodable {
        let leastWidth: Int
        let leastHeight: Int
        let width: Int
        let height: Int
        let pixels: String

        enum CodingKeys: String, CodingKey {
            case width, height, pixels
            case leastWidth = "least_width"
            case leastHeight = "least_height"
        }
    }

    struct Prefix: Decodable {
        let file: String
        let count: Int
        let shortest: Int

        init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            file = try list.decode(String.self)
            count = try list.decode(Int.self)
            shortest = try list.decode(Int.self)
        }
    }

    struct Resize: Decodable {
        let source: ImageSize
        let target: ImageSize
        let filter: ResampleFilter
        let pixels: String

        init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            source = ImageSize(width: try list.decode(Int.self), height: try list.decode(Int.self))
            target = ImageSize(width: try list.decode(Int.self), height: try list.decode(Int.self))
            filter = try list.decode(ResampleFilter.self)
            pixels = try list.decode(String.self)
        }
    }

    struct Preprocess: Decodable {
        /// JSON.
        let config: String
        let width: Int
        let height: Int
        let shape: [Int]
        let digest: String
        let sampleStep: Int
        let samples: Data

        enum CodingKeys: String, CodingKey {
            case config, width, height, shape, digest, samples
            case sampleStep = "sample_step"
        }
    }

    struct OpenCLIP: Decodable {
        /// Negative: no resize, a crop of the absolute value.
        let side: Int
        let source: ImageSize
        let pixels: String

        init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            side = try list.decode(Int.self)
            source = ImageSize(width: try list.decode(Int.self), height: try list.decode(Int.self))
            pixels = try list.decode(String.self)
        }
    }

    struct Alpha: Decodable {
        let file: String
        let transparency: Transparency
        let digest: String

        init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            file = try list.decode(String.self)
            transparency = try list.decode(Transparency.self)
            digest = try list.decode(String.self)
        }
    }

    struct OpenCLIPMode: Decodable {
        let file: String
        let side: Int
        let pixels: String

        init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            file = try list.decode(String.self)
            side = try list.decode(Int.self)
            pixels = try list.decode(String.self)
        }
    }

    let decode: [Decode]
    let prefix: [Prefix]
    let draft: [Draft]
    let resize: [Resize]
    let preprocess: [Preprocess]
    let openCLIP: [OpenCLIP]
    let alpha: [Alpha]
    let openCLIPModes: [OpenCLIPMode]

    enum CodingKeys: String, CodingKey {
        case decode, prefix, draft, resize, preprocess, alpha
        case openCLIP = "open_clip"
        case openCLIPModes = "open_clip_modes"
    }

    static let all: Fixtures = {
        do {
            let decoder = JSONDecoder()
            decoder.dataDecodingStrategy = .base64
            return try decoder.decode(Fixtures.self, from: Data(fixture("fixtures.json")))
        } catch {
            preconditionFailure("Fixtures/fixtures.json: \(error). Run make_image_fixtures.py")
        }
    }()
}

func fixturePath(_ name: String) -> String {
    Bundle.module.resourceURL!.appendingPathComponent("Fixtures").appendingPathComponent(name).path
}

func fixture(_ name: String) throws -> [UInt8] { try readImageFile(fixturePath(name)) }

/// Whether the library is there that the file's format needs.
func isDecodable(_ name: String) -> Bool {
    switch name.split(separator: ".").last {
    case "tif": ImageFormat.tiff.missingDecoder == nil
    case "avif": ImageFormat.avif.missingDecoder == nil
    case "heic": ImageFormat.heif.missingDecoder == nil
    default: true
    }
}

func imageFixture(_ name: String) throws -> [UInt8] { try fixture("files/" + name) }

/// The script's `fnv`.
func fnv(_ bytes: some Sequence<UInt8>) -> String {
    var value: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return hex(value)
}

/// The script's `fast_fnv`.
func fastFNV(_ bytes: UnsafeRawBufferPointer) -> String {
    var value = (0xcbf2_9ce4_8422_2325 ^ UInt64(bytes.count)) &* 0x100_0000_01b3
    var at = 0
    while at + 8 <= bytes.count {
        value =
            (value ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
            &* 0x100_0000_01b3
        at += 8
    }
    if at < bytes.count {
        var word: UInt64 = 0
        for (i, byte) in bytes[at...].enumerated() { word |= UInt64(byte) << (8 * UInt64(i)) }
        value = (value ^ word) &* 0x100_0000_01b3
    }
    return hex(value)
}

private func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

/// The script's `synthetic`.
func synthetic(_ width: Int, _ height: Int, seed: UInt64 = 1) throws -> RGBImage {
    var state = seed
    let pixels = (0..<width * height * 3).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(state >> 56)
    }
    return try RGBImage(width: width, height: height, pixels: pixels)
}
