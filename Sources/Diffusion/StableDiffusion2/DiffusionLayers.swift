import Foundation
import Torch
import TorchNN

// Layers that the UNet and the autoencoder share. Reference: diffusers 0.42.1 `models/resnet.py`, `upsampling.py`,
// `downsampling.py`, `embeddings.py`.
//
// Shapes: B batch, C channels, H and W height and width, E width of the time embedding.

/// Group normalisation over `[B, C, ...]`.
public final class GroupNorm: Module {
    @Parameter("weight") public var weight: Tensor  // [C]
    @Parameter("bias") public var bias: Tensor  // [C]

    public let groups: Int
    public let eps: Double

    public init(groups: Int, channels: Int, eps: Double) {
        self.groups = groups
        self.eps = eps
        super.init()
        weight = .ones([channels])
        bias = .zeros([channels])
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        Functional.groupNorm(x, groups: groups, weight: weight, bias: bias, eps: eps)
    }

    /// SiLU of the norm of `x`, or of `x + added` with `added` `[B, C]` or `[1, C]`.
    func silu(_ x: Tensor, adding added: Tensor? = nil) -> Tensor {
        Functional.groupNormSiLU(x, adding: added, groups: groups, weight: weight, bias: bias, eps: eps)
    }
}

/// A 3x3 convolution that keeps the sides: `[B, in, H, W]` gives `[B, out, H, W]`.
public final class SameConvolution: Module {
    @Parameter("weight") public var weight: Tensor  // [out, in, 3, 3]
    @Parameter("bias") public var bias: Tensor  // [out]

    private var prepared: WinogradConvolution?

    init(_ inputs: Int, _ outputs: Int) {
        super.init()
        weight = .empty([outputs, inputs, 3, 3])
        bias = .empty([outputs])
    }

    public override func dropDerivedWeights() { prepared = nil }

    /// Lays out the weights for pictures of about `side`, where that makes the convolution faster.
    func prepare(side: Int) {
        // With few channels the transforms cost as much as the products save.
        guard side >= 8, min(weight.size(0), weight.size(1)) >= 64, WinogradConvolution.fits(weight: weight) else {
            return
        }
        // Filters for tiles of 4x4 take four times the memory of the plain ones: where pictures are small and channels
        // many, reading them would take longer than the products that they save.
        let bytes = 36 * weight.size(0) * weight.size(1) * 4
        prepared = WinogradConvolution(weight: weight, bias: bias, tile: side >= 32 || bytes < 16 << 20 ? 4 : 2)
    }

    /// - Parameter other: added to the result, of its shape.
    func callAsFunction(_ x: Tensor, adding other: Tensor? = nil) -> Tensor {
        // Training would change weights under the prepared copy, and no gradient passes through it.
        if let prepared, !weight.requiresGrad, !x.requiresGrad { return prepared(x, adding: other) }
        let result = Functional.conv2d(x, weight: weight, bias: bias, padding: 1)
        return other.map { $0.adding(result) } ?? result
    }
}

/// The UNet's embedding of a timestep: sines and cosines, through two linear layers. `[B]` gives `[B, E]`.
public final class TimeEmbedding: Module {
    @Child("linear_1") var first: Linear
    @Child("linear_2") var second: Linear

    private let frequencies: Tensor  // [half]
    private let isCosineFirst: Bool
    private let isOdd: Bool

    init(width: Int, outputSize: Int, isCosineFirst: Bool, frequencyShift: Double) {
        let half = width / 2
        // Float32 throughout, as in diffusers: at timestep 999 exponents in double precision would give other sines.
        let steps = Tensor.arange(0, half).to(.float32) * -log(10000.0)
        frequencies = (steps / (Double(half) - frequencyShift)).exp()
        self.isCosineFirst = isCosineFirst
        isOdd = width % 2 == 1
        super.init()
        first = Linear(width, outputSize)
        second = Linear(outputSize, outputSize)
    }

    /// - Parameter timesteps: `[B]`, whole or fractional.
    func callAsFunction(_ timesteps: Tensor) -> Tensor {
        let weight = first.weight
        let angles = timesteps.to(.float32).unsqueezed(1) * frequencies.to(timesteps.device)  // [B, half]
        var waves = Tensor.cat(
            isCosineFirst ? [angles.cos(), angles.sin()] : [angles.sin(), angles.cos()], dim: 1)  // [B, width]
        if isOdd { waves = waves.padded([0, 1]) }
        return second(first(waves.to(Functional.activationDType(of: weight))).silu())
    }
}

/// Two convolutions with norms around a shortcut: `[B, in, H, W]` gives `[B, out, H, W]`.
public final class ResidualBlock: Module {
    @Child("norm1") var norm1: GroupNorm
    @Child("conv1") var convolution1: SameConvolution
    @OptionalChild("time_emb_proj") var time: Linear?  // [out, E]
    @Child("norm2") var norm2: GroupNorm
    @Child("conv2") var convolution2: SameConvolution
    @OptionalChild("conv_shortcut") var shortcut: PixelLinear?  // where the channels change

    /// - Parameter timeWidth: E; nil in the autoencoder, which has no time.
    init(_ inputs: Int, _ outputs: Int, timeWidth: Int?, groups: Int, eps: Double) {
        super.init()
        norm1 = GroupNorm(groups: groups, channels: inputs, eps: eps)
        convolution1 = SameConvolution(inputs, outputs)
        time = timeWidth.map { Linear($0, outputs) }
        norm2 = GroupNorm(groups: groups, channels: outputs, eps: eps)
        convolution2 = SameConvolution(outputs, outputs)
        shortcut = inputs == outputs ? nil : PixelLinear(inputs, outputs)
    }

