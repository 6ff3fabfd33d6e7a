import Datasets
import Files
import Foundation
import Images
import Safetensors
import Testing

/// A folder that is removed with the last reference.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("datasets-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        try AtomicFile.write(text, to: file(name))
        return file(name)
    }

    /// A JPEG with one colour that `number` decides; every number gives another file.
    @discardableResult
    func writeImage(_ name: String, number: Int, width: Int = 40, height: Int = 30) throws -> String {
        let colour = [UInt8(number * 37 % 256), UInt8(number * 91 % 256), UInt8(number % 256)]
        let pixels = Array(repeating: colour, count: width * height).flatMap { $0 }
        let image = try RGBImage(width: width, height: height, pixels: pixels)
        try AtomicFile.write(ImageWriter.png(image), to: file(name))
        return file(name)
    }

    /// A manifest `pairs.jsonl` of `count` pairs with their images; every pair has its own real image.
    func writePairs(_ count: Int) throws -> PairsManifest {
        let pairs = try (0..<count).map { index in
            try writeImage("real-\(index).png", number: 2 * index)
            try writeImage("gen-\(index).png", number: 2 * index + 1, width: 31, height: 33)
            return Pair(
                id: "p\(index)", caption: "caption number \(index)", real: "real-\(index).png",
                generated: "gen-\(index).png")
        }
        try PairsManifest.write(pairs, to: file("pairs.jsonl"))
        return try PairsManifest(path: file("pairs.jsonl"))
    }
}

/// The text of the error that `body` throws.
func message(_ body: () throws -> Void) -> String {
    do {
        try body()
    } catch {
        return "\(error)"
    }
    Issue.record("nothing was thrown")
    return ""
}

/// Which of a pair's images a batch carries, in the order of its streams.
enum PairStream: Sendable, Hashable, CaseIterable {
    case generated
    case real
}

extension ImageBatchLoader {
    /// A loader of a manifest's images.
    /// - Parameters:
    ///   - streams: which images, for example `[.generated, .real]`.
    ///   - needed: asked for every image on the loader's threads; false leaves its pixels out (features at hand).
    convenience init<Batches: IteratorProtocol & Sendable>(
        _ batches: Batches, of manifest: PairsManifest, streams: [PairStream], preprocessing: ImagePreprocessing,
        options: Options = .init(), skipped: [SkippedSample] = [],
        needed: @escaping @Sendable (_ pair: Pair, _ stream: PairStream) -> Bool = { _, _ in true }
    ) throws where Batches.Element == SampledBatch {
        try self.init(
            batches, sampleCount: manifest.count, streams: streams.count, preprocessing: preprocessing,
            options: options, skipped: skipped
        ) { index in
            let pair = try manifest.pair(at: index)
            let images = streams.map { stream -> ImageSource? in
                let path = stream == .generated ? pair.generated : pair.real
                guard let path, needed(pair, stream) else { return nil }
                return .file(manifest.resolve(path))
            }
            return ImageSample(id: pair.id, images: images)
        }
    }
}
