import Encoders
import Images
import Tokenizers
import Torch
import TorchNN

// Text to picture with Stable Diffusion 2 (Rombach et al. 2022): tokens, text states, a walk of the denoiser under
// classifier-free guidance (Ho & Salimans 2022), decoding. Reference: diffusers 0.42.1 `StableDiffusionPipeline`; from equal
// noise the pictures agree within 1/255 in float32.

/// A whole Stable Diffusion model in memory.
///
/// It is used by one thread at a time. Nothing is drawn from a global seed: a picture's noise comes from its own
/// generator.
public final class StableDiffusion2 {
    public let tokenizer: CLIPTokenizer
    public let textEncoder: DiffusionTextEncoder
    public let unet: UNet2DConditionModel
    public let autoencoder: AutoencoderKL
    public let scheduler: any Scheduler
    public let dtype: DType
    public let device: Device

    /// The settings, the same for every picture of a batch.
    public struct Settings: Sendable, Hashable {
        /// Denoising steps.
        public var steps = 50
        /// 1 or less: no guidance, and the negative prompt is not used.
        public var guidance = 7.5
        public var negativePrompt = ""
        /// Pixels, multiples of the autoencoder's downsampling (8); nil means the size for which the model was made.
        public var width: Int?
        public var height: Int?

        public init() {}
    }

    /// The result for one picture.
    public enum Picture: Sendable, Hashable {
        case image(RGBImage)
        /// NaN or infinite: the dtype was too narrow for this model. Try a wider one.
        case notFinite
        /// Every pixel is black, which is how an overflow appears when a later operation has hidden it.
        case black(RGBImage)
    }

    /// A model of parts that are already in memory (the miniature trains its own).
    /// - Throws: `DiffusionError.mismatch` if the parts do not fit each other.
    public init(
        tokenizer: CLIPTokenizer, textEncoder: DiffusionTextEncoder, unet: UNet2DConditionModel,
        autoencoder: AutoencoderKL, scheduler: any Scheduler, name: String = "the model"
    ) throws {
        func check(_ what: String, _ got: Int, _ expected: Int) throws {
            guard got == expected else {
                throw DiffusionError.mismatch(model: name, what: what, expected: "\(expected)", got: "\(got)")
            }
        }
        let latents = autoencoder.configuration.latentChannels
        try check("the UNet's in_channels", unet.configuration.inputChannels, latents)
        try check("the UNet's out_channels", unet.configuration.outputChannels, latents)
        try check(
            "the UNet's cross_attention_dim", unet.configuration.crossAttentionDimension,
            textEncoder.configuration.hiddenSize)
        try check("the autoencoder's in_channels", autoencoder.configuration.imageChannels, 3)
        guard tokenizer.vocabularySize <= textEncoder.configuration.vocabularySize else {
            throw DiffusionError.mismatch(
                model: name, what: "the tokenizer's vocabulary",
                expected: "at most \(textEncoder.configuration.vocabularySize)",
                got: "\(tokenizer.vocabularySize)")
        }
        self.tokenizer = tokenizer
        self.textEncoder = textEncoder
        self.unet = unet
        self.autoencoder = autoencoder
        self.scheduler = scheduler
        let weight = unet.input.weight
        dtype = weight.dtype
        device = weight.device
        for module in [textEncoder, unet, autoencoder] as [Module] { module.setTraining(false) }
    }

    /// Loads a folder in diffusers' layout.
    /// - Parameters:
    ///   - dtype: of the weights in memory and the computation. In float16, attention scores are always computed in
    ///     float32 (Stable Diffusion 2.1 overflows otherwise), and the autoencoder runs in float32 if its file says
    ///     that it overflows (`force_upcast`). nil keeps the files' dtype.
    ///   - variant: variant of the weight files, for example `fp16`.
    ///   - scheduler: a method other than the folder's, on the same noise schedule.
    /// - Throws: `ModelFolderError`, `JSONFileError`, `FileError`, `SchedulerError`, `TokenizerError`, `SafetensorsError`,
    ///   `StateMismatch`, ``DiffusionError``.
    public convenience init(
        folder: String, dtype: DType? = .float32, device: Device = .cpu, variant: String? = nil,
        scheduler: SchedulerKind? = nil
    ) throws {
        try self.init(
            StableDiffusionConfiguration(DiffusersFolder(folder, variant: variant), scheduler: scheduler),
            dtype: dtype, device: device)
    }

