import Torch
import TorchNN

// A vision transformer as timm builds it (`VisionTransformer`: class token, learned positions, pre-norm blocks, norm at the
// end), which SynCLR's image encoders are. Reference: timm `models/vision_transformer.py`.
//
// Shapes: B batch, S image side, P patch side, T = (S / P)² + 1 positions, D hidden size.

/// Sizes of a timm vision transformer.
public struct TimmViTConfiguration: Sendable, Hashable {
    public var hiddenSize: Int
    public var intermediateSize: Int
    public var layerCount: Int
    public var headCount: Int
    public var imageSize: Int
    public var patchSize: Int
    public var layerNormEps = 1e-6

    var gridSize: Int { imageSize / patchSize }
    /// Patches and the class token.
    var positionCount: Int { gridSize * gridSize + 1 }
}

/// The image tower alone: its embedding is the class token after the last norm.
public final class TimmViT: Module, ImageEncoder {
    @Parameter("cls_token") var classToken: Tensor  // [1, 1, D]
    @Parameter("pos_embed") var positions: Tensor  // [1, T, D]
    @Child("patch_embed") var patches: TimmPatches
    @Child("encoder") var encoder: CLIPEncoder
    @Child("norm") var norm: LayerNorm

    public let configuration: TimmViTConfiguration
    private var kernel = LinearKernel.plain

    /// A model whose weights are not set yet.
    init(_ configuration: TimmViTConfiguration) {
        self.configuration = configuration
        super.init()
        classToken = .empty([1, 1, configuration.hiddenSize])
        positions = .empty([1, configuration.positionCount, configuration.hiddenSize])
        patches = TimmPatches(configuration)
        encoder = CLIPEncoder(
            layerCount: configuration.layerCount, hiddenSize: configuration.hiddenSize,
            intermediateSize: configuration.intermediateSize, headCount: configuration.headCount, activation: .gelu,
            eps: configuration.layerNormEps)
        norm = LayerNorm(configuration.hiddenSize, eps: configuration.layerNormEps)
    }

    public var embeddingDimension: Int { configuration.hiddenSize }
    public var imageSize: Int { configuration.imageSize }
    public var imageLayerCount: Int { configuration.layerCount }
    public var imageStateSize: Int { configuration.hiddenSize }
    public var imageStateCount: Int { configuration.positionCount }
    public var imageModules: [String] { ["cls_token", "pos_embed", "patch_embed", "encoder", "norm"] }
    public var imageTower: String { "encoder" }
    public var adapterTargets: [String] { CLIPModel.attentionLayers }
    public func unfilled() -> TimmViT { TimmViT(configuration) }

    private func embedded(_ pixels: Tensor) -> Tensor {
        precondition(
            pixels.shape.count == 4 && pixels.size(2) == imageSize && pixels.size(3) == imageSize,
            "pixels of shape \(pixels.shape), expected [B, 3, \(imageSize), \(imageSize)]")
        let cells = patches.projection.overCells(of: pixels)  // [B, T - 1, D]
        let token = classToken.to(cells.dtype).expanded(cells.size(0), 1, cells.size(2))
        return .cat([token, cells], dim: 1) + positions
    }

    public func imageStates(_ pixels: Tensor, layer: Int) -> Tensor {
        encoder(embedded(pixels), causal: false, kernel: kernel, layers: layerNumber(layer))
    }

    public func imageFeatures(_ pixels: Tensor) -> Tensor {
        norm(encoder.firstPosition(embedded(pixels), kernel: kernel))
    }

    public func prepareForInference() throws -> LinearKernel.Choice? {
        guard device == .cpu else { return nil }
        let choice = try LinearKernel.choose(dtype: patches.projection.weight.dtype)
        kernel = choice.kernel
        return choice
    }
}

/// Square patches through a linear layer.
final class TimmPatches: Module {
    @Child("proj") var projection: Conv2d  // weight [D, 3, P, P], bias [D]

    init(_ configuration: TimmViTConfiguration) {
        super.init()
        projection = Conv2d(
            3, configuration.hiddenSize, kernel: configuration.patchSize, stride: configuration.patchSize)
    }
}
