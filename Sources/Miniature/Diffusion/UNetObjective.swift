import Diffusion
import Encoders
import Files
import Foundation
import Images
import ModelFolders
import Safetensors
import Tokenizers
import Torch
import TorchNN
import Training

/// Training of the small denoiser (Ho et al. 2020, with velocities as in Salimans & Ho 2022) on latents of scenes, each
/// with one of its captions, and sometimes with the empty caption, for classifier-free guidance (Ho & Salimans 2022).
public final class UNetObjective: Objective {
    public let model: UNet2DConditionModel
    public var module: Module { model }

    private let recipe: UNetRecipe
    private let clipFolder: String
    private let autoencoderFolder: String
    private let text: DiffusionTextEncoder
    private let noise: NoiseSchedule
    private let train: Latents
    private let validation: Latents
    private let draws: Draws
    /// The factor of the latents.
    private let scale: Double

    /// The latents of a split, not scaled, and its captions as tokens.
    private struct Latents {
        let data: SceneData
        let mean: Tensor  // [N, Z, h, w]
        let deviation: Tensor  // [N, Z, h, w]
        /// `[N · K + 1, T]`, int64; the last row is the empty caption.
        let ids: Tensor

        init(_ data: SceneData, _ autoencoder: AutoencoderKL, _ reader: TextReader) throws {
            self.data = data
            var means: [Tensor] = []
            var deviations: [Tensor] = []
            for first in stride(from: 0, to: data.count, by: 64) {
                let (mean, logVariance) = withoutGradients {
                    autoencoder.encode(data.pictures(Array(first..<min(first + 64, data.count))))
                }
                means.append(mean)
                deviations.append((logVariance * 0.5).exp())
            }
            mean = .cat(means)
            deviation = .cat(deviations)
            let (ids, truncated) = try reader.tokens(data.captions + [""])
            if let row = truncated.first {
                throw MiniatureError.captionTooLong(
                    caption: data.captions[row], limit: reader.contextLength, what: "the text encoder")
            }
            self.ids = ids
        }

        var emptyRow: Int { ids.size(0) - 1 }
    }

    /// Encodes all scenes and makes fresh weights.
    /// - Parameters:
    ///   - clip: folder of the trained CLIP, whose text tower gives the condition.
    ///   - autoencoder: folder of the trained autoencoder.
    public init(_ recipe: UNetRecipe, train: SceneData, validation: SceneData, clip: String, autoencoder: String) throws
    {
        self.recipe = recipe
        clipFolder = clip
        autoencoderFolder = autoencoder
        draws = Draws(seed: recipe.training.seed)
        let encoder = try CLIPModel(folder: clip, dtype: .float32, memory: .owned)
        // As in Stable Diffusion 2, without the last layer.
        text = try DiffusionTextEncoder(of: encoder)
        text.setRequiresGrad(false)
        let reader = TextReader(encoder: encoder, tokenizer: try TokenizerFolder.open(clip))
        let coder = try AutoencoderKL(folder: autoencoder)
        coder.to(dtype: .float32)
        scale = coder.configuration.scalingFactor
        noise = try NoiseSchedule(DiffusionFiles.schedule(recipe.loss.type))
        self.train = try Latents(train, coder, reader)
        self.validation = try Latents(validation, coder, reader)
        let configuration = Self.configuration(
            recipe.model, latentChannels: coder.configuration.latentChannels, side: self.train.mean.size(2),
            textWidth: text.configuration.hiddenSize)
        let halvings = 1 << (recipe.model.channels.count - 1)
        guard configuration.sampleSize % halvings == 0 else {
            throw MiniatureError.latentSize(
                folder: autoencoder, expected: "a multiple of \(halvings)", got: configuration.sampleSize)
        }
        model = UNet2DConditionModel(configuration)
        let generator = draws.weights
        model.initialize(generator: generator)
        model.startAsShortcuts(silencing: ["conv2", "proj_out", "conv_out"], generator: generator)
    }