    /// Loads the weights that belong to configurations read before.
    public convenience init(
        _ configuration: StableDiffusionConfiguration, dtype: DType? = .float32, device: Device = .cpu
    ) throws {
        let folder = configuration.folder
        try TorchRuntime.load()
        let schedule = try Schedulers.make(configuration.scheduler)
        let tokenizer = try CLIPTokenizer(folder: folder.folder.file("tokenizer"))
        let text = DiffusionTextEncoder(configuration.text)
        let unet = UNet2DConditionModel(configuration.unet)
        let autoencoder = AutoencoderKL(configuration.autoencoder)
        try text.load(folder.weights(of: .textEncoder), dtype: dtype, device: device)
        try unet.load(folder.weights(of: .unet), dtype: dtype, device: device)
        if unet.input.weight.dtype == .float16 { unet.upcastsAttention = true }
        let isTooNarrow = unet.input.weight.dtype == .float16 && autoencoder.configuration.forcesUpcast
        try autoencoder.load(folder.weights(of: .autoencoder), dtype: isTooNarrow ? .float32 : dtype, device: device)
        for (part, module) in [("text_encoder", text), ("unet", unet), ("vae", autoencoder)] as [(String, Module)] {
            try module.requireFinite(source: "'\(folder.path)/\(part)'")
            module.setRequiresGrad(false)
        }
        try self.init(
            tokenizer: tokenizer, textEncoder: text, unet: unet, autoencoder: autoencoder, scheduler: schedule,
            name: folder.path)
    }

    /// Lays out the weights for making pictures in float32 on the CPU; does nothing elsewhere.
    ///
    /// It is useful for more than a few calls of the denoiser. Results differ in the last digits, and the copies take
    /// more memory than the weights (4.4 GB for Stable Diffusion 2's denoiser).
    /// - Parameter settings: give the size that is prepared for; other sizes work, but more slowly.
    /// - Throws: `DiffusionError.imageSize`.
    public func prepareForInference(_ settings: Settings = Settings()) throws {
        let (height, width) = try latentSize(settings)
        unet.prepareForInference(sampleSize: max(height, width))
        autoencoder.prepareForInference(
            pictureSize: max(height, width) * autoencoder.configuration.downsampling, encodes: false)
    }

    /// Tokens of a prompt that are read, start and end included: `model_max_length` of the tokenizer's folder, at most
    /// the positions of the text encoder.
    public var tokenLimit: Int { min(tokenizer.contextLength ?? .max, textEncoder.configuration.contextLength) }

    /// Text states of prompts: `[N, T, K]` with T the ``tokenLimit``. Tokens beyond it are cut off.
    public func encode(_ prompts: [String]) throws -> Tensor {
        let batch = try tokenizer.encode(prompts, contextLength: tokenLimit, truncation: .truncate)
        let ids = Tensor(batch.ids, shape: [batch.rowCount, batch.contextLength]).to(device)
        return withoutGradients { textEncoder(ids) }
    }

    /// Sides of the latents for `settings`.
    /// - Throws: ``DiffusionError/imageSize(width:height:multiple:largest:)``.
    public func latentSize(_ settings: Settings) throws -> (height: Int, width: Int) {
        try StableDiffusionConfiguration.latentSize(
            width: settings.width, height: settings.height, unet.configuration, autoencoder.configuration)
    }