    /// - Parameter time: `[B, E]` after SiLU; all blocks share it.
    func callAsFunction(_ x: Tensor, time activated: Tensor? = nil) -> Tensor {
        let hidden = convolution1(norm1.silu(x))  // [B, out, H, W]
        let shift = activated.flatMap { time?($0) }  // [B, out]
        return convolution2(norm2.silu(hidden, adding: shift), adding: shortcut?(x) ?? x)
    }
}

/// A 1x1 convolution: the same linear layer at every pixel, `[B, in, H, W]` to `[B, out, H, W]`.
public final class PixelLinear: Module {
    @Parameter("weight") public var weight: Tensor  // [out, in, 1, 1]
    @Parameter("bias") public var bias: Tensor  // [out]

    init(_ inputs: Int, _ outputs: Int) {
        super.init()
        weight = .empty([outputs, inputs, 1, 1])
        bias = .empty([outputs])
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let matrix = weight.reshaped(weight.size(0), -1)
        return Functional.linear(x.permuted(0, 2, 3, 1), weight: matrix, bias: bias).permuted(0, 3, 1, 2)
    }
}

/// Halves the sides: `[B, C, H, W]` gives `[B, C, ⌈H / 2⌉, ⌈W / 2⌉]` in the UNet, `⌊H / 2⌋` in the autoencoder.
public final class Downsampler: Module {
    @Child("conv") var convolution: Conv2d

    private let isAsymmetric: Bool

    /// - Parameter isAsymmetric: pads only below and to the right, as in the autoencoder.
    init(_ channels: Int, isAsymmetric: Bool) {
        self.isAsymmetric = isAsymmetric
        super.init()
        convolution = Conv2d(channels, channels, kernel: 3, stride: 2, padding: isAsymmetric ? 0 : 1)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        convolution(isAsymmetric ? x.padded([0, 1, 0, 1]) : x)
    }
}

/// Doubles the sides, or enlarges them to the given ones: nearest neighbours, then a convolution.
public final class Upsampler: Module {
    @Child("conv") var convolution: SameConvolution

    init(_ channels: Int) {
        super.init()
        convolution = SameConvolution(channels, channels)
    }

    /// - Parameter size: height and width wanted; nil doubles.
    func callAsFunction(_ x: Tensor, size: (height: Int, width: Int)? = nil) -> Tensor {
        guard let size else { return convolution(Functional.upsampleNearest(x, factor: 2)) }
        return convolution(Functional.upsampleNearest(x, height: size.height, width: size.width))
    }
}

extension Tensor {
    /// Images `[B, C, H, W]` with the channels of a pixel side by side in memory: oneDNN's convolutions read that
    /// fastest, and as the tokens `[B, H W, C]` of a transformer it is a view.
    func channelsLast() -> Tensor { permuted(0, 2, 3, 1).contiguous().permuted(0, 3, 1, 2) }

    /// A model's result in the dtype of its weights, if its layers computed in a wider one
    /// (`Functional.activationDType`).
    func narrowed(to weight: Tensor) -> Tensor {
        Functional.activationDType(of: weight) == weight.dtype ? self : to(weight.dtype)
    }

    /// `self + other`, in the memory of `other` if no gradient needs it.
    func adding(_ other: Tensor) -> Tensor {
        guard !other.requiresGrad, !requiresGrad, dtype == other.dtype else { return self + other }
        other.addInPlace(self)
        return other
    }
}

extension Linear {
    /// The layer over the many positions of an image, plus `other` if given. A layer that an adapter wraps runs as
    /// itself.
    func rows(_ x: Tensor, adding other: Tensor? = nil) -> Tensor {
        guard type(of: self) == Linear.self || self is PositionwiseLinear else {
            return other.map { $0.adding(self(x)) } ?? self(x)
        }
        let matrix = weight.rank == 2 ? weight : weight.reshaped(outputSize, inputSize)
        let y = Functional.linear(x, weight: matrix, bias: bias)
        return other.map { $0 + y } ?? y
    }
}

extension Module {
    /// Fresh weights as PyTorch draws them for linear layers and convolutions (Kaiming uniform with a = √5, that is
    /// uniform in ±1/√fan-in for weights and biases); norms start as the identity. diffusers has no initialisation of
    /// its own.
    func initializeAsPyTorch(generator: Generator) {
        withoutGradients {
            for (_, module) in namedModules() {
                switch module {
                case let layer as Linear:
                    layer.initialize(generator: generator)
                case let layer as Conv2d:
                    let bound = 1 / Double(layer.weight.shape.dropFirst().reduce(1, *)).squareRoot()
                    layer.weight.uniformInPlace(-bound, bound, generator: generator)
                    layer.bias?.uniformInPlace(-bound, bound, generator: generator)
                case let layer as SameConvolution:
                    let bound = 1 / Double(layer.weight.shape.dropFirst().reduce(1, *)).squareRoot()
                    layer.weight.uniformInPlace(-bound, bound, generator: generator)
                    layer.bias.uniformInPlace(-bound, bound, generator: generator)
                case let layer as PixelLinear:
                    let bound = 1 / Double(layer.weight.size(1)).squareRoot()
                    layer.weight.uniformInPlace(-bound, bound, generator: generator)
                    layer.bias.uniformInPlace(-bound, bound, generator: generator)
                case let norm as GroupNorm:
                    norm.weight.fillInPlace(1)
                    norm.bias.fillInPlace(0)
                case let norm as LayerNorm:
                    norm.weight.fillInPlace(1)
                    norm.bias.fillInPlace(0)
                default: break
                }
            }
        }
        weightsDidChange()
    }
}
