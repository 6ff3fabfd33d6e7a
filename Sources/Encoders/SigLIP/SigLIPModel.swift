import Foundation
import Torch
import TorchNN

// SigLIP: Sigmoid Loss for Language Image Pre-Training (Zhai et al. 2023, arXiv 2303.15343), and SigLIP 2 of a fixed
// resolution. Reference: transformers `SiglipModel`; embeddings agree within 1e-4 in float32.

/// Both towers, with Hugging Face's checkpoint keys.
public final class SigLIPModel: Module, ImageEncoder, TextEncoder {
    @Parameter("logit_scale") public var logitScale: Tensor  // [1], stored as a logarithm
    @Parameter("logit_bias") public var logitBias: Tensor  // [1]
    @Child("text_model") public var text: SigLIPTextTower
    @Child("vision_model") public var vision: SigLIPVisionTower

    public let configuration: SigLIPConfiguration

    /// A model whose weights are not set yet.
    public init(_ configuration: SigLIPConfiguration) {
        self.configuration = configuration
        super.init()
        logitScale = .full([1], log(10))
        logitBias = .full([1], -10)
        text = SigLIPTextTower(configuration.text)
        vision = SigLIPVisionTower(configuration.vision)
    }

    public var embeddingDimension: Int { configuration.vision.hiddenSize }
    public var textEmbeddingDimension: Int { configuration.text.projectionDimension }
    public var contextLength: Int { configuration.text.contextLength }
    public var textVocabularySize: Int { configuration.text.vocabularySize }
    public var imageSize: Int { configuration.vision.imageSize }
    public var imageLayerCount: Int { configuration.vision.layerCount }
    public var imageStateSize: Int { configuration.vision.hiddenSize }
    public var imageStateCount: Int { configuration.vision.positionCount }
    public var imageModules: [String] { ["vision_model"] }
    /// The blocks alone: the pooling head's `out_proj` has the name of the attention's, and PEFT's update of it would never
    /// be computed by PyTorch's `MultiheadAttention`.
    public var imageTower: String { "vision_model.encoder" }
    public var adapterTargets: [String] { CLIPModel.attentionLayers }
    public var learnedScale: (scale: Double, bias: Double)? {
        (logitScale.to(.float32).exp().item(), logitBias.to(.float32).item())
    }
    public func unfilled() -> SigLIPModel { SigLIPModel(configuration) }

    public func imageStates(_ pixels: Tensor, layer: Int) -> Tensor {
        vision.hiddenState(pixels, after: layerNumber(layer))
    }

    public func imageFeatures(_ pixels: Tensor) -> Tensor { vision(pixels) }

    public func textFeatures(_ ids: Tensor) -> Tensor { text(ids) }

    /// What the sigmoid loss is computed of: `[images, E]` and `[texts, E]` (any length) give `[images, texts]`.
    public func logits(image: Tensor, text: Tensor) -> Tensor {
        image.normalized().matmul(text.normalized().transposed(0, 1)) * logitScale.exp() + logitBias
    }

    @discardableResult
    public func prepareForInference() throws -> LinearKernel.Choice? {
        guard device == .cpu else { return nil }
        let choice = try LinearKernel.choose(dtype: vision.embeddings.patches.weight.dtype)
        vision.kernel = choice.kernel
        text.kernel = choice.kernel
        return choice
    }
}
