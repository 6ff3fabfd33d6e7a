import Foundation
import Torch

/// `x · weightᵀ + bias`: `[..., in]` gives `[..., out]`.
/// Parameters are uninitialised until a checkpoint or `initialize(generator:)` fills them.
/// Parameters start uninitialised: a checkpoint fills them, or `initialize(generator:)` does.
open class Linear: Module {
    @Parameter("weight") public final var weight: Tensor  // [out, in]
    @OptionalParameter("bias") public final var bias: Tensor?  // [out]

    public let inputSize: Int
    public let outputSize: Int

    public init(_ inputSize: Int, _ outputSize: Int, bias: Bool = true) {
        self.inputSize = inputSize
        self.outputSize = outputSize
        super.init()
        weight = .empty([outputSize, inputSize])
        self.bias = bias ? .empty([outputSize]) : nil
    }

    /// A layer over existing tensors, shared and not copied (for adapters, which wrap layers).
    public init(sharing other: Linear) {
        inputSize = other.inputSize
        outputSize = other.outputSize
        super.init()
        weight = other.weight
        bias = other.bias
    }

    /// PyTorch's default: uniform in ±1/√in for weight and bias.
    public final func initialize(generator: Generator) {
        let bound = 1 / Double(inputSize).squareRoot()
        weight.uniformInPlace(-bound, bound, generator: generator)
        bias?.uniformInPlace(-bound, bound, generator: generator)
    }

    open func callAsFunction(_ x: Tensor) -> Tensor {
        Functional.linear(x, weight: weight, bias: bias)
    }

    /// This layer and `others` on one input (query, key and value of attention), with the same numbers as one by one.
    ///
    /// Subclasses override it where sharing saves more than the cast of the input under autocast.
    open func callAsFunction(_ x: Tensor, with others: [Linear]) -> [Tensor] {
        let shared = Functional.autocastInput(x)
        return [self(shared)] + others.map { $0(shared) }
    }
}

/// Layer normalisation over the last dimension.
public final class LayerNorm: Module {
    @Parameter("weight") public var weight: Tensor  // [size]
    @Parameter("bias") public var bias: Tensor  // [size]

    public let eps: Double

    public init(_ size: Int, eps: Double = 1e-5) {
        self.eps = eps
        super.init()
        weight = .ones([size])
        bias = .zeros([size])
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        Functional.layerNorm(x, weight: weight, bias: bias, eps: eps)
    }

    /// `x + added` and its norm, for pre-norm blocks, which need both; without `added`, `x` and its norm.
    public func adding(_ added: Tensor?, to x: Tensor) -> (sum: Tensor, normed: Tensor) {
        Functional.addedLayerNorm(x, adding: added, weight: weight, bias: bias, eps: eps)
    }
}

/// Rows of a table: indices of any shape `[...]` give `[..., D]`.
public final class Embedding: Module {
    @Parameter("weight") public var weight: Tensor  // [V, D]

    public init(_ count: Int, _ dimension: Int) {
        super.init()
        weight = .empty([count, dimension])
    }

    public func callAsFunction(_ indices: Tensor) -> Tensor {
        Functional.embedding(indices, weight: weight)
    }
}

/// Two-dimensional convolution: `[B, in, H, W]` gives `[B, out, H', W']`.
public final class Conv2d: Module {
    @Parameter("weight") public var weight: Tensor  // [out, in, k, k]
    @OptionalParameter("bias") public var bias: Tensor?  // [out]

    public let stride: Int
    public let padding: Int

    public init(_ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0, bias: Bool = true) {
        self.stride = stride
        self.padding = padding
        super.init()
        weight = .empty([outputs, inputs, kernel, kernel])
        self.bias = bias ? .empty([outputs]) : nil
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        Functional.conv2d(x, weight: weight, bias: bias, stride: stride, padding: padding)
    }
}

/// Batch normalisation over `[B, C]`: batch statistics in training, running ones otherwise.
public final class BatchNorm: Module {
    @Parameter("weight") public var weight: Tensor  // [C]
    @Parameter("bias") public var bias: Tensor  // [C]
    @Buffer("running_mean") public var runningMean: Tensor  // [C]
    @Buffer("running_var") public var runningVariance: Tensor  // [C]

    public let momentum: Double
    public let eps: Double

    public init(_ size: Int, momentum: Double = 0.1, eps: Double = 1e-5) {
        self.momentum = momentum
        self.eps = eps
        super.init()
        weight = .ones([size])
        bias = .zeros([size])
        runningMean = .zeros([size])
        runningVariance = .ones([size])
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        Functional.batchNorm(
            x, weight: weight, bias: bias, runningMean: runningMean, runningVariance: runningVariance,
            training: isTraining,
            momentum: momentum, eps: eps)
    }
}

/// An activation by its name in a Hugging Face configuration (`hidden_act`).
public enum Activation: String, Sendable, Codable, CaseIterable {
    case gelu
    /// `x · sigmoid(1.702 x)`: OpenAI's CLIP weights.
    case quickGELU = "quick_gelu"
    case geluNew = "gelu_new"
    case geluTanh = "gelu_pytorch_tanh"
    case relu
    case silu

    public func callAsFunction(_ x: Tensor) -> Tensor {
        switch self {
        case .gelu: x.gelu()
        case .quickGELU: x.quickGELU()
        case .geluNew, .geluTanh: x.gelu(tanhApproximation: true)
        case .relu: x.relu()
        case .silu: x.silu()
        }
    }
}
