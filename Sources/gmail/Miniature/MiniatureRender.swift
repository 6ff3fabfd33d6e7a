import ArgumentParser
import Datasets
import Files
import Foundation
import Images
import Miniature
import Safetensors
import StrictJSON
import Terminal

/// `gmail miniature render`: writes the scenes of a split as files.
struct MiniatureRender: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "render",
        abstract: "Render scenes of a split, with five captions and the scene graph of each.",
        discussion: """
            Writes DIR/<split>/000000.png …, captions_<split>.json (COCO's format), captions_<split>.jsonl (one line per \
            caption: id, caption, image), scenes_<split>.jsonl (the scene graphs) and contact_sheet_<split>.png. Scenes are \
            the same for the same seed on every machine; a larger --count begins with the same scenes. Train, validation \
            and test are disjoint; some combinations of colour and shape occur in the test alone.

              gmail miniature render --split train --count 2000 --out world
            """)

    @Option(help: "train, validation or test.")
    var split: World.Split

    @Option(help: "How many scenes.")
    var count: Int

    @Option(help: "The folder to write into.", completion: .directory)
    var out: String

    @Option(help: "Seed of the world.")
    var seed: UInt64 = 0

    @Flag(help: "No progress.")
    var quiet = false

    func validate() throws {
        guard count >= 1 else { throw ValidationError("--count is \(count), expected 1 or more") }
    }

    func run() async throws {
        let dataset = SceneDataset(world: World(seed: seed), split: split, count: count)
        let target = "\(out)/\(dataset.imageFolder)"
        guard !FileSystem.exists(target) else {
            throw CommandError("'\(target)' exists already; give another --out, or remove it")
        }
        try FileSystem.createFolder(out)
        // Of the split alone: others may be rendered at the same time.
        let lock = try OutputLock(for: target, owner: "gmail miniature render")
        defer { withExtendedLifetime(lock) {} }
        let partial = "\(out)/.rendering-\(split.rawValue)"
        try FileSystem.remove(partial)
        let progress = JobProgress("rendering", total: count, unit: "scenes", quiet: quiet)
        let pictures = try dataset.write(to: partial) { progress.advance(by: $0) }
        let sheet = try ContactSheet.make(Array(pictures.prefix(48)), columns: 8, scale: 2)
        try AtomicFile.write(ImageWriter.png(sheet), to: "\(partial)/contact_sheet_\(split.rawValue).png")
        try AtomicFile.write(dataset.captionLines(), to: "\(partial)/captions_\(split.rawValue).jsonl")
        try AtomicFile.write(dataset.promptLines(), to: "\(partial)/prompts_\(split.rawValue).jsonl")
        // The pictures come last: their presence says that the rest is complete.
        let names = try FileSystem.entries(partial)
        for name in names.filter({ $0 != dataset.imageFolder }) + [dataset.imageFolder] {
            try FileSystem.remove("\(out)/\(name)")
            try FileSystem.rename("\(partial)/\(name)", to: "\(out)/\(name)")
        }
        try FileSystem.remove(partial)
        try Terminal.output("\(target): \(count) scenes, \(dataset.captions.count) captions")
    }
}

extension World.Split: ExpressibleByArgument {}
