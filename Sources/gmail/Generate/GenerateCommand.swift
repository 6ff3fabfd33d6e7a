import ArgumentParser
import Diffusion
import Files
import Foundation
import Images
import Synthesis
import Terminal
import Torch
import Training

/// `gmail generate`: captions to images.
struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Generate images from captions with Stable Diffusion 2.",
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

    @Option(
        help: "Folder of the model in diffusers' layout (model_index.json, unet/, vae/, ...).", completion: .directory)
    var model: String

    @Option(help: "Captions: COCO or Karpathy .json, .jsonl with id, caption, image, or .txt.", completion: .file())
    var captions: String

    @Option(help: "Only this split of a Karpathy file.")
    var split: String?

    @Option(
        help: "Folder of the real images that the captions file names; default: the captions file's own folder.",
        completion: .directory)
    var realImages: String?

    @Option(help: "The folder that images go to.")
    var out: String?

    @Option(help: "Denoising steps.")
    var steps = 50

    @Option(help: "Classifier-free guidance scale; 1 is no guidance.")
    var guidance = 7.5

    @Option(help: "ddim, pndm, euler or dpm++; default: the model's own.")
    var scheduler: SchedulerKind?

    @Option(help: ArgumentHelp("Pixels; default: what the model was made for.", valueName: "N or WxH"))
    var size: PictureSize?

    @Option(help: "Images of every caption, each from its own noise.")
    var imagesPerCaption = 1

    @Option(help: "What the images should not show.")
    var negativePrompt = ""

    @Option(help: "The run's seed; every image's own is derived from it.")
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

    @OptionGroup var compute: GenerateComputeOptions

    @Flag(
        inversion: .prefixedNo,
        help: ArgumentHelp(
            "Lay the weights out for speed; on the CPU in float32 only.",
            discussion: "Costs memory: 4.4 GB more than the 5 that Stable Diffusion 2 takes."))
    var prepare = true

    @Option(help: "Make this many images, write nothing, and tell what the whole set would take.")
    var estimate: Int?

    @Flag(help: "Print a summary as JSON on standard output.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false

    func validate() throws {
        for (name, value) in [
            ("--steps", steps), ("--images-per-caption", imagesPerCaption), ("--images-per-tar", imagesPerTar),
            ("--limit", limit ?? 1), ("--batch-size", batchSize ?? 1), ("--estimate", estimate ?? 1),
        ] where value < 1 {
            throw ValidationError("\(name) is \(value), expected 1 or more")
        }
        guard guidance.isFinite else { throw ValidationError("--guidance is \(guidance), expected a number") }
        guard (1...100).contains(quality) else { throw ValidationError("--quality is \(quality), expected 1 to 100") }
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
        let rows = try CaptionRows(path: captions, split: split)
        let realFolder = try GenerateRealImages.folder(rows, given: realImages)
        let modelHash = try DiffusersModelHash.sha256(folder: model) { try FileHashes().sha256(of: $0) }
        let (device, dtype) = try compute.resolve()

        var request = StableDiffusion2.Settings()
        request.steps = steps
        request.guidance = guidance
        request.negativePrompt = negativePrompt
        request.width = size?.width
        request.height = size?.height
        let generator = try StableDiffusionGenerator(
            folder: model, dtype: dtype, device: device, scheduler: scheduler, settings: request,
            isPrepared: prepare)
        let pixels = try generator.imageSize()

        let shard = try shard.map(Shard.init(parsing:)) ?? .whole
        let batch = batchSize ?? (device == .cpu && pixels.width * pixels.height > 256 * 256 ? 1 : 8)
        let plan = try SynthesisPlan(
            rows: rows.rows, limit: limit, imagesPerCaption: imagesPerCaption, shard: shard, batchSize: batch)
        var settings = SynthesisSettings(
            model: URL(fileURLWithPath: model).standardizedFileURL.lastPathComponent, modelHash: modelHash,
            scheduler: generator.model.scheduler.configuration.kind.rawValue, steps: steps, guidance: guidance,
            negativePrompt: negativePrompt, width: pixels.width, height: pixels.height,
            dtype: "\(generator.model.dtype)", seed: seed, captionsHash: rows.contentHash, batchSize: batch)
        settings.split = split
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
        let progress = GenerateProgress(quiet: quiet)
        for part in generator.model.ignoredParts { progress.say("the model's \(part) is not run") }
        let run = try SynthesisRun(
            plan: plan, settings: settings, folder: out, realFolder: realFolder, generator: generator, stop: stop,
            report: progress.handle)
        let outcome = try run.run()
        try report(outcome, out, device)
        if let signal = outcome.signal { throw ExitCode(128 + signal) }
    }

    private func report(_ estimate: SynthesisEstimate?) throws {
        guard let estimate else { throw CommandError("this shard has no images to estimate from") }
        try Terminal.output(json ? try GenerateSummary(estimate).text : estimate.text)
    }

    private func report(_ outcome: SynthesisOutcome, _ out: String, _ device: Device) throws {
        if json {
            try Terminal.output(GenerateSummary(outcome, out: out, device: device).text)
            return
        }
        guard !quiet else { return }
        if outcome.truncated > 0 {
            try Terminal.output(
                "\(outcome.truncated) images have captions longer than the model reads; what is beyond was cut off")
        }
        if outcome.retried > 0 { try Terminal.output("\(outcome.retried) images were made again in a wider dtype") }
        if outcome.failed > 0 { try Terminal.output("\(outcome.failed) images could not be made and are left out") }
        try Terminal.output(
            outcome.isComplete
                ? "\(out): \(outcome.finished) images"
                : "\(out): stopped after \(outcome.finished) of \(outcome.total) images; run the same command to go on")
        if let pairs = outcome.pairs { try Terminal.output("pairs: \(pairs)") }
        if !outcome.tars.isEmpty { try Terminal.output("\(outcome.tars.count) tar shards") }
    }
}

/// `512` or `640x384`.
struct PictureSize: ExpressibleByArgument {
    let width: Int
    let height: Int

    init?(argument: String) {
        let parts = argument.lowercased().split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...2).contains(parts.count), let first = parts[0], let last = parts[parts.count - 1], first > 0,
            last > 0
        else { return nil }
        (width, height) = (first, last)
    }
}

extension SchedulerKind: ExpressibleByArgument {}
extension SynthesisSettings.Format: ExpressibleByArgument {}
extension SynthesisSettings.ImageFormat: ExpressibleByArgument {}

/// Where and in which precision the model runs. Unlike other commands' it has float16, in which Stable Diffusion is often
/// published; images that overflow in it are made again in float32.
struct GenerateComputeOptions: ParsableArguments {
    @Option(help: "Precision of the model; auto is bfloat16 where the device multiplies it natively, else float32.")
    var dtype = Precision.auto

    @OptionGroup var device: DeviceOptions

    /// Loads libtorch and settles what `auto` means on this machine.
    func resolve() throws -> (device: Device, dtype: DType) {
        let device = try device.resolve()
        return (device, try dtype.dtype(on: device))
    }
}
