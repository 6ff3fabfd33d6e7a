import Torch
import TorchNN

// The autoencoder between pictures and latents. Reference: diffusers 0.42.1 `models/autoencoders/autoencoder_kl.py`, `vae.py`.
//
// Shapes: B batch, H and W sides of a picture, h = H / 8 and w = W / 8 of its latent (8 being the downsampling), Z latent
// channels.

/// Self-attention with one head over all positions of an image, around a shortcut.
public final class AutoencoderAttention: Module {
    @Child("group_norm") var norm: GroupNorm
    @Child("to_q") var query: Linear
    @Child("to_k") var key: Linear
    @Child("to_v") var value: Linear
    @Child("to_out.0") var output: Linear

    init(channels: Int, groups: Int) {
        super.init()
        norm = GroupNorm(groups: groups, channels: channels, eps: 1e-6)
        query = Linear(channels, channels)
        key = Linear(channels, channels)
        value = Linear(channels, channels)
        output = Linear(channels, channels)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let shape = x.shape  // [B, C, H, W]
        let tokens = norm(x).permuted(0, 2, 3, 1).reshaped(shape[0], 1, shape[2] * shape[3], shape[1])  // [B, 1, P, C]
        let projected = query(tokens, with: [key, value])
        let mixed = output(Functional.attention(projected[0], projected[1], projected[2]))  // [B, 1, P, C]
        return x.adding(mixed.reshaped(shape[0], shape[2], shape[3], shape[1]).permuted(0, 3, 1, 2))
    }
}

/// Two residual blocks with attention between them, at the smallest resolution.
public final class AutoencoderMiddle: Module {
    @Children("attentions") var attentions: [AutoencoderAttention]  // one, or none
    @Children("resnets") var residuals: [ResidualBlock]

    init(_ configuration: AutoencoderConfiguration) {
        super.init()
        let channels = configuration.blockChannels[configuration.blockChannels.count - 1]
        let groups = configuration.normGroups
        if configuration.hasAttention { attentions = [AutoencoderAttention(channels: channels, groups: groups)] }
        residuals = (0..<2).map { _ in
            ResidualBlock(channels, channels, timeWidth: nil, groups: groups, eps: 1e-6)
        }
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        residuals[1](attentions.reduce(residuals[0](x)) { $1($0) })
    }
}

/// Residual blocks of one resolution, and the change to the next: `DownEncoderBlock2D` or `UpDecoderBlock2D`.
public final class AutoencoderStage: Module {
    @Children("resnets") var residuals: [ResidualBlock]
    @Children("downsamplers") var downsamplers: [Downsampler]
    @Children("upsamplers") var upsamplers: [Upsampler]

    enum Change { case none, halves, doubles }

    init(_ inputs: Int, _ outputs: Int, layers: Int, groups: Int, change: Change) {
        super.init()
        residuals = (0..<layers).map {
            ResidualBlock($0 == 0 ? inputs : outputs, outputs, timeWidth: nil, groups: groups, eps: 1e-6)
        }
        switch change {
        case .none: break
        case .halves: downsamplers = [Downsampler(outputs, isAsymmetric: true)]
        case .doubles: upsamplers = [Upsampler(outputs)]
        }
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        var hidden = residuals.reduce(x) { $1($0) }
        for downsampler in downsamplers { hidden = downsampler(hidden) }
        for upsampler in upsamplers { hidden = upsampler(hidden) }
        return hidden
    }
}

/// Pictures `[B, 3, H, W]` to the moments `[B, 2 Z, h, w]`.
public final class AutoencoderEncoder: Module {
    @Child("conv_in") var input: Conv2d
    @Children("down_blocks") var stages: [AutoencoderStage]
    @Child("mid_block") var middle: AutoencoderMiddle
    @Child("conv_norm_out") var outputNorm: GroupNorm
    @Child("conv_out") var output: Conv2d

    init(_ configuration: AutoencoderConfiguration) {
        super.init()
        let channels = configuration.blockChannels
        let last = channels.count - 1
        input = Conv2d(configuration.imageChannels, channels[0], kernel: 3, padding: 1)
        stages = channels.indices.map {
            AutoencoderStage(
                channels[max(0, $0 - 1)], channels[$0], layers: configuration.layersPerBlock,
                groups: configuration.normGroups, change: $0 == last ? .none : .halves)
        }
        middle = AutoencoderMiddle(configuration)
        outputNorm = GroupNorm(groups: configuration.normGroups, channels: channels[last], eps: 1e-6)
        output = Conv2d(channels[last], 2 * configuration.latentChannels, kernel: 3, padding: 1)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        output(outputNorm.silu(middle(stages.reduce(input(x)) { $1($0) })))
    }
}

/// Latents `[B, Z, h, w]` to pictures `[B, 3, H, W]`.
public final class AutoencoderDecoder: Module {
    @Child("conv_in") var input: Conv2d
    @Children("up_blocks") var stages: [AutoencoderStage]
    @Child("mid_block") var middle: AutoencoderMiddle
    @Child("conv_norm_out") var outputNorm: GroupNorm
    @Child("conv_out") var output: Conv2d

