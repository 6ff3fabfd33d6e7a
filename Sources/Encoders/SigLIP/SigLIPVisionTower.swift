import Torch
import TorchNN

// SigLIP's image tower. Reference: transformers `modeling_siglip.py`.
//
// Shapes: B batch, C channels, S image side, P patch side, T = (S / P)² positions, D hidden size.

/// Patches of an image with their position embeddings: `[B, C, S, S]` gives `[B, T, D]`.
public final class SigLIPVisionEmbeddings: Module {
    @Child("patch_embedding") var patches: Conv2d  // weight [D, C, P, P], bias [D]
    @Child("position_embedding") var positions: Embedding  // weight [T, D]
    @Buffer("position_ids", derived: true) var positionIDs: Tensor  // [1, T]

    init(_ configuration: SigLIPConfiguration.Vision) {
        super.init()
        patches = Conv2d(
            configuration.channelCount, configuration.hiddenSize, kernel: configuration.patchSize,
            stride: configuration.patchSize)
        positions = Embedding(configuration.positionCount, configuration.hiddenSize)
        positionIDs = .arange(0, configuration.positionCount).unsqueezed(0)
    }

    func callAsFunction(_ pixels: Tensor) -> Tensor { patches.overCells(of: pixels) + positions.weight }
}

/// SigLIP's image tower: pixels to the embedding.
public final class SigLIPVisionTower: Module {
    @Child("embeddings") var embeddings: SigLIPVisionEmbeddings
    @Child("encoder") var encoder: CLIPEncoder
    @Child("post_layernorm") var postNorm: LayerNorm
    @Child("head") var head: SigLIPPoolingHead

    let configuration: SigLIPConfiguration.Vision
    /// How linear layers run at inference; set by `SigLIPModel.prepareForInference`.
    var kernel = LinearKernel.plain

    init(_ configuration: SigLIPConfiguration.Vision) {
        self.configuration = configuration
        super.init()
        embeddings = SigLIPVisionEmbeddings(configuration)
        encoder = CLIPEncoder(
            layerCount: configuration.layerCount, hiddenSize: configuration.hiddenSize,
            intermediateSize: configuration.intermediateSize, headCount: configuration.headCount,
            activation: configuration.activation, eps: configuration.layerNormEps)
        postNorm = LayerNorm(configuration.hiddenSize, eps: configuration.layerNormEps)
        head = SigLIPPoolingHead(configuration)
    }

    /// - Parameters:
    ///   - pixels: `[B, 3, S, S]`, preprocessed.
    ///   - layers: how many of the layers run; 0 gives what the first one reads, all of them by default.
    /// - Returns: the hidden state `[B, T, D]`, before the final norm.
    func hiddenState(
        _ pixels: Tensor, after layers: Int? = nil, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        precondition(
            pixels.shape.count == 4 && pixels.size(2) == configuration.imageSize
                && pixels.size(3) == configuration.imageSize,
            "pixels of shape \(pixels.shape), expected [B, 3, \(configuration.imageSize), \(configuration.imageSize)]",
            file: file, line: line)
        return encoder(embeddings(pixels), causal: false, kernel: kernel, layers: layers)
    }

    /// `[B, 3, S, S]` to `[B, D]`.
    func callAsFunction(_ pixels: Tensor) -> Tensor { head(postNorm(hiddenState(pixels))) }
}

/// Attention pooling: a learned query looks at all positions, then an MLP. `[B, T, D]` gives `[B, D]`.
///
/// The query is the same for every image, so neither keys nor values of the positions are computed: what a head compares a
/// position with is one vector, the query through the head's key matrix, and a weighted mean of values is the value of the
/// weighted mean. The key's bias adds the same to all scores of a head and drops out of the softmax.
final class SigLIPPoolingHead: Module {
    @Parameter("probe") var probe: Tensor  // [1, 1, D]
    @Child("attention") var attention: JoinedAttentionWeights
    @Child("layernorm") var norm: LayerNorm
    @Child("mlp") var mlp: CLIPMLP

    private let headCount: Int

    init(_ configuration: SigLIPConfiguration.Vision) {
        headCount = configuration.headCount
        super.init()
        let width = configuration.hiddenSize
        probe = .empty([1, 1, width])
        attention = JoinedAttentionWeights(width)
        norm = LayerNorm(width, eps: configuration.layerNormEps)
        mlp = CLIPMLP(
            hiddenSize: width, intermediateSize: configuration.intermediateSize, activation: configuration.activation)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let width = x.size(2), heads = headCount, size = width / heads
        let (weight, bias) = (attention.weight, attention.bias)
        func part(_ index: Int) -> Range<Int> { index * width..<(index + 1) * width }
        let query = Functional.linear(probe.reshaped(1, width), weight: weight[part(0)], bias: bias[part(0)])  // [1, D]
        // [H, 1, d] · [H, d, D]
        let keys =
            query.reshaped(heads, 1, size).matmul(weight[part(1)].reshaped(heads, size, width))
            .reshaped(heads, width) / Double(size).squareRoot()  // [H, D]
        let scores = Functional.linear(x, weight: keys.to(x.dtype)).to(.float32)  // [B, T, H]
        let shares = scores.transposed(1, 2).softmax(-1).to(x.dtype)  // [B, H, T]
        let means = shares.matmul(x).transposed(0, 1)  // [H, B, D]
        let values = means.matmul(weight[part(2)].reshaped(heads, size, width).transposed(1, 2))  // [H, B, d]
        let mixed = values.transposed(0, 1).reshaped(x.size(0), width) + bias[part(2)]  // [B, D]
        let attended = attention.output(mixed)
        return attended + mlp(norm(attended))
    }
}

/// The weights of PyTorch's `MultiheadAttention`: query, key and value in one matrix.
final class JoinedAttentionWeights: Module {
    @Parameter("in_proj_weight") var weight: Tensor  // [3 D, D]
    @Parameter("in_proj_bias") var bias: Tensor  // [3 D]
    @Child("out_proj") var output: Linear

    init(_ width: Int) {
        super.init()
        weight = .empty([3 * width, width])
        bias = .empty([3 * width])
        output = Linear(width, width)
    }
}
