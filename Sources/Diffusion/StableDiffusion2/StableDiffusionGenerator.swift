import Files
import Foundation
import Torch

extension GeneratorFamily {
    public static let stableDiffusion = GeneratorFamily(
        name: "Stable Diffusion", pipelines: ["StableDiffusionPipeline"],
        schedulers: SchedulerKind.allCases.map(\.rawValue)
    ) { folder, options, hashes in
        try StableDiffusionGenerator(folder, options: options, hashes: hashes)
    }
}

/// Stable Diffusion as a source of images.
///
/// The noise of an image comes from a CPU generator with the seed of its request; images in a batch share only the
/// calls of the model.
public final class StableDiffusionGenerator: ImageGenerator {
    public let description: GeneratorDescription
    private let configuration: StableDiffusionConfiguration
    private let settings: StableDiffusion2.Settings
    private let model: StableDiffusion2
    /// The same model in float32, loaded at the first image that needs it.
    private var wideModel: StableDiffusion2?

    public var notes: [String] { configuration.notes }

    /// Opens a folder; options are checked before its weights are read.
    /// - Throws: what is wrong with the folder; ``DiffusionError``, `SchedulerError` for options that are not possible.
    public init(_ folder: DiffusersFolder, options: GeneratorOptions, hashes: FileHashes) throws {
        let configuration = try StableDiffusionConfiguration(folder, scheduler: Self.kind(options.scheduler))
        var settings = StableDiffusion2.Settings()
        settings.steps = options.steps ?? settings.steps
        settings.guidance = options.guidance ?? settings.guidance
        settings.negativePrompt = options.negativePrompt
        settings.width = options.width
        settings.height = options.height
        let latents = try configuration.latentSize(width: options.width, height: options.height)
        let scheduler = try Schedulers.make(configuration.scheduler)
        _ = try scheduler.trajectory(steps: settings.steps)

        let factor = configuration.autoencoder.downsampling
        let fingerprint = try configuration.fingerprint(hashes: hashes)
        let model = try Self.naming("the model '\(folder.path)' in \(options.dtype)") {
            let model = try StableDiffusion2(configuration, dtype: options.dtype, device: options.device)
            if options.isPrepared, model.dtype == .float32, options.device == .cpu {
                try model.prepareForInference(settings)
            }
            return model
        }
        self.configuration = configuration
        self.settings = settings
        self.model = model
        description = GeneratorDescription(
            model: URL(fileURLWithPath: folder.path).standardizedFileURL.lastPathComponent, fingerprint: fingerprint,
            scheduler: scheduler.name, steps: settings.steps, guidance: settings.guidance,
            negativePrompt: settings.negativePrompt,
            imageSize: .init(width: latents.width * factor, height: latents.height * factor), dtype: "\(model.dtype)")
    }

    private static func kind(_ name: String?) throws -> SchedulerKind? {
        guard let name else { return nil }
        guard let kind = SchedulerKind(rawValue: name) else {
            throw DiffusionError.badOption(
                name: "scheduler", expected: SchedulerKind.allCases.map(\.rawValue).joined(separator: ", "),
                got: "'\(name)'")
        }
        return kind
    }

    public var widerDType: String? { model.dtype == .float32 ? nil : "\(DType.float32)" }

    public var tokenLimit: Int { model.tokenLimit }

    public func tokenCount(_ prompt: String) -> Int { model.tokenizer.encode(prompt).count + 2 }

    public func images(for requests: [ImageRequest], wide: Bool) throws -> [GeneratedImage] {
        let size = description.imageSize
        let what = "\(requests.count) images of \(size.width)x\(size.height) in one batch"
        return try Self.naming(what) {
            let model = wide ? try widened() : model
            let noise = try model.noise(seeds: requests.map(\.seed), settings)
            return try model.pictures(requests.map(\.prompt), noise: noise, settings).map { picture in
                switch picture {
                case .image(let image), .black(let image): .image(image)
                case .notFinite: .notFinite
                }
            }
        }
    }

    private func widened() throws -> StableDiffusion2 {
        if let wideModel { return wideModel }
        let made = try StableDiffusion2(configuration, dtype: .float32, device: model.device)
        wideModel = made
        return made
    }

    /// Adds to an out-of-memory error what was being made.
    private static func naming<Result>(_ what: String, _ body: () throws -> Result) throws -> Result {
        do {
            return try catchingTorchErrors(body)
        } catch let error as TorchError where error.kind == .outOfMemory {
            throw DiffusionError.outOfMemory(what: what, reason: error.message)
        }
    }
}
