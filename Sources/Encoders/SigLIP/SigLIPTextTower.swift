import Torch
import TorchNN

// Shapes: B batch, T tokens, D hidden size, E embedding.

/// SigLIP's text tower: token ids to the embedding. Every token sees every other, padding included: rows are filled up to
/// the context, as in training, and pooled at their last position.
public final class SigLIPTextTower: Module {
    @Child("embeddings") var embeddings: CLIPTextEmbeddings
    @Child("encoder") var encoder: CLIPEncoder
    @Child("final_layer_norm") var finalNorm: LayerNorm
    @Child("head") var head: Linear  // [E, D]

    let configuration: SigLIPConfiguration.Text
    /// How linear layers run at inference; set by `SigLIPModel.prepareForInference`.
    var kernel = LinearKernel.plain

    init(_ configuration: SigLIPConfiguration.Text) {
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
        head = Linear(configuration.hiddenSize, configuration.projectionDimension)
    }

    /// The state after a number of layers, before the final norm: ids int64 `[B, T]` give `[B, T, D]`.
    func hiddenState(_ ids: Tensor, after layers: Int) -> Tensor {
        encoder(embeddings(ids), causal: false, kernel: kernel, layers: layers)
    }

    /// Ids int64 `[B, T]`, T at most the context, to `[B, E]`. Of the last layer only the pooled position is computed.
    func callAsFunction(_ ids: Tensor) -> Tensor {
        head(finalNorm(encoder.lastPosition(embeddings(ids), kernel: kernel)))
    }
}
