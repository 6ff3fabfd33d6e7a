import Torch
import TorchNN

// All that generation and captioning need of a language model; every family conforms to it.
//
// Shapes: B rows, T new positions, S = past + T positions, C embedding size, V vocabulary.

/// A decoder that predicts the next token from everything before it.
///
/// As a `Module` it lists, freezes, trains and saves its parameters under the keys of its published checkpoints.
public protocol CausalLanguageModel: Module {
    /// V.
    var vocabularySize: Int { get }
    /// Positions that a row may have, prompt and generated tokens together.
    var contextLength: Int { get }
    /// C.
    var embeddingSize: Int { get }
    /// The device of the weights.
    var device: Device { get }
    /// The dtype of the residual stream, to which embeddings from elsewhere (a prefix) are converted.
    var dtype: DType { get }
    /// Draws the dropout masks of training (`setTraining(true)`), on the model's device; without it nothing is dropped.
    var dropoutGenerator: Generator? { get set }

    /// Fills the weights from a checkpoint in any published layout of the family; `save(to:)` writes one of them.
    /// - Parameters:
    ///   - dtype: of the weights in memory; nil keeps the checkpoint's.
    ///   - memory: `.mapped` shares the file's pages (inference), `.owned` copies them (training).
    /// - Throws: `ModelFolderError.unknownLayout`, `StateMismatch`; the model is then unchanged.
    func loadCheckpoint(_ weights: Weights, dtype: DType?, device: Device, memory: WeightMemory) throws

    /// Chooses the faster way to run linear layers on batches of rows at inference; does nothing off the CPU.
    /// - Returns: what was chosen, for logs; nil if there was nothing to choose.
    @discardableResult
    func prepareForBatches() throws -> LinearKernel.Choice?

    /// Token embeddings without positions: int64 `[B, T]` on the model's device gives `[B, T, C]`.
    func embed(_ tokens: Tensor) -> Tensor

    /// The last layer's normalised states at the new positions.
    /// - Parameters:
    ///   - embeddings: `[B, T, C]`, from `embed` or from elsewhere (a prefix); positions are added here.
    ///   - attentionMask: `[B, S]` int64 or bool, 1 = may be attended to; nil is all ones. States of masked positions
    ///     are meaningless.
    ///   - positions: int64 `[B, T]` or `[1, T]`; nil counts from the length of the cache, including masked positions,
    ///     as transformers does outside of `generate`.
    ///   - cache: keys and values of earlier calls; the new ones are added to it.
    /// - Returns: `[B, T, C]`.
    func hiddenStates(
        embeddings: Tensor, attentionMask: Tensor?, positions: Tensor?, cache: KeyValueCache?
    ) -> Tensor

    /// The output layer `[V, C]`, which has no bias.
    var headWeight: Tensor { get }

    /// Unnormalised scores of the next token: states `[..., C]` give `[..., V]`.
    func logits(_ states: Tensor) -> Tensor

    /// An empty cache of this model's shape.
    func makeCache() -> KeyValueCache
}

extension CausalLanguageModel {
    /// Logits `[B, T, V]` of embeddings `[B, T, C]`; the parameters are those of `hiddenStates`.
    public func callAsFunction(
        embeddings: Tensor, attentionMask: Tensor? = nil, positions: Tensor? = nil, cache: KeyValueCache? = nil
    ) -> Tensor {
        logits(
            hiddenStates(embeddings: embeddings, attentionMask: attentionMask, positions: positions, cache: cache))
    }

    /// Logits `[B, T, V]` of tokens int64 `[B, T]`.
    public func callAsFunction(
        _ tokens: Tensor, attentionMask: Tensor? = nil, positions: Tensor? = nil, cache: KeyValueCache? = nil
    ) -> Tensor {
        self(embeddings: embed(tokens), attentionMask: attentionMask, positions: positions, cache: cache)
    }
}
