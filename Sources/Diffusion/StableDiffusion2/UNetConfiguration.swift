import Foundation
import StrictJSON

// The architecture of a conditional UNet, read only from `unet/config.json`.
// Reference: diffusers 0.42.1 `models/unets/unet_2d_condition.py`.

/// Sizes and choices of `UNet2DConditionModel`.
public struct UNetConfiguration: Sendable, Hashable {
    /// The kind of blocks at one resolution.
    public enum Block: Sendable, Hashable {
        /// Residual blocks, each followed by a transformer: `CrossAttnDownBlock2D`, `CrossAttnUpBlock2D`.
        case crossAttention
        /// Only residual blocks: `DownBlock2D`, `UpBlock2D`.
        case plain
    }

    /// Side of the latents for which the model was made.
    public var sampleSize = 64  // sample_size
    public var inputChannels = 4  // in_channels
    public var outputChannels = 4  // out_channels
    /// Whether the input is taken as `2 x - 1`.
    public var centersInput = false  // center_input_sample
    /// Whether cosines come before sines in the time embedding.
    public var flipsSineToCosine = true  // flip_sin_to_cos
    public var frequencyShift = 0.0  // freq_shift
    public var downBlocks: [Block] = [.crossAttention, .crossAttention, .crossAttention, .plain]  // down_block_types
    public var upBlocks: [Block] = [.plain, .crossAttention, .crossAttention, .crossAttention]  // up_block_types
    /// Channels at each resolution, the largest resolution first.
    public var blockChannels = [320, 640, 1280, 1280]  // block_out_channels
    /// Residual blocks of each down block; the up blocks have one more.
    public var layersPerBlock = [2, 2, 2, 2]  // layers_per_block
    /// Transformer blocks after each residual block.
    public var transformerLayersPerBlock = [1, 1, 1, 1]  // transformer_layers_per_block
    /// Attention heads at each resolution. The file calls them `attention_head_dim`: diffusers reads that number as the
    /// count of heads, a mistake in its first files that it keeps for their sake.
    public var headCounts = [5, 10, 20, 20]  // attention_head_dim
    public var normGroups = 32  // norm_num_groups
    public var normEps = 1e-5  // norm_eps
    /// Width of the text states.
    public var crossAttentionDimension = 1024  // cross_attention_dim
    /// Whether the transformers' first and last layers are linear (SD 2) or 1x1 convolutions (SD 1).
    public var usesLinearProjection = true  // use_linear_projection
    /// Whether attention scores are computed in float32 when the model is in half precision.
    public var upcastsAttention = false  // upcast_attention

    public init() {}

    /// The UNet of Stable Diffusion 2 and 2.1: 865.9 million parameters.
    public static let stableDiffusion2 = UNetConfiguration()
}

extension UNetConfiguration {
    /// Reads `config.json` of diffusers. Absent settings have diffusers' defaults; a setting that asks for an
    /// architecture that is not built here is refused by name.
    /// - Throws: `JSONFileError`, `FileError`.
    public init(file path: String) throws {
        let file = try JSONFile(path)
        try file.requireClass("UNet2DConditionModel")
        let size = 1...100_000
        sampleSize = try file.side("sample_size") ?? 64
        inputChannels = try file.integer("in_channels", in: size) ?? 4
        outputChannels = try file.integer("out_channels", in: size) ?? 4
        centersInput = try file.bool("center_input_sample") ?? false
        flipsSineToCosine = try file.bool("flip_sin_to_cos") ?? true
        frequencyShift = try file.double("freq_shift") ?? 0
        blockChannels = try file.integerList("block_out_channels", in: size) ?? [320, 640, 1280, 1280]
        let count = blockChannels.count
        downBlocks =
            try Self.blocks(
                file, "down_block_types", ["CrossAttnDownBlock2D": .crossAttention, "DownBlock2D": .plain],
                count: count) ?? [.crossAttention, .crossAttention, .crossAttention, .plain]
        upBlocks =
            try Self.blocks(
                file, "up_block_types", ["CrossAttnUpBlock2D": .crossAttention, "UpBlock2D": .plain],
                count: count) ?? [.plain, .crossAttention, .crossAttention, .crossAttention]
        func perBlock(_ key: String, in range: ClosedRange<Int>, default fallback: Int) throws -> [Int] {
            try file.integers(key, in: range, count: count) ?? Array(repeating: fallback, count: count)
        }
        layersPerBlock = try perBlock("layers_per_block", in: 1...100, default: 2)
        transformerLayersPerBlock = try perBlock("transformer_layers_per_block", in: 1...100, default: 1)
        headCounts = try perBlock("attention_head_dim", in: size, default: 8)
        normGroups = try file.integer("norm_num_groups", in: size) ?? 32
        normEps = try file.positive("norm_eps") ?? 1e-5
        crossAttentionDimension = try file.integer("cross_attention_dim", in: size) ?? 1280
        usesLinearProjection = try file.bool("use_linear_projection") ?? false
        upcastsAttention = try file.bool("upcast_attention") ?? false

        for (key, only) in Self.fixed { try file.requireOnly(key, only) }
        try file.refuseOthers(than: Self.read.union(Self.fixed.map(\.0)).union(Self.harmless))
        try validate(file)
    }