    /// Initial noise, one picture for each seed: float32 `[N, Z, h, w]`, each drawn on the CPU from its own generator, so
    /// that it does not depend on the batch. diffusers draws the same from `torch.Generator().manual_seed(seed)`.
    public func noise(seeds: [UInt64], _ settings: Settings) throws -> Tensor {
        let (height, width) = try latentSize(settings)
        let shape = [unet.configuration.inputChannels, height, width]
        return .stack(seeds.map { .randn(shape, generator: Generator(seed: $0)) }).to(device)
    }

    /// Walks from noise to latents.
    /// - Parameters:
    ///   - noise: standard normal `[N, Z, h, w]`.
    ///   - prompts: text states `[N, T, K]`.
    ///   - negative: text states `[1, T, K]` or `[N, T, K]`; needed and read only if `guidance` is above 1.
    ///   - progress: called after each call of the denoiser with its number, from 1, and how many there are; may throw to
    ///     stop.
    /// - Returns: latents float32 `[N, Z, h, w]`, in the denoiser's scale.
    /// - Throws: ``DiffusionError/missingNegative(guidance:)``, `SchedulerError`, and what `progress` throws.
    public func denoise(
        _ noise: Tensor, prompts: Tensor, negative: Tensor?, steps: Int, guidance: Double,
        progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> Tensor {
        let trajectory = try scheduler.trajectory(steps: steps)
        let timesteps = trajectory.timesteps
        let isGuided = guidance > 1
        if isGuided, negative == nil { throw DiffusionError.missingNegative(guidance: guidance) }
        let count = noise.size(0)
        return try inferenceMode {
            var text = prompts
            if isGuided, let negative {
                let others = negative.size(0) == count ? negative : negative.expanded(count, -1, -1)
                text = .cat([others, prompts])  // [2 N, T, K]: both halves in one batch
            }
            var sample = noise.to(.float32) * trajectory.initialNoiseScale
            let context = unet.context(text)
            for (index, timestep) in timesteps.enumerated() {
                let scaled = trajectory.scaleInput(sample, at: index)
                let input = isGuided ? Tensor.cat([scaled, scaled]) : scaled
                let time = Tensor([Float(timestep)]).to(device)  // [1]: the same for all rows
                var output = unet(input, time, context).to(.float32)
                if isGuided {
                    let base = output[0..<count]
                    output = base + (output[count..<2 * count] - base) * guidance
                }
                sample = trajectory.step(modelOutput: output, at: index, sample: sample)
                try progress(index + 1, timesteps.count)
            }
            return sample
        }
    }

    /// Pictures of scaled latents: float32 `[N, 3, H, W]` in 0...1, NaN where the model overflowed.
    public func decode(_ latents: Tensor) -> Tensor {
        inferenceMode {
            let pictures = autoencoder.decode(latents / autoencoder.configuration.scalingFactor).to(.float32)
            return (pictures * 0.5 + 0.5).clamped(0, 1)
        }
    }

    /// Makes a picture for each prompt from its noise.
    /// - Parameter noise: as returned by `noise(seeds:_:)`.
    public func pictures(
        _ prompts: [String], noise: Tensor, _ settings: Settings, progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> [Picture] {
        let states = try encode(prompts)
        let negative = settings.guidance > 1 ? try encode([settings.negativePrompt]) : nil
        let latents = try denoise(
            noise, prompts: states, negative: negative, steps: settings.steps, guidance: settings.guidance,
            progress: progress)
        // One by one, because decoding needs far more memory than denoising.
        return try (0..<prompts.count).map { try Self.picture(decode(latents[$0..<$0 + 1])) }
    }

    /// The picture of `[1, 3, H, W]` in 0...1, or what is wrong with it.
    static func picture(_ decoded: Tensor) throws -> Picture {
        guard decoded.isFinite().all() else { return .notFinite }
        let (height, width) = (decoded.size(2), decoded.size(3))
        let bytes: [UInt8] = (decoded * 255).round().to(.uint8).permuted(0, 2, 3, 1).contiguous().array()
        let image = try RGBImage(width: width, height: height, pixels: bytes)
        return bytes.allSatisfy { $0 == 0 } ? .black(image) : .image(image)
    }
}
