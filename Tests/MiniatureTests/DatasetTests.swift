import Foundation
import Images
import Testing

@testable import Miniature

@Suite struct DatasetTests {
    @Test func filesHoldTheScenes() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("dataset-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let dataset = SceneDataset(world: World(seed: 9), split: .validation, count: 3)
        var reported = 0
        let pictures = try dataset.write(to: folder) { reported += $0 }
        #expect(reported == 3)
        for (name, picture) in zip(dataset.imageNames, pictures) {
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(folder)/validation/\(name)")))
            #expect(try RGBImage(decoding: bytes, name: name) == picture)
        }
        struct COCO: Decodable {
            struct Image: Decodable { let id: Int, file_name: String, width: Int }
            struct Annotation: Decodable { let id: Int, image_id: Int, caption: String }
            let images: [Image]
            let annotations: [Annotation]
        }
        let json = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/captions_validation.json"))
        let coco = try JSONDecoder().decode(COCO.self, from: json)
        #expect(coco.images.map(\.file_name) == ["000000.png", "000001.png", "000002.png"])
        #expect(coco.images.allSatisfy { $0.width == 64 })
        #expect(coco.annotations.map(\.caption) == dataset.captions)
        #expect(coco.annotations.map(\.image_id) == (0..<15).map { $0 / 5 })
        let lines = try String(contentsOfFile: "\(folder)/scenes_validation.jsonl", encoding: .utf8).split(
            separator: "\n")
        struct Graph: Decodable { let hash: String, scene: Scene }
        let graphs = try lines.map { try JSONDecoder().decode(Graph.self, from: Data($0.utf8)) }
        #expect(graphs.map(\.scene) == dataset.scenes)
        #expect(graphs.map(\.hash) == dataset.scenes.map(\.hash))
    }

    @Test func contactSheetPlacesPictures() throws {
        let red = try RGBImage(width: 2, height: 1, pixels: [255, 0, 0, 255, 0, 0])
        let blue = try RGBImage(width: 2, height: 1, pixels: [0, 0, 255, 0, 0, 255])
        let sheet = try ContactSheet.make([red, blue, red], columns: 2, scale: 2, gap: 1)
        #expect(sheet.width == 11 && sheet.height == 7)
        func pixel(_ x: Int, _ y: Int) -> [UInt8] { Array(sheet.pixels[(y * 11 + x) * 3..<(y * 11 + x) * 3 + 3]) }
        #expect(pixel(1, 1) == [255, 0, 0] && pixel(6, 2) == [0, 0, 255] && pixel(4, 5) == [255, 0, 0])
        #expect(pixel(0, 0) == [246, 246, 246] && pixel(6, 5) == [246, 246, 246])
        #expect(throws: ImageError.self) { try ContactSheet.make([], columns: 2) }
    }
}