    private static let read: Set<String> = [
        "sample_size", "in_channels", "out_channels", "center_input_sample", "flip_sin_to_cos", "freq_shift",
        "block_out_channels", "down_block_types", "up_block_types", "layers_per_block", "transformer_layers_per_block",
        "attention_head_dim", "norm_num_groups", "norm_eps", "cross_attention_dim", "use_linear_projection",
        "upcast_attention",
    ]

    /// diffusers reads these only beside an `addition_embed_type`, which is refused.
    private static let harmless: Set<String> = ["addition_embed_type_num_heads"]

    /// Settings for which diffusers builds more variants than this implementation, with the value of Stable Diffusion.
    private static let fixed: [(String, JSONValue)] = [
        ("act_fn", .string("silu")), ("addition_embed_type", .null), ("addition_time_embed_dim", .null),
        ("attention_type", .string("default")), ("class_embed_type", .null), ("class_embeddings_concat", .bool(false)),
        ("conv_in_kernel", .number("3")), ("conv_out_kernel", .number("3")), ("cross_attention_norm", .null),
        ("downsample_padding", .number("1")), ("dropout", .number("0")), ("dual_cross_attention", .bool(false)),
        ("encoder_hid_dim", .null), ("encoder_hid_dim_type", .null), ("mid_block_only_cross_attention", .bool(false)),
        ("mid_block_scale_factor", .number("1")), ("mid_block_type", .string("UNetMidBlock2DCrossAttn")),
        ("num_attention_heads", .null), ("num_class_embeds", .null), ("only_cross_attention", .bool(false)),
        ("projection_class_embeddings_input_dim", .null), ("resnet_out_scale_factor", .number("1")),
        ("resnet_skip_time_act", .bool(false)), ("resnet_time_scale_shift", .string("default")),
        ("reverse_transformer_layers_per_block", .null), ("time_cond_proj_dim", .null),
        ("time_embedding_act_fn", .null), ("time_embedding_dim", .null), ("time_embedding_type", .string("positional")),
        ("timestep_post_act", .null),
    ]

    private static func blocks(_ file: JSONFile, _ key: String, _ known: [String: Block], count: Int) throws
        -> [Block]?
    {
        guard let names = try file.strings(key) else {
            guard count == 4 else {
                throw file.invalid(key, expected: "\(count) names, as many as block_out_channels")
            }
            return nil
        }
        guard names.count == count else {
            throw JSONFileError.invalidValue(
                file: file.path, key: key, expected: "\(count) names, as many as block_out_channels",
                got: "\(names.count)")
        }
        return try names.map { name in
            guard let block = known[name] else {
                let words = known.keys.sorted().map { "\"\($0)\"" }.joined(separator: " or ")
                throw JSONFileError.invalidValue(file: file.path, key: key, expected: words, got: "\"\(name)\"")
            }
            return block
        }
    }

    private func validate(_ file: JSONFile) throws {
        for (channels, heads) in zip(blockChannels, headCounts) {
            guard channels % normGroups == 0 else {
                throw JSONFileError.invalidValue(
                    file: file.path, key: "block_out_channels",
                    expected: "multiples of norm_num_groups (\(normGroups))", got: "\(channels)")
            }
            guard channels % heads == 0 else {
                throw JSONFileError.invalidValue(
                    file: file.path, key: "attention_head_dim",
                    expected: "a divisor of the block's \(channels) channels", got: "\(heads)")
            }
        }
        guard frequencyShift < Double(max(1, blockChannels[0] / 2)) else {
            throw file.invalid("freq_shift", expected: "less than half of the first block's channels")
        }
    }

    /// The `config.json` of this architecture, for models that are written here.
    public var diffusersJSON: String {
        func list(_ values: [Int]) -> String { "[" + values.map(String.init).joined(separator: ", ") + "]" }
        func names(_ blocks: [Block], _ direction: String) -> String {
            let names = blocks.map { $0 == .plain ? "\"\(direction)Block2D\"" : "\"CrossAttn\(direction)Block2D\"" }
            return "[" + names.joined(separator: ", ") + "]"
        }
        // One number where it serves all blocks, because older diffusers accept no list for these two.
        func shortest(_ values: [Int]) -> String {
            Set(values).count == 1 ? String(values[0]) : list(values)
        }
        return """
            {
              "_class_name": "UNet2DConditionModel",
              "act_fn": "silu",
              "attention_head_dim": \(list(headCounts)),
              "block_out_channels": \(list(blockChannels)),
              "center_input_sample": \(centersInput),
              "cross_attention_dim": \(crossAttentionDimension),
              "down_block_types": \(names(downBlocks, "Down")),
              "downsample_padding": 1,
              "flip_sin_to_cos": \(flipsSineToCosine),
              "freq_shift": \(frequencyShift == frequencyShift.rounded() ? String(Int(frequencyShift)) : String(frequencyShift)),
              "in_channels": \(inputChannels),
              "layers_per_block": \(shortest(layersPerBlock)),
              "mid_block_scale_factor": 1,
              "mid_block_type": "UNetMidBlock2DCrossAttn",
              "norm_eps": \(normEps),
              "norm_num_groups": \(normGroups),
              "out_channels": \(outputChannels),
              "sample_size": \(sampleSize),
              "transformer_layers_per_block": \(shortest(transformerLayersPerBlock)),
              "up_block_types": \(names(upBlocks, "Up")),
              "upcast_attention": \(upcastsAttention),
              "use_linear_projection": \(usesLinearProjection)
            }

            """
    }
}
