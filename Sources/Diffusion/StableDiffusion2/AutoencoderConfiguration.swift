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
    /// Side of the pictures for which the model was made.
    public var sampleSize = 512  // sample_size
    /// Latents are multiplied by it before the UNet and divided by it before they are decoded.
    public var scalingFactor = 0.18215  // scaling_factor
    /// Whether the middle blocks attend over all positions.
    public var hasAttention = true  // mid_block_add_attention
    /// Whether a 1x1 convolution follows the encoder and one comes before the decoder.
    public var hasQuantConvolutions = true  // use_quant_conv, use_post_quant_conv
    /// Whether half precision overflows in this model, so that it must run in a wider dtype.
    public var forcesUpcast = true  // force_upcast

    public init() {}

    /// How many pixels along one side a latent stands for: 8 in Stable Diffusion.
    public var downsampling: Int { 1 << (blockChannels.count - 1) }
}

extension AutoencoderConfiguration {
    /// Reads `config.json` of diffusers; settings that are not built here are refused by name.
    /// - Throws: `JSONFileError`, `FileError`.
    public init(file path: String) throws {
        let file = try JSONFile(path)
        try file.requireClass("AutoencoderKL")
        let size = 1...100_000
        imageChannels = try file.integer("in_channels", in: size) ?? 3
        guard try (file.integer("out_channels", in: size) ?? 3) == imageChannels else {
            throw file.invalid("out_channels", expected: "in_channels (\(imageChannels))")
        }
        latentChannels = try file.integer("latent_channels", in: size) ?? 4
        blockChannels = try file.integerList("block_out_channels", in: size) ?? [64]
        layersPerBlock = try file.integer("layers_per_block", in: 1...100) ?? 1
        normGroups = try file.integer("norm_num_groups", in: size) ?? 32
        sampleSize = try file.side("sample_size") ?? 32
        scalingFactor = try file.positive("scaling_factor") ?? 0.18215
        hasAttention = try file.bool("mid_block_add_attention") ?? true
        hasQuantConvolutions = try file.bool("use_quant_conv") ?? true
        guard try (file.bool("use_post_quant_conv") ?? true) == hasQuantConvolutions else {
            throw file.invalid("use_post_quant_conv", expected: "use_quant_conv (\(hasQuantConvolutions))")
        }
        forcesUpcast = try file.bool("force_upcast") ?? true
        for (key, block) in [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")] {
            let names = try file.strings(key) ?? [block]
            guard names == Array(repeating: block, count: blockChannels.count) else {
                throw JSONFileError.invalidValue(
                    file: path, key: key, expected: "\(blockChannels.count) times \"\(block)\"",
                    got: names.map { "\"\($0)\"" }.joined(separator: ", "))
            }
        }
        try file.requireOnly("act_fn", .string("silu"))
        for key in ["shift_factor", "latents_mean", "latents_std"] { try file.requireOnly(key, .null) }
        try file.refuseOthers(than: Self.read)
        for channels in blockChannels where channels % normGroups != 0 {
            throw JSONFileError.invalidValue(
                file: path, key: "block_out_channels", expected: "multiples of norm_num_groups (\(normGroups))",
                got: "\(channels)")
        }
    }

    private static let read: Set<String> = [
        "in_channels", "out_channels", "latent_channels", "block_out_channels", "layers_per_block", "norm_num_groups",
        "sample_size", "scaling_factor", "mid_block_add_attention", "use_quant_conv", "use_post_quant_conv",
        "force_upcast", "down_block_types", "up_block_types", "act_fn", "shift_factor", "latents_mean", "latents_std",
    ]

    /// The `config.json` of this architecture, for models that are written here.
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
