import Torch
import TorchNN

// Shapes: B batch, T tokens, V vocabulary, D hidden size.

/// Token and position embeddings: ids `[B, T]` give `[B, T, D]`.
public final class CLIPTextEmbeddings: Module {
    @Child("token_embedding") var tokens: Embedding  // weight [V, D]
    @Child("position_embedding") var positions: Embedding  // weight [context, D]
    @Buffer("position_ids", derived: true) var positionIDs: Tensor  // [1, context]

    init(vocabularySize: Int, contextLength: Int, hiddenSize: Int) {
        super.init()
        tokens = Embedding(vocabularySize, hiddenSize)
        positions = Embedding(contextLength, hiddenSize)
        positionIDs = .arange(0, contextLength).unsqueezed(0)
    }

    func callAsFunction(_ ids: Tensor) -> Tensor {
        tokens(ids) + positions.weight[0..<ids.size(1)]  // [B, T, D]
    }
}

/// CLIP's text tower: token ids to the state at the end-of-text token.
public final class CLIPTextTower: Module {
    @Child("embeddings") public var embeddings: CLIPTextEmbeddings
    @Child("encoder") public var encoder: CLIPEncoder
    @Child("final_layer_norm") var finalNorm: LayerNorm

    public let configuration: CLIPConfiguration.Text
    /// How linear layers run at inference; set by `CLIPModel.prepareForInference`.
    public var kernel = LinearKernel.plain

    public init(_ configuration: CLIPConfiguration.Text) {
        self.configuration = configuration
        super.init()
        embeddings = CLIPTextEmbeddings(
            vocabularySize: configuration.vocabularySize, contextLength: configuration.contextLength,
            hiddenSize: configuration.hiddenSize)
        encoder = CLIPEncoder(
            layerCount: configuration.layerCount, hiddenSize: configuration.hiddenSize,
            intermediateSize: configuration.intermediateSize, headCount: configuration.headCount,
            activation: configuration.activation, eps: configuration.layerNormEps)
        finalNorm = LayerNorm(configuration.hiddenSize, eps: configuration.layerNormEps)
    }

    /// - Parameter ids: int64 `[B, T]`, T at most the context length.
    /// - Returns: the normalised last hidden state `[B, T, D]`; what follows the end-of-text token is meaningless.
    public func hiddenState(_ ids: Tensor) -> Tensor {
        finalNorm(encoder(embeddings(ids), causal: true, kernel: kernel))
    }

    /// The state at the end-of-text token: ids `[B, T]` give `[B, D]`.
    ///
    /// Attention is causal, so tokens after the last end-of-text token of the batch change nothing and are not computed.
    public func callAsFunction(_ ids: Tensor) -> Tensor {
        let ends = endPositions(ids)  // [B]
        let length = ends.max().integer() + 1
        let hidden = hiddenState(ids.slice(1, 0..<length))  // [B, length, D]
        let width = hidden.size(2)
        return hidden.gather(1, ends.reshaped(-1, 1, 1).expanded(-1, 1, width)).squeezed(1)  // [B, D]
    }

    /// Where each row is pooled, int64 `[B]`: the first end-of-text token, or for the legacy id 2 the first largest id.
    ///
    /// A row without an end-of-text token is pooled at position 0, as transformers does.
    func endPositions(_ ids: Tensor) -> Tensor {
        // argmax promises no order among equals, so the first of the largest is found through cumulative sums of the
        // marks.
        let marks: Tensor
        if configuration.endOfTextID == 2 {
            marks = ids .== ids.max(1, keep: true)
        } else {
            marks = ids .== Double(configuration.endOfTextID)
        }
        let isFirst = (marks.to(.int64).cumsum(1) .== 1) .& marks  // [B, T]
        return isFirst.to(.int64).argmax(1)  // [B]
    }
}
