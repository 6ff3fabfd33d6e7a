import Encoders
import Files
import Foundation
import Images
import Safetensors
import Torch
import TorchNN

/// A random CLIP small enough to load in no time, with the small tokenizer of TokenizersTests.
enum TinyModel {
    static func write(to folder: String, seed: UInt64 = 5, contextLength: Int = 16, vocabularySize: Int = 914) throws {
        var configuration = CLIPConfiguration()
        configuration.projectionDimension = 10
        configuration.vision.imageSize = 22
        configuration.vision.patchSize = 7
        configuration.vision.hiddenSize = 32
        configuration.vision.intermediateSize = 56
        configuration.vision.layerCount = 3
        configuration.vision.headCount = 4
        configuration.text.vocabularySize = vocabularySize
        configuration.text.hiddenSize = 24
        configuration.text.intermediateSize = 40
        configuration.text.layerCount = 2
        configuration.text.headCount = 3
        configuration.text.contextLength = contextLength
        configuration.text.startOfTextID = 912
        configuration.text.endOfTextID = 913
        configuration.text.padID = 913
        let manager = FileManager.default
        try manager.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try AtomicFile.write(configuration.huggingFaceJSON, to: "\(folder)/config.json")
        try AtomicFile.write(
            """
            {"do_resize": true, "size": {"shortest_edge": 22}, "resample": 3, "do_center_crop": true, "crop_size": 22,
             "do_rescale": true, "do_normalize": true, "image_mean": [0.48, 0.45, 0.4], "image_std": [0.26, 0.25, 0.27]}
            """, to: "\(folder)/preprocessor_config.json")
        let tokenizer = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("TokenizersTests/Fixtures/clip-tiny-json").path
        for name in try manager.contentsOfDirectory(atPath: tokenizer) {
            try manager.copyItem(atPath: "\(tokenizer)/\(name)", toPath: "\(folder)/\(name)")
        }
        let model = CLIPModel(configuration)
        model.initialize(generator: Generator(seed: seed))
        // The usual start is so small that all pictures look alike to an untrained model.
        withoutGradients {
            for parameter in model.namedParameters() where parameter.tensor.shape.count > 1 {
                parameter.tensor.scaleInPlace(5)
            }
        }
        try model.save(to: "\(folder)/model.safetensors", metadata: ["format": "pt"])
    }

    /// Writes a small picture whose colours and stripes depend on `number`.
    static func writeImage(_ number: Int, to path: String) throws {
        let (width, height) = (30 + number % 5, 25 + number % 3)
        let pixels = (0..<width * height * 3).map {
            UInt8(truncatingIfNeeded: ($0 / 3 + 11 * number) * (number + 3) / 7)
        }
        let image = try RGBImage(width: width, height: height, pixels: pixels)
        try Data(ImageWriter.png(image)).write(to: URL(fileURLWithPath: path))
    }

    static func read(_ path: String, _ name: String) throws -> [[Float]] {
        let view = try SafetensorsFile(path: path).tensor(named: name)
        let values = view.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        let width = view.shape[1]
        return stride(from: 0, to: values.count, by: width).map { Array(values[$0..<$0 + width]) }
    }
}

/// The cosine of two vectors, from the definition.
func cosine(_ a: [Float], _ b: [Float]) -> Double {
    func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
    return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
}
