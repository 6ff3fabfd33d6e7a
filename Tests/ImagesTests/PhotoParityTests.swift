import Foundation
import Testing

@testable import Images

/// Real photos, compared with Pillow's pixels and the 224 crop of transformers' Pillow-backed processor by digest.
@Suite struct PhotoParityTests {
    struct Photo: Decodable {
        let path: String
        let size: ImageSize
        let pixels: String
        let crop: String
        /// Every 1568th byte of the crop `[3, 224, 224]`: what remains comparable with another JPEG library.
        let samples: Data

        init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            path = try list.decode(String.self)
            size = ImageSize(width: try list.decode(Int.self), height: try list.decode(Int.self))
            pixels = try list.decode(String.self)
            crop = try list.decode(String.self)
            samples = try list.decode(Data.self)
        }
    }

    private struct File: Decodable { let photos: [Photo] }

    /// The contract is one grey level; with libjpeg-turbo 2.1.5 the crops are equal bit for bit.
    private static let tolerance = 1

    @Test func photosEqualPillow() throws {
        guard let shared = sharedFolder(for: "photosEqualPillow") else { return }
        let decoder = JSONDecoder()
        decoder.dataDecodingStrategy = .base64
        let photos = try decoder.decode(File.self, from: Data(fixture("photos.json"))).photos
        #expect(photos.count >= 151)
        let settings = try ImagePreprocessing(
            resize: .shortestEdge(224), crop: ImageSize(width: 224, height: 224), rescaleFactor: nil, mean: nil,
            std: nil)
        var equalDecodes = 0, equalCrops = 0, largest = 0
        for photo in photos {
            let bytes = try readImageFile(shared.appendingPathComponent(photo.path).path)
            let image = try RGBImage(decoding: bytes, name: photo.path)
            #expect(image.size == photo.size)
            if image.pixels.withUnsafeBytes({ fastFNV($0) }) == photo.pixels { equalDecodes += 1 }
            let crop = try settings.tensor(bytes, name: photo.path).values.map { UInt8($0) }
            if crop.withUnsafeBytes({ fastFNV($0) }) == photo.crop { equalCrops += 1 }
            for (i, sample) in photo.samples.enumerated() {
                largest = max(largest, abs(Int(sample) - Int(crop[i * 1568])))
            }
        }
        print("\(photos.count) photos: \(equalDecodes) decodes and \(equalCrops) crops equal Pillow's bit for bit")
        #expect(largest <= Self.tolerance)
    }
}
