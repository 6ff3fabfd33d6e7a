import Torch
import TorchNN

// What the upper floors know of an encoder. A family of encoders is a folder beside this file and an entry in
// `EncoderFolder.families`; alignment, captioning, evaluation and the command use these protocols and no family.
//
// Shapes: B batch, S image side, E embedding, T positions of an image, D hidden size.

/// A model that turns images into embeddings: `f_r`, and with adapters in it `f_g`.
public protocol ImageEncoder: Module {
    /// `E`, the dimension of `imageFeatures`.
    var embeddingDimension: Int { get }
    /// `S`, the side of the images that it reads.
    var imageSize: Int { get }
    /// Layers of the image tower; `imageStates` takes 0 up to and including this number.
    var imageLayerCount: Int { get }
    /// `D`, the width of `imageStates`.
    var imageStateSize: Int { get }
    /// `T`, the positions of `imageStates`.
    var imageStateCount: Int { get }

    /// Preprocessed pixels `[B, 3, S, S]` to embeddings `[B, E]`, not normalised.
    func imageFeatures(_ pixels: Tensor) -> Tensor

    /// The state of the image tower after a number of its layers: `[B, 3, S, S]` to `[B, T, D]`.
    /// - Parameter layer: numbered as transformers' `hidden_states`: 0 is what the first layer reads, 1 the state after it.
    ///   Negative numbers count from the last: -1 is the state after the last layer, before any final norm.
    func imageStates(_ pixels: Tensor, layer: Int) -> Tensor

    /// Paths of the modules of the image encoder, and of parameters beside them: what full fine-tuning trains.
    var imageModules: [String] { get }

    /// Path of the module below which adapters are put.
    var imageTower: String { get }

    /// Names of the linear layers below `imageTower` that get LoRA unless a recipe says otherwise: those of the
    /// attention.
    var adapterTargets: [String] { get }

    /// What the model's own training multiplied cosines by and then added, for encoders that learned it with a sigmoid loss.
    var learnedScale: (scale: Double, bias: Double)? { get }

    /// A model of the same architecture whose weights are not set.
    func unfilled() -> Self

    /// Lays out the weights for speed on batches, where that is faster on this CPU; the kind of CPU decides, never a
    /// measurement.
    /// - Returns: what was chosen and why, for logs; nil if there was nothing to choose.
    @discardableResult
    func prepareForInference() throws -> LinearKernel.Choice?
}

/// A model that turns texts into embeddings of the same space.
public protocol TextEncoder: Module {
    /// Dimension of `textFeatures`.
    var textEmbeddingDimension: Int { get }
    /// The most tokens of a text, special ones included.
    var contextLength: Int { get }
    /// Ids from 0 up to it have an embedding; an encoder that takes every id leaves it out.
    var textVocabularySize: Int { get }

    /// Token ids int64 `[B, T]` to embeddings `[B, E]`, not normalised.
    func textFeatures(_ ids: Tensor) -> Tensor
}

extension TextEncoder {
    public var textVocabularySize: Int { .max }
}

extension ImageEncoder {
    public var learnedScale: (scale: Double, bias: Double)? { nil }

    /// The device that the weights are on.
    public var device: Device { namedParameters().first?.tensor.device ?? .cpu }

    /// The layer as a number in 0 ... `imageLayerCount`.
    public func layerNumber(_ layer: Int) -> Int {
        let number = layer < 0 ? imageLayerCount + 1 + layer : layer
        precondition(
            (0...imageLayerCount).contains(number), "layer \(layer) of an image tower with \(imageLayerCount) layers")
        return number
    }
}