    init(_ configuration: AutoencoderConfiguration) {
        super.init()
        let channels = Array(configuration.blockChannels.reversed())
        let last = channels.count - 1
        input = Conv2d(configuration.latentChannels, channels[0], kernel: 3, padding: 1)
        stages = channels.indices.map {
            AutoencoderStage(
                channels[max(0, $0 - 1)], channels[$0], layers: configuration.layersPerBlock + 1,
                groups: configuration.normGroups, change: $0 == last ? .none : .doubles)
        }
        middle = AutoencoderMiddle(configuration)
        outputNorm = GroupNorm(groups: configuration.normGroups, channels: channels[last], eps: 1e-6)
        output = Conv2d(channels[last], configuration.imageChannels, kernel: 3, padding: 1)
    }

    func callAsFunction(_ z: Tensor) -> Tensor {
        output(outputNorm.silu(stages.reduce(middle(input(z))) { $1($0) }))
    }
}

/// The variational autoencoder of Stable Diffusion (Rombach et al. 2022), with diffusers' checkpoint keys.
public final class AutoencoderKL: Module {
    @Child("encoder") public var encoder: AutoencoderEncoder
    @Child("decoder") public var decoder: AutoencoderDecoder
    @OptionalChild("quant_conv") var quant: Conv2d?
    @OptionalChild("post_quant_conv") var postQuant: Conv2d?

    public let configuration: AutoencoderConfiguration

    /// A model without weights; `load` or `initialize` fills them.
    public init(_ configuration: AutoencoderConfiguration) {
        self.configuration = configuration
        super.init()
        encoder = AutoencoderEncoder(configuration)
        decoder = AutoencoderDecoder(configuration)
        if configuration.hasQuantConvolutions {
            let channels = configuration.latentChannels
            quant = Conv2d(2 * channels, 2 * channels, kernel: 1)
            postQuant = Conv2d(channels, channels, kernel: 1)
        }
    }

    /// The distribution of a picture's latents, before scaling.
    /// - Parameter pictures: `[B, 3, H, W]`, pixels in -1...1.
    /// - Returns: mean and logarithm of the variance, each `[B, Z, h, w]`; the logarithm is clamped to -30...20.
    public func encode(_ pictures: Tensor) -> (mean: Tensor, logVariance: Tensor) {
        let hidden = encoder(pictures.to(Functional.activationDType(of: encoder.input.weight)).channelsLast())
        let moments = (quant?(hidden) ?? hidden).contiguous().narrowed(to: encoder.input.weight)  // [B, 2 Z, h, w]
        let channels = configuration.latentChannels
        return (moments.slice(1, 0..<channels), moments.slice(1, channels..<2 * channels).clamped(-30, 20))
    }

    /// A draw from the distribution that `encode` returns: `mean + exp(logVariance / 2) · noise`.
    /// - Parameter generator: draws on its own device; the noise then moves to the device of the latents.
    public func sample(mean: Tensor, logVariance: Tensor, generator: Generator) -> Tensor {
        let noise = Tensor.randn(mean.shape, generator: generator).to(mean.device).to(mean.dtype)
        return mean + (logVariance * 0.5).exp() * noise
    }

    /// Pictures from latents as `encode` returns them (not scaled): `[B, Z, h, w]` gives `[B, 3, H, W]`, about -1...1.
    public func decode(_ latents: Tensor) -> Tensor {
        let hidden = latents.to(Functional.activationDType(of: decoder.input.weight)).channelsLast()
        return decoder(postQuant?(hidden) ?? hidden).contiguous().narrowed(to: decoder.input.weight)
    }

    /// Lays out the weights for inference in float32 on the CPU, as `UNet2DConditionModel.prepareForInference` does.
    /// - Parameters:
    ///   - pictureSize: side of the pictures; nil means the configuration's.
    ///   - encodes: whether to lay out the encoder's weights too.
    public func prepareForInference(pictureSize: Int? = nil, encodes: Bool = true) {
        let full = pictureSize ?? configuration.sampleSize
        let last = configuration.blockChannels.count - 1
        func prepare(_ residuals: [ResidualBlock], _ side: Int) {
            for residual in residuals {
                residual.convolution1.prepare(side: side)
                residual.convolution2.prepare(side: side)
            }
        }
        for (index, stage) in decoder.stages.enumerated() {
            let side = full >> (last - index)
            prepare(stage.residuals, side)
            for upsampler in stage.upsamplers { upsampler.convolution.prepare(side: 2 * side) }
        }
        prepare(decoder.middle.residuals, full >> last)
        guard encodes else { return }
        for (level, stage) in encoder.stages.enumerated() { prepare(stage.residuals, full >> level) }
        prepare(encoder.middle.residuals, full >> last)
    }

    /// Fresh weights from the distributions of PyTorch and diffusers, with other numbers.
    public func initialize(generator: Generator) { initializeAsPyTorch(generator: generator) }
}
