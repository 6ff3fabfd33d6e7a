import Foundation
import Images
import ModelFolders
import Testing

@testable import Encoders

/// Which library's rules a folder's images get.
@Suite struct CLIPPreprocessingTests {
    private func settings(_ files: [String: String]) throws -> ImagePreprocessing {
        let folder = NSTemporaryDirectory() + "preprocessing-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }  // a leftover folder harms nobody
        for (name, text) in files { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
        return try CLIPPreprocessing.read(ModelFolder(folder), side: 22)
    }

    @Test func openCLIPFoldersGetOpenCLIPsRules() throws {
        let found = try settings(["open_clip_config.json": #"{"preprocess_cfg": {"interpolation": "bilinear"}}"#])
        #expect(found.transparency == .openCLIP && found.cropRounding == .torchvision && found.filter == .bilinear)
        // Images are turned upright all the same; a setting prevents it.
        #expect(found.orientation == .exif)
        #expect(try settings(["open_clip_config.json": "{}"]).transparency == .openCLIP)
    }

    @Test func huggingFaceFoldersGetTransformersRules() throws {
        let own = #"{"size": 20, "crop_size": 20}"#, nested = #"{"image_processor": {"size": 21, "crop_size": 21}}"#
        let found = try settings(["config.json": "{}", "preprocessor_config.json": own])
        #expect(
            found.transparency == .white && found.cropRounding == .transformers && found.resize == .shortestEdge(20))
        // The nested one takes precedence; an older file without one leaves the choice to its neighbour.
        #expect(
            try settings(["preprocessor_config.json": own, "processor_config.json": nested]).resize
                == .shortestEdge(21))
        #expect(
            try settings(["preprocessor_config.json": own, "processor_config.json": #"{"processor_class": "C"}"#])
                .resize
                == .shortestEdge(20))
        #expect(throws: ModelFolderError.self) { try settings(["config.json": "{}"]) }
    }
}
