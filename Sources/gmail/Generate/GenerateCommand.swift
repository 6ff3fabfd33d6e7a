import ArgumentParser
import Diffusion
import Files
import Synthesis
import Terminal
import Torch

/// `gmail generate`: captions to images.
struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Generate images from captions.",
        discussion: """
            Draws images of every caption and writes them with pairs.jsonl (caption, real image where the captions file \
            names one, and how each image was made), or as WebDataset tars. Captions come from COCO's or Karpathy's JSON, \
            from JSON Lines with id, caption and optionally image, or from a text file with one caption per line.

            The noise of an image depends on its row in the captions file and on --seed alone: not on batch size, shard \
            or device. Ctrl-C and SIGTERM finish the batch and stop; run the same command again to go on. A killed run \
            loses at most one batch, and what it made before and after has the bytes of a run that never stopped.

              gmail generate --model stable-diffusion-2-1 --captions captions_train2014.json --real-images train2014 \\
                  --out generated --scheduler dpm++ --steps 20
              gmail generate --model stable-diffusion-2-1 --captions prompts.txt --out generated --shard 3/8
            """)

    @OptionGroup var model: GenerateModelOptions

    @Option(
        help: "Captions: COCO's, Karpathy's or BLIP's .json, .jsonl with id, caption, image, or .txt.",
        completion: .file())
    var captions: String

    @Option(
        help: ArgumentHelp(
            "Splits of a Karpathy file, joined by +; default: \(CaptionRows.defaultSplits), never val or test.",
            valueName: "names"))
    var split: String?

    @Option(
        help: "Folder of the real images that the captions file names; default: the captions file's own folder.",
        completion: .directory)
    var realImages: String?

    @Option(help: "The folder that images go to.")
    var out: String?

    @Option(help: "Images of every caption, each from its own noise.")
    var imagesPerCaption = 1

    @Option(
        help: "The run's seed; every image's own is derived from it.",
        transform: { try GenerateLimits.seed($0) })
    var seed: UInt64 = 42

    @Option(help: ArgumentHelp("Make part i of n only, i from 0; parts may share --out.", valueName: "i/n"))
    var shard: String?

    @Option(help: "folder, or webdataset for tar shards.")
    var format = SynthesisSettings.Format.folder

    @Option(help: "png or jpeg.")
    var imageFormat = SynthesisSettings.ImageFormat.png

    @Option(help: "JPEG quality, 1 to 100.")
    var quality = 95

    @Option(help: "Images of a tar shard.")
    var imagesPerTar = 1000

    @Option(help: "Only the first captions, this many.")
    var limit: Int?

    @Option(help: "Images per batch; default: 8, on the CPU 1 where images are larger than 256 pixels.")
    var batchSize: Int?

    @Option(help: "Make this many images, write nothing, and tell what the whole set would take.")
    var estimate: Int?

    @Flag(help: "Print a summary as JSON on standard output.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false

    func validate() throws {
        try Check.range("--images-per-caption", imagesPerCaption, SynthesisPlan.imagesPerCaptionRange)
        try Check.range("--images-per-tar", imagesPerTar, GenerateLimits.tar)
        try Check.range("--limit", limit, GenerateLimits.count)
        try Check.range("--estimate", estimate, GenerateLimits.count)
        try Check.range("--batch-size", batchSize, GenerateLimits.batch)
        try Check.range("--quality", quality, 1...100)
        if let shard {
            do {
                _ = try Shard(parsing: shard)
            } catch {
                throw ValidationError("--\(error)")
            }
        }
        guard out != nil || estimate != nil else { throw ValidationError("give --out, or --estimate for a dry run") }
    }

    func run() async throws {
        // Before anything slow, so that a signal during set-up is not lost.
        let stop = StopSignal()
        stop.listen()
        let progress = GenerateProgress(quiet: quiet)
        let rows = try CaptionRows(path: captions, split: split)
        if split == nil, let used = rows.split {
            progress.say("'\(captions)' has splits: images are made of \(used); --split takes others")
        }
        if rows.emptyCount > 0 { progress.say("\(rows.emptyCount) captions of '\(captions)' are empty and left out") }
        let realFolder = try GenerateRealImages.folder(rows, given: realImages)
        let shard = try shard.map(Shard.init(parsing:)) ?? .whole
        let (generator, device) = try model.open()
        for note in generator.notes { progress.say(note) }

        let pixels = generator.description.imageSize
        let batch = batchSize ?? (device == .cpu && pixels.width * pixels.height > 256 * 256 ? 1 : 8)
        let plan = try SynthesisPlan(
            rows: rows.rows, limit: limit, imagesPerCaption: imagesPerCaption, shard: shard, batchSize: batch)
        var settings = SynthesisSettings(
            generator: generator.description, seed: seed, captionsHash: rows.contentHash, batchSize: batch)
        settings.split = rows.split
        settings.imagesPerCaption = imagesPerCaption
        settings.shardCount = shard.count
        settings.format = format
        settings.imageFormat = imageFormat
        settings.quality = quality
        settings.imagesPerTar = imagesPerTar
        settings.limit = format == .webdataset ? limit : nil

        if let estimate {
            try report(
                SynthesisRun.estimate(plan: plan, settings: settings, images: estimate, generator: generator))
            return
        }
        guard let out else { return }
        let run = try SynthesisRun(
            plan: plan, settings: settings, folder: out, realFolder: realFolder, generator: generator, stop: stop,
            report: progress.handle)
        let outcome = try run.run()
        try conclude(outcome.signal.map { 128 + $0 } ?? 0) { try report(outcome, out, device) }
    }
}

extension SynthesisSettings.Format: ExpressibleByArgument {}
extension SynthesisSettings.ImageFormat: ExpressibleByArgument {}
