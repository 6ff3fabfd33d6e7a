import Torch
import TorchNN

// Shapes: B batch, C channels, S image side, P patch side, T = (S / P)² + 1 positions, D hidden size.

/// Patches of an image and a class token, with their position embeddings: `[B, C, S, S]` gives `[B, T, D]`.
public final class CLIPVisionEmbeddings: Module {
    @Parameter("class_embedding") var classEmbedding: Tensor  // [D]
    @Child("patch_embedding") var patches: Conv2d  // weight [D, C, P, P], no bias
    @Child("position_embedding") var positions: Embedding  // weight [T, D]
    @Buffer("position_ids", derived: true) var positionIDs: Tensor  // [1, T]

    init(_ configuration: CLIPConfiguration.Vision) {
        super.init()
        classEmbedding = .empty([configuration.hiddenSize])
        patches = Conv2d(
            configuration.channelCount, configuration.hiddenSize, kernel: configuration.patchSize,
            stride: configuration.patchSize, bias: false)
        positions = Embedding(configuration.positionCount, configuration.hiddenSize)
        positionIDs = .arange(0, configuration.positionCount).unsqueezed(0)
    }

    func callAsFunction(_ pixels: Tensor) -> Tensor {
        let embedded = patches.overCells(of: pixels)  // [B, T - 1, D]
        let (batch, width) = (embedded.size(0), embedded.size(2))
        let classToken = classEmbedding.reshaped(1, 1, width).expanded(batch, 1, width).to(embedded.dtype)  // [B, 1, D]
        return .cat([classToken, embedded], dim: 1) + positions.weight  // [B, T, D]
    }
}

/// CLIP's image tower: pixels to the pooled class token.
public final class CLIPVisionTower: Module {
    @Child("embeddings") public var embeddings: CLIPVisionEmbeddings
    @Child("pre_layrnorm") var preNorm: LayerNorm  // the key is spelt so in every checkpoint
    @Child("encoder") public var encoder: CLIPEncoder
    @Child("post_layernorm") var postNorm: LayerNorm

    public let configuration: CLIPConfiguration.Vision
    /// How linear layers run at inference; set by `CLIPModel.prepareForInference`.
    public var kernel = LinearKernel.plain

    public init(_ configuration: CLIPConfiguration.Vision) {
        self.configuration = configuration
        super.init()
        embeddings = CLIPVisionEmbeddings(configuration)
        preNorm = LayerNorm(configuration.hiddenSize, eps: configuration.layerNormEps)
        encoder = CLIPEncoder(
            layerCount: configuration.layerCount, hiddenSize: configuration.hiddenSize,
            intermediateSize: configuration.intermediateSize, headCount: configuration.headCount,
            activation: configuration.activation, eps: configuration.layerNormEps)
        postNorm = LayerNorm(configuration.hiddenSize, eps: configuration.layerNormEps)
    }

    /// - Parameters:
    ///   - pixels: `[B, 3, S, S]`, preprocessed.
    ///   - layers: how many of the layers run, all by default; with 0 the result is the input of the first layer.
    /// - Returns: the hidden state `[B, T, D]`, before the final norm.
    public func hiddenState(
        _ pixels: Tensor, after layers: Int? = nil, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        encoder(embedded(pixels, file, line), causal: false, kernel: kernel, layers: layers)
    }

    /// The class token of the last layer, normalised: `[B, 3, S, S]` gives `[B, D]`.
    public func callAsFunction(_ pixels: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        postNorm(encoder.firstPosition(embedded(pixels, file, line), kernel: kernel))
    }

    private func embedded(_ pixels: Tensor, _ file: StaticString, _ line: UInt) -> Tensor {
        let shape = pixels.shape
        precondition(
            shape.count >= 4
                && (shape.count != 4 || (shape[2] == configuration.imageSize && shape[3] == configuration.imageSize)),
            "pixels of shape \(shape), expected [B, 3, \(configuration.imageSize), \(configuration.imageSize)]",
            file: file, line: line)
        return preNorm(embeddings(pixels))  // [B, T, D]
    }
}

extension Conv2d {
    /// A convolution whose stride is its kernel, as a linear layer over patches, which is faster: `[B, C, S, S]` gives
    /// `[B, T, D]`, patches row by row. Pixels beyond the last whole patch are not read.
    func overCells(of pixels: Tensor) -> Tensor {
        let (patch, width) = (stride, weight.size(0))
        let (rows, columns) = (pixels.size(2) / patch, pixels.size(3) / patch)
        let cells = pixels.to(weight.dtype).slice(2, 0..<rows * patch).slice(3, 0..<columns * patch)
            .reshaped(pixels.size(0), -1, rows, patch, columns, patch)  // [B, C, rows, P, columns, P]
            .permuted(0, 2, 4, 1, 3, 5).reshaped(pixels.size(0), rows * columns, -1)  // [B, T, C P P]
        return Functional.linear(cells, weight: weight.reshaped(width, -1), bias: bias)
    }
}
