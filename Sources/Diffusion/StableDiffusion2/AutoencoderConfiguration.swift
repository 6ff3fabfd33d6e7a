import StrictJSON

// The architecture of the autoencoder, read from `vae/config.json`.
// Reference: diffusers 0.42.1 `models/autoencoders/autoencoder_kl.py`.

/// Sizes and choices of `AutoencoderKL`.
public struct AutoencoderConfiguration: Sendable, Hashable {
    public var imageChannels = 3  // in_channels, out_channels
    public var latentChannels = 4  // latent_channels
    /// Channels at each resolution, the largest resolution first; each but the first halves the side.
    public var blockChannels = [128, 256, 512, 512]  // block_out_channels
    /// Residual blocks at each resolution of the encoder; the decoder has one more.
    public var layersPerBlock = 2  // layers_per_block
    public var normGroups = 32  // norm_num_groups
    /// Side of the pictures that the model was made for.
    public var sampleSize = 512  // sample_size
    /// Latents are multiplied by it before the UNet sees them, and divided by it before they are decoded.
    public var scalingFactor = 0.18215  // scaling_factor
    /// Whether the middle blocks attend over all positions.
    public var hasAttention = true  // mid_block_add_attention
    /// Whether a 1x1 convolution follows the encoder and one comes before the decoder.
    public var hasQuantConvolutions = true  // use_quant_conv, use_post_quant_conv
    /// Whether half precision overflows in this model, so that it must run wider.
    public var forcesUpcast = true  // force_upcast

    public init() {}

    /// Pixels along one side of what a latent stands for: 8 in Stable Diffusion.
    public var downsampling: Int { 1 << (blockChannels.count - 1) }
}

extension AutoencoderConfiguration {
    /// Reads `config.json` of diffusers; what is not built here is refused by name.
    /// - Throws: `DiffusionError`.
    public init(file path: String) throws {
        let file = try DiffusersFile(path)
        let name = try file.string("_class_name") ?? "AutoencoderKL"
        guard name == "AutoencoderKL" else {
            throw file.invalid("_class_name", expected: "\"AutoencoderKL\"", got: "\"\(name)\"")
        }
        let size = 1...100_000
        imageChannels = try file.integer("in_channels", in: size, default: 3)
        let outputs = try file.integer("out_channels", in: size, default: 3)
        guard outputs == imageChannels else {
            throw file.invalid("out_channels", expected: "in_channels (\(imageChannels))", got: "\(outputs)")
        }
        latentChannels = try file.integer("latent_channels", in: size, default: 4)
        blockChannels = try file.integerList("block_out_channels", in: size) ?? [64]
        layersPerBlock = try file.integer("layers_per_block", in: 1...100, default: 1)
        normGroups = try file.integer("norm_num_groups", in: size, default: 32)
        sampleSize = try file.side("sample_size", default: 32)
        scalingFactor = try file.double("scaling_factor", default: 0.18215)
        hasAttention = try file.bool("mid_block_add_attention", default: true)
        hasQuantConvolutions = try file.bool("use_quant_conv", default: true)
        let post = try file.bool("use_post_quant_conv", default: true)
        guard post == hasQuantConvolutions else {
            throw file.invalid(
                "use_post_quant_conv", expected: "use_quant_conv (\(hasQuantConvolutions))", got: "\(post)")
        }
        forcesUpcast = try file.bool("force_upcast", default: true)
        for (key, block) in [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")] {
            let names = try file.strings(key) ?? [block]
            guard names == Array(repeating: block, count: blockChannels.count) else {
                throw file.invalid(
                    key, expected: "\(blockChannels.count) times \"\(block)\"",
                    got: names.map { "\"\($0)\"" }.joined(separator: ", "))
            }
        }
        try file.require("act_fn", is: .string("silu"))
        for key in ["shift_factor", "latents_mean", "latents_std"] { try file.require(key, is: .null) }
        try file.finish()
        for channels in blockChannels where channels % normGroups != 0 {
            throw file.invalid(
                "block_out_channels", expected: "multiples of norm_num_groups (\(normGroups))", got: "\(channels)")
        }
        guard scalingFactor > 0 else {
            throw file.invalid("scaling_factor", expected: "a positive number", got: "\(scalingFactor)")
        }
    }

    /// The `config.json` of this architecture, for models written by us.
    public var diffusersJSON: String {
        func names(_ block: String) -> String {
            "[" + blockChannels.map { _ in "\"\(block)\"" }.joined(separator: ", ") + "]"
        }
        return """
            {
              "_class_name": "AutoencoderKL",
              "act_fn": "silu",
              "block_out_channels": [\(blockChannels.map(String.init).joined(separator: ", "))],
              "down_block_types": \(names("DownEncoderBlock2D")),
              "force_upcast": \(forcesUpcast),
              "in_channels": \(imageChannels),
              "latent_channels": \(latentChannels),
              "layers_per_block": \(layersPerBlock),
              "mid_block_add_attention": \(hasAttention),
              "norm_num_groups": \(normGroups),
              "out_channels": \(imageChannels),
              "sample_size": \(sampleSize),
              "scaling_factor": \(scalingFactor),
              "up_block_types": \(names("UpDecoderBlock2D")),
              "use_post_quant_conv": \(hasQuantConvolutions),
              "use_quant_conv": \(hasQuantConvolutions)
            }

            """
    }
}
