import ArgumentParser
import Diffusion
import Torch

/// Which model draws, and how; nothing here knows one family of models from another.
struct GenerateModelOptions: ParsableArguments {
    @Option(
        help: "Folder of the model in diffusers' layout (model_index.json, unet/, vae/, ...).", completion: .directory)
    var model: String

    @Option(help: "Weight files of this variant, such as fp16; default: those without one, or the only one there is.")
    var variant: String?

    @Option(help: "Denoising steps; default: the model's, 50 for Stable Diffusion.")
    var steps: Int?

    @Option(help: "Classifier-free guidance scale, 1 is no guidance; default: the model's, 7.5 for Stable Diffusion.")
    var guidance: Double?

    @Option(help: "\(Self.schedulers.joined(separator: ", ")); default: the model's own.")
    var scheduler: String?

    @Option(help: ArgumentHelp("Pixels; default: what the model was made for.", valueName: "N or WxH"))
    var size: PictureSize?

    @Option(help: "What the images should not show.")
    var negativePrompt = ""

    /// Generators are often published in float16; images that overflow in it are made again in float32.
    @Option(help: "Precision of the model; auto is bfloat16 where the device multiplies it natively, else float32.")
    var dtype = Precision.auto

    @Flag(
        inversion: .prefixedNo,
        help: ArgumentHelp(
            "Lay the weights out for speed; on the CPU in float32 only.",
            discussion: "Costs memory: 4.4 GB more than the 5 that Stable Diffusion 2 takes."))
    var prepare = true

    @OptionGroup var device: DeviceOptions

    private static var schedulers: [String] {
        GeneratorFolder.families.all.flatMap(\.schedulers).reduce(into: []) { known, name in
            if !known.contains(name) { known.append(name) }
        }
    }

    func validate() throws {
        try Check.range("--steps", steps, GenerateLimits.steps)
        try Check.range("--guidance", guidance, GenerateLimits.guidance)
        try size?.check("--size")
        if let scheduler, !Self.schedulers.contains(scheduler) {
            throw ValidationError(
                "--scheduler is '\(scheduler)', expected one of \(Self.schedulers.joined(separator: ", "))")
        }
    }

    /// The model, ready to draw.
    func open() throws -> (generator: any ImageGenerator, device: Device) {
        var options = GeneratorOptions()
        options.steps = steps
        options.guidance = guidance
        options.negativePrompt = negativePrompt
        options.width = size?.width
        options.height = size?.height
        options.scheduler = scheduler
        options.variant = variant
        options.device = try device.resolve()
        options.dtype = try dtype.dtype(on: options.device)
        options.isPrepared = prepare
        return (try GeneratorFolder.open(model, options: options), options.device)
    }
}
