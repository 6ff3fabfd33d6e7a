import Files
import Foundation
import Images
import Safetensors

// Scenes as files that every tool can read: PNG pictures, COCO's captions JSON, and the scene graphs as JSON Lines.

/// A part of the world on disk.
public struct SceneDataset: Sendable {
    public let split: World.Split
    public let scenes: [Scene]
    /// Five captions of each scene, one after the other.
    public let captions: [String]

    public init(world: World, split: World.Split, count: Int) {
        self.split = split
        scenes = world.scenes(split, count: count)
        captions = scenes.flatMap(CaptionGrammar.captions(for:))
    }

    /// File names in the order of the scenes.
    public var imageNames: [String] {
        scenes.indices.map { index in
            let digits = String(index)
            return String(repeating: "0", count: max(0, 6 - digits.count)) + digits + ".png"
        }
    }

    /// Names below the data folder.
    public var imageFolder: String { split.rawValue }
    public var captionsFile: String { "captions_\(split.rawValue).json" }
    public var scenesFile: String { "scenes_\(split.rawValue).jsonl" }

    /// Writes `<split>/000000.png …`, `captions_<split>.json` and `scenes_<split>.jsonl` into `folder`.
    /// - Parameter report: gets the number of finished pictures, repeatedly.
    /// - Returns: the pictures.
    /// - Throws: `ImageError`, `SafetensorsError` when a file cannot be written.
    @discardableResult
    public func write(
        to folder: String, renderer: SceneRenderer = SceneRenderer(), report: (Int) -> Void = { _ in }
    ) throws -> [RGBImage] {
        let images = "\(folder)/\(imageFolder)"
        try FileSystem.createFolder(images)
        let names = imageNames
        var pictures: [RGBImage] = []
        for first in stride(from: 0, to: scenes.count, by: 64) {
            let part = first..<min(first + 64, scenes.count)
            let rendered = renderer.render(Array(scenes[part]))
            for (index, picture) in zip(part, rendered) {
                // Files are not atomic one by one; the caller renames the folder when it is complete.
                let bytes = try ImageWriter.png(picture, compressionLevel: 3)
                try AppendFile(path: "\(images)/\(names[index])").append(Array(bytes))
            }
            pictures += rendered
            report(part.count)
        }
        try AtomicFile.write(cocoJSON(side: renderer.side), to: "\(folder)/\(captionsFile)")
        try AtomicFile.write(graphLines(), to: "\(folder)/\(scenesFile)")
        return pictures
    }

    private struct COCO: Encodable {
        struct Info: Encodable {
            let description: String
            let version: String
        }
        struct Image: Encodable {
            let id: Int
            let file_name: String
            let width: Int
            let height: Int
        }
        struct Annotation: Encodable {
            let id: Int
            let image_id: Int
            let caption: String
        }

        let info: Info
        let images: [Image]
        let annotations: [Annotation]
    }

    private func cocoJSON(side: Int) throws -> [UInt8] {
        let perScene = captions.count / max(1, scenes.count)
        let coco = COCO(
            info: .init(description: "Rendered tabletop scenes, \(split.rawValue)", version: "1"),
            images: imageNames.enumerated().map { .init(id: $0, file_name: $1, width: side, height: side) },
            annotations: captions.enumerated().map { .init(id: $0, image_id: $0 / perScene, caption: $1) })
        return try encode(coco)
    }

    private struct Line: Encodable {
        let id: String
        let caption: String
        let image: String
    }

    /// The captions as JSON Lines, one object each: `id`, `caption`, and as `image` the picture's path below the data folder.
    public func captionLines() throws -> [UInt8] {
        let perScene = captions.count / max(1, scenes.count)
        let names = imageNames
        var lines: [UInt8] = []
        for (index, caption) in captions.enumerated() {
            let (scene, number) = (index / perScene, index % perScene)
            let id = "\(split.rawValue)-\(scene)-\(number)"
            lines += try encode(Line(id: id, caption: caption, image: "\(imageFolder)/\(names[scene])"))
            lines.append(UInt8(ascii: "\n"))
        }
        return lines
    }

    private struct Prompt: Encodable {
        let id: String
        let caption: String
        let image: String
    }

    /// One caption of each scene as JSON Lines for `gmail generate`: `id`, `caption`, and as `image` the picture's path
    /// below the data folder. The five kinds of caption take turns.
    public func promptLines() throws -> [UInt8] {
        let perScene = captions.count / max(1, scenes.count)
        var lines: [UInt8] = []
        for (scene, name) in imageNames.enumerated() {
            lines += try encode(
                Prompt(
                    id: "\(split.rawValue)-\(scene)", caption: captions[scene * perScene + scene % perScene],
                    image: "\(imageFolder)/\(name)"))
            lines.append(UInt8(ascii: "\n"))
        }
        return lines
    }

    private struct Graph: Encodable {
        let image: String
        let hash: String
        let scene: Scene
    }

    private func graphLines() throws -> [UInt8] {
        var lines: [UInt8] = []
        for (name, scene) in zip(imageNames, scenes) {
            lines += try encode(Graph(image: "\(imageFolder)/\(name)", hash: scene.hash, scene: scene))
            lines.append(UInt8(ascii: "\n"))
        }
        return lines
    }

    private func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return [UInt8](try encoder.encode(value))
    }
}
