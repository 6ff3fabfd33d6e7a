import Diffusion
import Files
import Foundation
import Images
import ModelFolders

@testable import Synthesis

/// Every regular file below a folder with its content, by relative path; not the locks, which name a process.
func contents(of folder: String) throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: folder) {
        var isFolder: ObjCBool = false
        let path = "\(folder)/\(name)"
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue,
            !name.hasPrefix(".lock")
        {
            files[name] = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        }
    }
    return files
}

/// Draws a few pixels that depend on the request and, as real kernels' last bits may, on everything else in the batch.
final class FakeGenerator: ImageGenerator {
    let description = fakeDescription()
    let notes: [String] = []
    var widerDType: String? = "float32"
    var tokenLimit = 6
    /// Prompts containing the key fail in the usual dtype (and in the wide one if the value says so).
    var defects: [String: (GeneratedImage, inBoth: Bool)] = [:]
    var dependsOnBatch = true
    private(set) var calls: [(prompts: [String], wide: Bool)] = []
    var afterCall: () throws -> Void = {}

    func images(for requests: [ImageRequest], wide: Bool) throws -> [GeneratedImage] {
        calls.append((requests.map(\.prompt), wide))
        var shade: UInt64 = dependsOnBatch ? UInt64(requests.count) : 0
        if dependsOnBatch { for request in requests { shade = shade &* 31 &+ request.seed } }
        let images = try requests.map { request -> GeneratedImage in
            if let defect = defects.first(where: { request.prompt.contains($0.key) })?.value, !wide || defect.inBoth {
                return defect.0
            }
            let pixels = (0..<5 * 4 * 3).map { UInt8(truncatingIfNeeded: (request.seed &+ shade) >> ($0 % 40)) | 1 }
            return .image(try RGBImage(width: 5, height: 4, pixels: pixels))
        }
        try afterCall()
        return images
    }

    func tokenCount(_ prompt: String) throws -> Int { prompt.split(separator: " ").count + 2 }
}

let black = GeneratedImage.image(try! RGBImage(width: 5, height: 4, pixels: [UInt8](repeating: 0, count: 60)))

/// A fingerprint of files that are nowhere.
func fingerprint(_ files: [(name: String, hash: String)] = [("unet/weights", String(repeating: "ab", count: 32))])
    -> ModelFingerprint
{
    let list = files.map { "{\"name\": \"\($0.name)\", \"sha256\": \"\($0.hash)\"}" }
    return try! JSONDecoder().decode(
        ModelFingerprint.self, from: Data("{\"files\": [\(list.joined(separator: ", "))]}".utf8))
}

func fakeDescription() -> GeneratorDescription {
    GeneratorDescription(
        model: "tiny", fingerprint: fingerprint(), scheduler: "ddim", steps: 2, guidance: 7.5,
        imageSize: ImageSize(width: 5, height: 4), dtype: "bfloat16")
}

func settings(
    batchSize: Int = 4, captionsHash: String = "c0ffee", change: (inout SynthesisSettings) -> Void = { _ in }
) -> SynthesisSettings {
    var settings = SynthesisSettings(
        generator: fakeDescription(), seed: 42, captionsHash: captionsHash, batchSize: batchSize)
    change(&settings)
    return settings
}

func rows(_ count: Int) -> [CaptionRow] {
    (0..<count).map { CaptionRow(id: "row-\($0)", caption: "caption \($0)") }
}
