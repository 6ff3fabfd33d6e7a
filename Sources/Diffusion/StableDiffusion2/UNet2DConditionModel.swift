import Foundation
import Torch
import TorchNN

// The denoiser of latent diffusion (Rombach et al. 2022), as in Stable Diffusion.
// Reference: diffusers 0.42.1 `UNet2DConditionModel`; outputs and gradients agree within 1e-4 in float32.

/// Predicts the noise (or velocity) in a noisy latent from the timestep and the text, with diffusers' checkpoint keys.
public final class UNet2DConditionModel: Module {
    @Child("conv_in") var input: Conv2d
    @Child("time_embedding") var timeEmbedding: TimeEmbedding
    @Children("down_blocks") public var downStages: [UNetDownStage]
    @Child("mid_block") public var middleStage: UNetMiddleStage
    @Children("up_blocks") public var upStages: [UNetUpStage]
    @Child("conv_norm_out") var outputNorm: GroupNorm
    @Child("conv_out") var output: Conv2d

    public let configuration: UNetConfiguration

    /// A model without weights; `load` or `initialize` fills them.
    public init(_ configuration: UNetConfiguration) {
        self.configuration = configuration
        super.init()
        let channels = configuration.blockChannels
        let timeWidth = 4 * channels[0]
        let settings = UNetStageSettings(configuration: configuration, timeWidth: timeWidth)
        input = Conv2d(configuration.inputChannels, channels[0], kernel: 3, padding: 1)
        timeEmbedding = TimeEmbedding(
            width: channels[0], outputSize: timeWidth, isCosineFirst: configuration.flipsSineToCosine,
            frequencyShift: configuration.frequencyShift)
        downStages = channels.indices.map { UNetDownStage(settings, level: $0) }
        middleStage = UNetMiddleStage(settings)
        upStages = channels.indices.map { UNetUpStage(settings, index: $0) }
        outputNorm = GroupNorm(groups: configuration.normGroups, channels: channels[0], eps: configuration.normEps)
        output = Conv2d(channels[0], configuration.outputChannels, kernel: 3, padding: 1)
    }

    /// - Parameters:
    ///   - sample: noisy latents `[B, in, h, w]`; any h and w, multiples of the downsampling or not.
    ///   - timesteps: `[B]` or `[1]`, integers or floats.
    ///   - textStates: `[B, T, K]`, K the cross-attention width.
    /// - Returns: the prediction `[B, out, h, w]`, contiguous, in the dtype of the weights (under autocast, autocast's).
    public func callAsFunction(_ sample: Tensor, _ timesteps: Tensor, _ textStates: Tensor) -> Tensor {
        self(sample, timesteps, DiffusionTextContext(textStates.to(activationDType), isKept: false))
    }

    /// Text states `[B, T, K]` for many calls of one walk: what depends only on them is computed once. Inference only.
    public func context(_ textStates: Tensor) -> DiffusionTextContext {
        DiffusionTextContext(textStates.to(activationDType), isKept: true)
    }

    /// The same with text that `context(_:)` prepared.
    public func callAsFunction(_ sample: Tensor, _ timesteps: Tensor, _ text: DiffusionTextContext) -> Tensor {
        let shape = sample.shape
        var latents = sample.to(activationDType)
        if configuration.centersInput { latents = latents * 2 - 1 }
        let steps = timesteps.rank == 0 ? timesteps.reshaped(1) : timesteps
        let time = timeEmbedding(steps).silu()  // [B, E]

        let factor = 1 << (configuration.blockChannels.count - 1)
        let isUneven = shape[2] % factor != 0 || shape[3] % factor != 0
        var hidden = input(latents.channelsLast())
        var states = [hidden]
        for stage in downStages { states += stage(states[states.count - 1], time: time, text: text) }
        hidden = middleStage(states[states.count - 1], time: time, text: text)
        for stage in upStages {
            hidden = stage(hidden, states: &states, time: time, text: text, isUneven: isUneven)
        }
        return output(outputNorm.silu(hidden)).contiguous().narrowed(to: input.weight)
    }

    private var activationDType: DType { Functional.activationDType(of: input.weight) }

    /// Fresh weights from the distributions of PyTorch and diffusers, with other numbers.
    public func initialize(generator: Generator) { initializeAsPyTorch(generator: generator) }

    /// Lays out the weights for inference in float32 on the CPU; does nothing elsewhere. The results differ in the last
    /// digits, and the weights take two to three times the memory. Loading and moving drop the copies; call it again
    /// after training.
    ///
    /// For Stable Diffusion 2 the copies take 4.4 GB beside the weights' 3.5.
    /// - Parameter sampleSize: side of the latents to be made; nil means the configuration's.
    public func prepareForInference(sampleSize: Int? = nil) {
        let side = sampleSize ?? configuration.sampleSize
        let last = configuration.blockChannels.count - 1
        for (level, stage) in downStages.enumerated() { stage.prepare(side: side >> level) }
        middleStage.prepare(side: side >> last)
        for (index, stage) in upStages.enumerated() {
            stage.prepare(side: side >> (last - index))
            for upsampler in stage.upsamplers { upsampler.convolution.prepare(side: side >> (last - index - 1)) }
        }
    }

    /// Whether attention scores are computed in float32 whatever the dtype; the configuration gives the initial value.
    public var upcastsAttention: Bool {
        get {
            downStages.first?.transformers.first?.blocks.first?.selfAttention.isUpcast ?? configuration.upcastsAttention
        }
        set {
            for (_, module) in namedModules() { (module as? DiffusionAttention)?.isUpcast = newValue }
        }
    }
}
