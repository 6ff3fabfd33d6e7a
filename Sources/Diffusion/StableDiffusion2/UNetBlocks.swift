import Torch
import TorchNN

// The UNet's stages. Reference: diffusers 0.42.1 `models/unets/unet_2d_blocks.py`.

/// Residual blocks, each followed by a transformer where the stage attends to the text, then the change of resolution.
public class UNetStage: Module {
    @Children("attentions") public final var transformers: [SpatialTransformer]
    @Children("resnets") public final var residuals: [ResidualBlock]

    final func prepare(side: Int) {
        for residual in residuals {
            residual.convolution1.prepare(side: side)
            residual.convolution2.prepare(side: side)
        }
    }

    fileprivate final func step(_ index: Int, _ x: Tensor, time: Tensor, text: DiffusionTextContext) -> Tensor {
        let hidden = residuals[index](x, time: time)
        return transformers.isEmpty ? hidden : transformers[index](hidden, text: text)
    }
}

/// What the stages of one UNet have in common.
struct UNetStageSettings {
    let configuration: UNetConfiguration
    let timeWidth: Int

    func residual(_ inputs: Int, _ outputs: Int) -> ResidualBlock {
        ResidualBlock(
            inputs, outputs, timeWidth: timeWidth, groups: configuration.normGroups, eps: configuration.normEps)
    }

    /// - Parameter level: the resolution, 0 the largest.
    func transformer(level: Int) -> SpatialTransformer {
        SpatialTransformer(
            channels: configuration.blockChannels[level], contextWidth: configuration.crossAttentionDimension,
            headCount: configuration.headCounts[level], layerCount: configuration.transformerLayersPerBlock[level],
            groups: configuration.normGroups, isLinear: configuration.usesLinearProjection,
            isUpcast: configuration.upcastsAttention)
    }
}

/// A stage of the way down: `CrossAttnDownBlock2D` or `DownBlock2D`.
public final class UNetDownStage: UNetStage {
    @Children("downsamplers") var downsamplers: [Downsampler]  // one, or none in the last stage

    init(_ settings: UNetStageSettings, level: Int) {
        super.init()
        let configuration = settings.configuration
        let channels = configuration.blockChannels
        let layers = configuration.layersPerBlock[level]
        residuals = (0..<layers).map { layer in
            settings.residual(layer == 0 ? channels[max(0, level - 1)] : channels[level], channels[level])
        }
        if configuration.downBlocks[level] == .crossAttention {
            transformers = residuals.map { _ in settings.transformer(level: level) }
        }
        if level < channels.count - 1 { downsamplers = [Downsampler(channels[level], isAsymmetric: false)] }
    }

    /// - Returns: every state that the way up will need, in order; the last one goes on to the next stage.
    func callAsFunction(_ x: Tensor, time: Tensor, text: DiffusionTextContext) -> [Tensor] {
        var states: [Tensor] = []
        var hidden = x
        for index in residuals.indices {
            hidden = step(index, hidden, time: time, text: text)
            states.append(hidden)
        }
        for downsampler in downsamplers {
            hidden = downsampler(hidden)
            states.append(hidden)
        }
        return states
    }
}

/// The middle, at the smallest resolution: `UNetMidBlock2DCrossAttn`.
public final class UNetMiddleStage: UNetStage {
    init(_ settings: UNetStageSettings) {
        super.init()
        let level = settings.configuration.blockChannels.count - 1
        let channels = settings.configuration.blockChannels[level]
        residuals = [settings.residual(channels, channels), settings.residual(channels, channels)]
        transformers = [settings.transformer(level: level)]
    }

    func callAsFunction(_ x: Tensor, time: Tensor, text: DiffusionTextContext) -> Tensor {
        residuals[1](step(0, x, time: time, text: text), time: time)
    }
}

/// A stage of the way up: `CrossAttnUpBlock2D` or `UpBlock2D`.
public final class UNetUpStage: UNetStage {
    @Children("upsamplers") var upsamplers: [Upsampler]  // one, or none in the last stage

    /// - Parameter index: 0 is the smallest resolution.
    init(_ settings: UNetStageSettings, index: Int) {
        super.init()
        let configuration = settings.configuration
        let channels = configuration.blockChannels
        let level = channels.count - 1 - index
        let layers = configuration.layersPerBlock[level] + 1
        let before = channels[min(level + 1, channels.count - 1)]
        residuals = (0..<layers).map { layer in
            let skipped = layer == layers - 1 ? channels[max(0, level - 1)] : channels[level]
            return settings.residual((layer == 0 ? before : channels[level]) + skipped, channels[level])
        }
        if configuration.upBlocks[index] == .crossAttention {
            transformers = residuals.map { _ in settings.transformer(level: level) }
        }
        if level > 0 { upsamplers = [Upsampler(channels[level])] }
    }

    /// - Parameters:
    ///   - states: the states of the way down; the stage takes its own from the end.
    ///   - isUneven: whether sizes must be read from the states, because halving lost a row or column.
    func callAsFunction(_ x: Tensor, states: inout [Tensor], time: Tensor, text: DiffusionTextContext, isUneven: Bool)
        -> Tensor
    {
        var hidden = x
        for index in residuals.indices {
            hidden = step(index, .cat([hidden, states.removeLast()], dim: 1), time: time, text: text)
        }
        for upsampler in upsamplers {
            let next = isUneven ? states.last?.shape : nil
            hidden = upsampler(hidden, size: next.map { ($0[2], $0[3]) })
        }
        return hidden
    }
}
