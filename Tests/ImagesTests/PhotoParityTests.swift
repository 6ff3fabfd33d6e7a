import Foundation
import TestSupport
import Testing

@testable import Images

/// Real photos, compared with Pillow's pixels and the 224 crop of transformers' Pillow-backed processor by digest.
@Suite(.enabled(if: SharedData.has("data/coco_open", "data/drawbench_sd21"))) struct PhotoParityTests {
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

    @Test func photosEqualPillow() async throws {
        let shared = URL(fileURLWithPath: SharedData.folder)
        let decoder = JSONDecoder()
        decoder.dataDecodingStrategy = .base64
        let photos = try decoder.decode(File.self, from: Data(fixture("photos.json"))).photos
        #expect(photos.count >= 151)
        let settings = try ImagePreprocessing(
            resize: .shortestEdge(224), crop: ImageSize(width: 224, height: 224), rescaleFactor: nil, mean: nil,
            std: nil)
        // An unoptimised build takes a tenth of a second for each: every photo of COCO, some of the rest.
        #if DEBUG
            let compared = photos.enumerated().filter { $0.offset < 151 || $0.offset.isMultiple(of: 10) }.map(\.element)
        #else
            let compared = photos
        #endif
        var equalDecodes = 0, equalCrops = 0, largest = 0
        try await withThrowingTaskGroup(of: (decode: Bool, crop: Bool, largest: Int).self) { group in
            for photo in compared { group.addTask { try Self.compare(photo, in: shared, settings) } }
            for try await one in group {
                equalDecodes += one.decode ? 1 : 0
                equalCrops += one.crop ? 1 : 0
                largest = max(largest, one.largest)
            }
        }
        print("\(compared.count) photos: \(equalDecodes) decodes and \(equalCrops) crops equal Pillow's bit for bit")
        #expect(largest <= Self.tolerance)
    }

    private static func compare(_ photo: Photo, in shared: URL, _ settings: ImagePreprocessing) throws
        -> (decode: Bool, crop: Bool, largest: Int)
    {
        let bytes = try readImageFile(shared.appendingPathComponent(photo.path).path)
        let image = try RGBImage(decoding: bytes, name: photo.path)
        #expect(image.size == photo.size)
        let floats = try settings.tensor(bytes, name: photo.path).values
        let crop = try withPixelArray(count: floats.count, image: photo.path) { buffer in
            for i in 0..<floats.count { buffer[i] = UInt8(floats[i]) }
        }
        let largest = photo.samples.enumerated().map { abs(Int($1) - Int(crop[$0 * 1568])) }.max() ?? 0
        return (
            image.pixels.withUnsafeBytes { fastFNV($0) } == photo.pixels,
            crop.withUnsafeBytes { fastFNV($0) } == photo.crop, largest
        )
    }

    /// Crops of many places and sizes: leaving out the rest of the decode changes no pixel of real photos either.
    @Test func windowedDecodeOfPhotos() throws {
        let shared = URL(fileURLWithPath: SharedData.folder)
        let decoder = JSONDecoder()
        decoder.dataDecodingStrategy = .base64
        let photos = try decoder.decode(File.self, from: Data(fixture("photos.json"))).photos
        for (index, photo) in photos.enumerated() where index.isMultiple(of: 23) {
            let bytes = try readImageFile(shared.appendingPathComponent(photo.path).path)
            let image = try RGBImage(decoding: bytes, name: photo.path)
            for step in 0..<6 {
                let crop = ImageSize(
                    width: 3 + (index * 7 + step * 41) % 250, height: 3 + (index * 13 + step * 29) % 200)
                let settings = try ImagePreprocessing(
                    resize: step.isMultiple(of: 2) ? .none : .shortestEdge(90 + index % 300), crop: crop,
                    rescaleFactor: nil, mean: nil, std: nil)
                var expected = [Float](repeating: 0, count: 3 * crop.width * crop.height)
                try expected.withUnsafeMutableBufferPointer { _ = try settings.preprocess(image, into: $0) }
                #expect(try settings.tensor(bytes, name: photo.path).values == expected, "\(photo.path) \(crop)")
            }
        }
    }
}
