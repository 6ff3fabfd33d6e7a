import ModelFolders
import StrictJSON
import Torch
import TorchNN

// CLIP's image tower as a separate model. Reference: transformers `CLIPVisionModel`, `CLIPVisionModelWithProjection`.

/// Sizes of an image tower that stands alone.
public struct CLIPVisionConfiguration: Sendable, Hashable {
    public var vision: CLIPConfiguration.Vision
    /// The projection's dimension; nil where the embedding is the tower's pooled state.
    public var projectionDimension: Int?

    public init(_ vision: CLIPConfiguration.Vision, projectionDimension: Int?) {
        self.vision = vision
        self.projectionDimension = projectionDimension
    }

    /// - Parameter hasProjection: as the weights tell; the configuration names a dimension in either case.
    init(folder: ModelFolder, hasProjection: Bool) throws {
        guard let file = try folder.json("config.json") else {
            throw ModelFolderError.missing(path: folder.path, expected: "config.json")
        }
        vision = try CLIPConfiguration.Vision(huggingFace: file)
        projectionDimension = hasProjection ? try file.integer("projection_dim") ?? 512 : nil
        var whole = CLIPConfiguration()
        whole.vision = vision
        whole.projectionDimension = projectionDimension ?? whole.projectionDimension
        try whole.validate(file: file.path)
    }

    /// The Hugging Face `config.json`, for models that are written here.
    var huggingFaceJSON: String {
        """
        {
          "architectures": ["\(projectionDimension == nil ? "CLIPVisionModel" : "CLIPVisionModelWithProjection")"],
          "model_type": "clip_vision_model",
          "hidden_size": \(vision.hiddenSize),
          "intermediate_size": \(vision.intermediateSize),
          "num_hidden_layers": \(vision.layerCount),
          "num_attention_heads": \(vision.headCount),
          "num_channels": \(vision.channelCount),
          "image_size": \(vision.imageSize),
          "patch_size": \(vision.patchSize),
          "projection_dim": \(projectionDimension ?? 512),
          "hidden_act": "\(vision.activation.rawValue)",
          "layer_norm_eps": \(vision.layerNormEps),
          "attention_dropout": \(vision.attentionDropout)
        }

        """
    }
}

/// An image tower, with its projection if it has one.
public final class CLIPVisionModel: Module, ImageEncoder {
    @Child("vision_model") public var vision: CLIPVisionTower
    @OptionalChild("visual_projection") public var projection: Linear?  // no bias

    public let configuration: CLIPVisionConfiguration

    /// A model without weights.
    public init(_ configuration: CLIPVisionConfiguration) {
        self.configuration = configuration
        super.init()
        vision = CLIPVisionTower(configuration.vision)
        projection = configuration.projectionDimension.map {
            Linear(configuration.vision.hiddenSize, $0, bias: false)
        }
    }

    public var embeddingDimension: Int { configuration.projectionDimension ?? configuration.vision.hiddenSize }
    public var imageSize: Int { configuration.vision.imageSize }
    public var imageLayerCount: Int { configuration.vision.layerCount }
    public var imageStateSize: Int { configuration.vision.hiddenSize }
    public var imageStateCount: Int { configuration.vision.positionCount }
    public var imageModules: [String] { ["vision_model", "visual_projection"] }
    public var imageTower: String { "vision_model" }
    public var adapterTargets: [String] { CLIPModel.attentionLayers }

    public func imageFeatures(_ pixels: Tensor) -> Tensor {
        let pooled = vision(pixels)
        return projection.map { $0(pooled) } ?? pooled
    }

    public func imageStates(_ pixels: Tensor, layer: Int) -> Tensor {
        vision.hiddenState(pixels, after: layerNumber(layer))
    }

    public func unfilled() -> CLIPVisionModel { CLIPVisionModel(configuration) }

    public func prepareForInference() throws -> LinearKernel.Choice? {
        guard device == .cpu else { return nil }
        let choice = try LinearKernel.choose(dtype: vision.embeddings.patches.weight.dtype)
        vision.kernel = choice.kernel
        return choice
    }

    /// transformers 5 writes the keys of a `CLIPVisionModel` without the tower's prefix. All earlier versions, and the
    /// model with a projection, have the prefix `vision_model.`.
    static func nameAsBefore(_ weights: inout Weights) {
        guard weights["embeddings.patch_embedding.weight"] != nil else { return }
        weights.renameKeys { $0.hasPrefix("visual_projection.") ? nil : "vision_model.\($0)" }
    }

    /// Whether a tensor belongs to the text side: files of an image tower may contain such tensors, which embed no
    /// image.
    static func isOfTheTextSide(_ key: String) -> Bool {
        key == "logit_scale" || ["text_model.", "text_projection."].contains { key.hasPrefix($0) }
    }
}