    static func configuration(_ model: UNetRecipe.Model, latentChannels: Int, side: Int, textWidth: Int)
        -> UNetConfiguration
    {
        var configuration = UNetConfiguration()
        configuration.sampleSize = side
        configuration.inputChannels = latentChannels
        configuration.outputChannels = latentChannels
        configuration.blockChannels = model.channels
        configuration.downBlocks = model.attention.map { $0 ? .crossAttention : .plain }
        configuration.upBlocks = configuration.downBlocks.reversed()
        configuration.layersPerBlock = model.channels.map { _ in model.layersPerBlock }
        configuration.transformerLayersPerBlock = model.channels.map { _ in 1 }
        configuration.headCounts = model.channels.map { $0 / model.headWidth }
        configuration.normGroups = model.normGroups
        configuration.crossAttentionDimension = textWidth
        return configuration
    }

    public func loss(_ batch: SceneBatch, step: Int) -> (loss: Tensor, metrics: [Metric]) {
        var random = draws.choices(step)
        let rows = train.data.captionRows(batch.indices, &random).map {
            random.chance(recipe.loss.captionDropout) ? train.emptyRow : $0
        }
        return (error(train, batch.indices, rows, draws.noise(step)), [])
    }

    /// Mean squared error of the prediction at random timesteps.
    private func error(_ latents: Latents, _ scenes: [Int], _ captions: [Int], _ generator: Generator) -> Tensor {
        let rows = Tensor(scenes)
        let (states, clean): (Tensor, Tensor) = withoutGradients {
            let mean = latents.mean.indexSelect(0, rows)
            let jitter = Tensor.randn(mean.shape, generator: generator) * latents.deviation.indexSelect(0, rows)
            return (text(latents.ids.indexSelect(0, Tensor(captions))), (mean + jitter) * scale)
        }
        let timesteps = (Tensor.rand([scenes.count], generator: generator) * Double(noise.trainSteps)).to(.int64)
        let drawn = Tensor.randn(clean.shape, generator: generator)
        let noisy = noise.addNoise(to: clean, noise: drawn, timesteps: timesteps)
        let target = noise.target(recipe.loss.type, original: clean, noise: drawn, timesteps: timesteps)
        return Functional.meanSquaredError(model(noisy, timesteps, states), target)
    }

    /// The loss on validation scenes and their first captions, with the same noise every time.
    public func validate() -> [Metric] {
        let generator = draws.noise(-1)
        var sum = 0.0
        for first in stride(from: 0, to: validation.data.count, by: 64) {
            let scenes = Array(first..<min(first + 64, validation.data.count))
            let captions = scenes.map { $0 * validation.data.captionsPerScene }
            sum += error(validation, scenes, captions, generator).item() * Double(scenes.count)
        }
        return [Metric("loss", sum / Double(validation.data.count))]
    }

    /// Writes the whole diffusers folder: UNet, autoencoder, text encoder, tokenizer, scheduler.
    public func export(to folder: String, dtype: DType) throws {
        for part in ["unet", "vae", "text_encoder", "tokenizer", "scheduler"] {
            try FileSystem.createFolder("\(folder)/\(part)")
        }
        try AtomicFile.write(model.configuration.diffusersJSON, to: "\(folder)/unet/config.json")
        try model.saveWeights(to: "\(folder)/unet/\(DiffusionFiles.weights)", dtype: dtype)
        for name in ["config.json", DiffusionFiles.weights] {
            try FileSystem.copy("\(autoencoderFolder)/\(name)", to: "\(folder)/vae/\(name)")
        }
        try text.save(folder: "\(folder)/text_encoder")
        try DiffusionFiles.copyTokenizer(from: clipFolder, to: "\(folder)/tokenizer")
        try AtomicFile.write(
            DiffusionFiles.scheduler(recipe.loss.type), to: "\(folder)/scheduler/scheduler_config.json")
        try DiffusersFolder.writeIndex(to: folder, scheduler: .dpmSolver)
    }
}
