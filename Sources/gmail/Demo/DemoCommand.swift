import Alignment
import ArgumentParser
import Files
import Foundation
import Safetensors
import Terminal
import Training

/// `gmail demo`: the whole method in miniature.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract:
            "Run the whole method in miniature: generate, align, train captioners, evaluate on real scenes, report.",
        discussion: """
            Tabletop scenes stand in for photos. A small Stable Diffusion, trained on real renders only, generates an image \
            for every training caption; f_g is aligned with f_r; captioners are trained on real images, on generated ones \
            without alignment, on both mixed, and as GMAIL says; all are judged on held-out real scenes. Each stage is a \
            command of this program, printed as you would type it, on the files that the full-size models have too.

            Needs no download. Interrupted and run again, it goes on where it was.

              gmail demo                      one to six minutes on two cores
              gmail demo --quick              one minute or less
              gmail demo --full --quick       everything from nothing in some minutes: a test of the way
              gmail demo --seeds 5            mean and standard deviation
              gmail demo --images 3072        four times the generated images (Table 7 in miniature)
              gmail demo --rank 2             another LoRA rank (Table 11); --recipe full-fine-tuning for its last row
            """)

    @Option(help: "Folder for everything the demo makes.", completion: .directory)
    var out = "demo"

    @Option(help: "Seed of scenes, noise and training; with --seeds, the first one.")
    var seed: UInt64 = 0

    @Option(help: "Run so many seeds, each in a folder of its own.")
    var seeds = 1

    @Flag(
        help:
            "A smaller set and shorter trainings; with --full also of the small models, too short for them to be good.")
    var quick = false

    @Flag(help: "Train the small models first, from their shipped recipes (about an hour).")
    var full = false

    @Option(help: ArgumentHelp("Training scenes, so generated images.", valueName: "count"))
    var images: Int?

    @Option(help: "The alignment's recipe.")
    var recipe = "gmail"

    @Option(help: "LoRA rank instead of the recipe's.")
    var rank: Int?

    @Option(
        help: "Folder of the small models; default: Models/miniature beside the program or above it.",
        completion: .directory)
    var models: String?

    @Flag(help: "Make everything anew, also what is finished.")
    var force = false

    @Flag(help: "Print the results as JSON on standard output.")
    var json = false

    func validate() throws {
        guard seeds >= 1 else { throw ValidationError("--seeds is \(seeds), expected 1 or more") }
        if let images, images < 64 {
            throw ValidationError("--images is \(images), expected 64 or more: a batch of the alignment has 64 pairs")
        }
        if let rank, rank < 1 { throw ValidationError("--rank is \(rank), expected 1 or more") }
        guard !(full && models != nil) else {
            throw ValidationError("--full trains the small models, --models names ready ones; give one of them")
        }
    }

    func run() async throws {
        let small: MiniatureModels
        if full {
            small = MiniatureModels(trainedIn: "\(out)/models")
        } else {
            small = try MiniatureModels(given: models)
        }
        let hash = full ? "trained by this demo" : try small.hash()
        var results: DemoResults?
        // One seed's demo lies in the folder itself and locks it there.
        if seeds > 1 { try FileSystem.createFolder(out) }
        let lock = try seeds > 1 ? FolderLock(folder: out, owner: "gmail demo --seeds") : nil
        defer { withExtendedLifetime(lock) {} }
        for seed in seed..<seed + UInt64(seeds) {
            let settings = try DemoSettings(
                seed: seed, quick: quick, images: images, recipe: recipe, rank: rank, models: hash)
            let layout = DemoLayout(folder: seeds == 1 ? out : "\(out)/seed-\(seed)")
            if seeds > 1 { Terminal.note("seed \(seed)") }
            // The small models are the same for all seeds: the first one's demo trains them.
            let stages = DemoStages(
                layout: layout, settings: settings, models: small, trainsModels: full && seed == self.seed,
                trainsBriefly: quick)
            let times = try await Demo(layout: layout, settings: settings, stages: stages.all).run(force: force)
            let measured = try DemoResults.read(layout, seed: seed, times: times)
            var all = results ?? DemoResults(settings: settings, seeds: [])
            all.seeds.append(measured)
            results = all
        }
        guard let results else { return }
        let whole = DemoLayout(folder: out)
        try AtomicFile.write(results.json(), to: whole.results)
        try AtomicFile.write([UInt8](results.markdown.utf8), to: whole.table)
        if json {
            try Terminal.output(json: String(decoding: try results.json(), as: UTF8.self), terminator: "")
        } else {
            try Terminal.output(results.text, terminator: "")
        }
    }
}
