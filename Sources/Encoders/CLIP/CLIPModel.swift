import Foundation
import ModelFolders
import Torch
import TorchNN

// CLIP: Learning Transferable Visual Models From Natural Language Supervision (Radford et al. 2021).
// Reference: transformers `CLIPModel`; embeddings agree within 1e-4 in float32.

/// Both towers and their projections into the shared space, with Hugging Face's checkpoint keys.
public final class CLIPModel: Module, ImageEncoder, TextEncoder {
    @Parameter("logit_scale") public var logitScale: Tensor  // scalar, stored as a logarithm
    @Child("text_model") public var text: CLIPTextTower
    @Child("vision_model") public var vision: CLIPVisionTower
    @Child("visual_projection") public var visualProjection: Linear  // no bias
    @Child("text_projection") public var textProjection: Linear  // no bias

    public let configuration: CLIPConfiguration

    /// A model without weights; `load` or `initialize` fills them.
    public init(_ configuration: CLIPConfiguration) {
        self.configuration = configuration
        super.init()
        logitScale = .scalar(log(1 / 0.07))
        text = CLIPTextTower(configuration.text)
        vision = CLIPVisionTower(configuration.vision)
        visualProjection = Linear(configuration.vision.hiddenSize, configuration.projectionDimension, bias: false)
        textProjection = Linear(configuration.text.hiddenSize, configuration.projectionDimension, bias: false)
    }

    /// Loads a model folder: Hugging Face's (`config.json`, `model.safetensors` or its index), or open_clip's
    /// (`open_clip_config.json`, `open_clip_model.safetensors`). Weights in open_clip's or OpenAI's layout are converted.
    /// - Parameters:
    ///   - dtype: of the weights in memory; nil keeps the file's.
    ///   - memory: `.mapped` to read the file's pages in place (inference), `.owned` to train.
    /// - Throws: `TorchError` without libtorch, `ModelFolderError`, `JSONFileError`, `SafetensorsError`, `StateMismatch`.
    public convenience init(
        folder: String, dtype: DType? = nil, device: Device = .cpu, memory: WeightMemory = .mapped
    ) throws {
        // Building the modules needs libtorch.
        try TorchRuntime.load()
        self.init(try CLIPConfiguration(folder: folder))
        let weights = try CLIPCheckpoint.weights(CLIPCheckpoint.files(ModelFolder(folder)))
        try load(weights, dtype: dtype, device: device, memory: memory)
        setRequiresGrad(false)
    }

    public var embeddingDimension: Int { configuration.projectionDimension }
    public var textEmbeddingDimension: Int { configuration.projectionDimension }
    public var contextLength: Int { configuration.text.contextLength }
    public var textVocabularySize: Int { configuration.text.vocabularySize }
    public var imageSize: Int { configuration.vision.imageSize }
    public var imageLayerCount: Int { configuration.vision.layerCount }
    public var imageStateSize: Int { configuration.vision.hiddenSize }
    public var imageStateCount: Int { configuration.vision.positionCount }
    public var imageModules: [String] { ["vision_model", "visual_projection"] }
    public var imageTower: String { "vision_model" }
    public var adapterTargets: [String] { Self.attentionLayers }
    public func unfilled() -> CLIPModel { CLIPModel(configuration) }

    /// The linear layers of the attention, by name.
    static let attentionLayers = ["q_proj", "k_proj", "v_proj", "out_proj"]

    public func imageStates(_ pixels: Tensor, layer: Int) -> Tensor {
        vision.hiddenState(pixels, after: layerNumber(layer))
    }

    /// Image embeddings in the shared space: preprocessed pixels `[B, 3, S, S]` give `[B, E]`, not normalised.
    public func imageFeatures(_ pixels: Tensor) -> Tensor {
        visualProjection(vision(pixels))
    }

    /// Text embeddings in the shared space: int64 ids `[B, T]` give `[B, E]`, not normalised.
    public func textFeatures(_ ids: Tensor) -> Tensor {
        textProjection(text(ids))
    }

    /// Scaled cosine similarities: `[images, E]` and `[texts, E]` (of any length) give `[images, texts]`.
    public func logits(image: Tensor, text: Tensor) -> Tensor {
        image.normalized().matmul(text.normalized().transposed(0, 1)) * logitScale.exp()
    }

    @discardableResult
    public func prepareForInference() throws -> LinearKernel.Choice? {
        guard logitScale.device == .cpu else { return nil }
        let choice = try LinearKernel.choose(dtype: visualProjection.weight.dtype)
        vision.kernel = choice.kernel
        text.kernel = choice.kernel
        return choice
    }

    /// Fresh weights from the distributions of transformers' `_init_weights`, with other numbers.
    public func initialize(generator: Generator) {
        withoutGradients {
            func normal(_ tensor: Tensor, _ std: Double) { tensor.normalInPlace(std: std, generator: generator) }
            func encoder(_ encoder: CLIPEncoder, width: Int) {
                let depth = Double(2 * encoder.layers.count)
                let inner = pow(Double(width), -0.5) * pow(depth, -0.5)
                for layer in encoder.layers {
                    for projection in [layer.attention.query, layer.attention.key, layer.attention.value] {
                        normal(projection.weight, inner)
                        projection.bias?.fillInPlace(0)
                    }
                    normal(layer.attention.output.weight, pow(Double(width), -0.5))
                    layer.attention.output.bias?.fillInPlace(0)
                    normal(layer.mlp.up.weight, pow(Double(2 * width), -0.5))
                    layer.mlp.up.bias?.fillInPlace(0)
                    normal(layer.mlp.down.weight, inner)
                    layer.mlp.down.bias?.fillInPlace(0)
                }
            }
            let textWidth = configuration.text.hiddenSize
            let visionWidth = configuration.vision.hiddenSize
            normal(text.embeddings.tokens.weight, 0.02)
            normal(text.embeddings.positions.weight, 0.02)
            encoder(text.encoder, width: textWidth)
            normal(vision.embeddings.classEmbedding, pow(Double(visionWidth), -0.5))
            normal(vision.embeddings.patches.weight, 0.02)
            normal(vision.embeddings.positions.weight, 0.02)
            encoder(vision.encoder, width: visionWidth)
            normal(textProjection.weight, pow(Double(textWidth), -0.5))
            normal(visualProjection.weight, pow(Double(visionWidth), -0.5))
        }
        weightsDidChange()
    }
}
