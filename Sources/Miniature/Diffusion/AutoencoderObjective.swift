import Diffusion
import Files
import Foundation
import Safetensors
import Torch
import TorchNN
import Training

/// Training of the small autoencoder: absolute and squared error of the pixels, and a little KL divergence that keeps the
/// latents near the origin. (Stable Diffusion's adds a perceptual and an adversarial term, which need networks of their own.)
public final class AutoencoderObjective: Objective {
    public let model: AutoencoderKL
    public var module: Module { model }

    private let recipe: AutoencoderRecipe
    private let train: SceneData
    private let validation: SceneData
    private let draws: Draws

    public init(_ recipe: AutoencoderRecipe, train: SceneData, validation: SceneData) {
        self.recipe = recipe
        self.train = train
        self.validation = validation
        draws = Draws(seed: recipe.training.seed)
        model = AutoencoderKL(Self.configuration(recipe.model))
        let generator = draws.weights
        model.initialize(generator: generator)
        model.startAsShortcuts(silencing: ["conv2"], generator: generator)
        Self.quieten(model)
    }

    /// Starts with little noise in the latents, because more would hide the output of the untrained encoder.
    private static func quieten(_ model: AutoencoderKL) {
        let channels = model.configuration.latentChannels
        withoutGradients {
            for entry in model.namedTensors() where entry.key.hasPrefix("quant_conv.") {
                entry.tensor.slice(0, channels..<2 * channels).fillInPlace(entry.key.hasSuffix("bias") ? -6 : 0)
            }
        }
    }

    static func configuration(_ model: AutoencoderRecipe.Model) -> AutoencoderConfiguration {
        var configuration = AutoencoderConfiguration()
        configuration.blockChannels = model.channels
        configuration.layersPerBlock = model.layersPerBlock
        configuration.latentChannels = model.latentChannels
        configuration.normGroups = model.normGroups
        configuration.sampleSize = MiniatureCLIP.imageSize
        // Convolutions alone cover enough of a picture this small.
        configuration.hasAttention = false
        configuration.forcesUpcast = false
        return configuration
    }

    public func loss(_ batch: SceneBatch, step: Int) -> (loss: Tensor, metrics: [Metric]) {
        let pictures = cropped(train.pictures(batch.indices), step)  // [B, 3, S, S]
        let (mean, logVariance) = model.encode(pictures)
        let latents = model.sample(mean: mean, logVariance: logVariance, generator: draws.noise(step))
        let error = model.decode(latents) - pictures
        let absolute = error.abs().mean()
        let divergence = ((mean.square() + logVariance.exp() - 1 - logVariance) * 0.5).mean()
        let loss = absolute + error.square().mean() * recipe.loss.squared + divergence * recipe.loss.divergence
        return (
            loss,
            [Metric("absolute_error", absolute.item()), Metric("divergence", divergence.item())]
        )
    }

    /// In the first steps, the same part of every picture; another part in each step.
    private func cropped(_ pictures: Tensor, _ step: Int) -> Tensor {
        let side = recipe.loss.cropSide
        guard step < recipe.loss.cropSteps else { return pictures }
        var random = draws.choices(step)
        let top = random.integer(below: pictures.size(2) - side + 1)
        let left = random.integer(below: pictures.size(3) - side + 1)
        return pictures.slice(2, top..<top + side).slice(3, left..<left + side).contiguous()
    }

    /// Peak signal-to-noise ratio (dB) of validation pictures after encoding and decoding, without noise.
    public func validate() -> [Metric] {
        var squares = 0.0
        var absolutes = 0.0
        for first in stride(from: 0, to: validation.count, by: 32) {
            let indices = Array(first..<min(first + 32, validation.count))
            let pictures = validation.pictures(indices)
            let error = model.decode(model.encode(pictures).mean).clamped(-1, 1) - pictures
            squares += error.square().mean().item() * Double(indices.count)
            absolutes += error.abs().mean().item() * Double(indices.count)
        }
        let count = Double(validation.count)
        // Pixels span 2.
        return [Metric("psnr", 10 * log10(4 / (squares / count))), Metric("absolute_error", absolutes / count)]
    }

    /// Writes `config.json` and `diffusion_pytorch_model.safetensors`; the scaling factor brings the latents of the first
    /// 512 train scenes to unit variance (Rombach et al. 2022, appendix G), to three decimals.
    public func export(to folder: String, dtype: DType) throws {
        var latents: [Tensor] = []
        let generator = draws.noise(-1)
        for first in stride(from: 0, to: min(512, train.count), by: 32) {
            let (mean, logVariance) = model.encode(train.pictures(Array(first..<min(first + 32, train.count))))
            latents.append(model.sample(mean: mean, logVariance: logVariance, generator: generator))
        }
        let all = Tensor.cat(latents)
        var configuration = model.configuration
        let deviation = (all - all.mean()).square().mean().sqrt().item()
        configuration.scalingFactor = (1000 / deviation).rounded() / 1000
        try FileSystem.createFolder(folder)
        try AtomicFile.write(configuration.diffusersJSON, to: "\(folder)/config.json")
        try model.saveWeights(to: "\(folder)/\(DiffusionFiles.weights)", dtype: dtype)
    }
}
