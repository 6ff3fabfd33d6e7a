import Torch
import TorchNN

// The two mappers of ClipCap: Mokady, Hertz & Bermano, "ClipCap: CLIP Prefix for Image Captioning" (2021).
// Reference: rmokady/CLIP_prefix_caption, train.py (`MLP`, `TransformerMapper`), whose checkpoint keys are used.
//
// Shapes: B images, d image embedding, P prefix length, L clip length, C width of the language model.

/// Turns image embeddings `[B, d]` into prefixes `[B, P, C]` of a language model.
open class PrefixMapper: Module {
    public let configuration: ClipCapConfiguration

    init(_ configuration: ClipCapConfiguration) {
        self.configuration = configuration
        super.init()
    }

    /// The mapper that a configuration names, without weights.
    public static func make(_ configuration: ClipCapConfiguration) -> PrefixMapper {
        switch configuration.mapper {
        case .mlp: MLPMapper(configuration)
        case .transformer: TransformerMapper(configuration)
        }
    }

    /// Image embeddings `[B, d]` from the encoder to `[B, P, C]`; they are normalised here if the configuration says
    /// so.
    public final func callAsFunction(_ features: Tensor) -> Tensor {
        map(configuration.normalizesFeatures ? features.normalized() : features)
    }

    /// `[B, d]` to `[B, P, C]`.
    func map(_ features: Tensor) -> Tensor { preconditionFailure("a mapper of its own kind maps") }

    /// Fresh weights from the distributions of PyTorch's constructors.
    public final func initialize(generator: Generator) {
        withoutGradients {
            for (_, module) in namedModules() {
                (module as? Linear)?.initialize(generator: generator)
                (module as? TransformerMapper)?.prefixConstants.normalInPlace(generator: generator)
            }
        }
    }
}

/// `d → C·P/2 → C·P` with tanh between the layers.
public final class MLPMapper: PrefixMapper {
    @Child("model.0") public var input: Linear  // d → C·P/2
    @Child("model.2") public var output: Linear  // C·P/2 → C·P

    override init(_ configuration: ClipCapConfiguration) {
        super.init(configuration)
        input = Linear(configuration.featureSize, configuration.hiddenSize)
        output = Linear(configuration.hiddenSize, configuration.embeddingSize * configuration.prefixLength)
    }

    override func map(_ features: Tensor) -> Tensor {
        output(input(features).tanh())
            .reshaped(-1, configuration.prefixLength, configuration.embeddingSize)  // [B, P, C]
    }
}

/// The embedding becomes L positions, and P learned ones join them; the transformer's output at the latter is the
/// prefix.
public final class TransformerMapper: PrefixMapper {
    @Child("linear") public var linear: Linear  // d → L·C
    @Parameter("prefix_const") public var prefixConstants: Tensor  // [P, C]
    @Child("transformer") public var transformer: MapperTransformer

    override init(_ configuration: ClipCapConfiguration) {
        super.init(configuration)
        let width = configuration.embeddingSize
        linear = Linear(configuration.featureSize, configuration.clipLength * width)
        prefixConstants = .empty([configuration.prefixLength, width])
        transformer = MapperTransformer(configuration)
    }

    override func map(_ features: Tensor) -> Tensor {
        let (length, width) = (configuration.clipLength, configuration.embeddingSize)
        let image = linear(features).reshaped(-1, length, width)  // [B, L, C]
        // Under autocast the projection is bfloat16, but the constants are not.
        let constants = prefixConstants.to(image.dtype).unsqueezed(0)
            .expanded(image.size(0), configuration.prefixLength, width)  // [B, P, C]
        let x = transformer(Tensor.cat([image, constants], dim: 1))  // [B, L + P, C]
        return x.slice(1, length..<length + configuration.prefixLength)  // [B, P, C]
    }
}

/// Pre-norm self-attention layers without a mask.
public final class MapperTransformer: Module {
    @Children("layers") public var layers: [MapperLayer]

    init(_ configuration: ClipCapConfiguration) {
        super.init()
        layers = (0..<configuration.layerCount).map { _ in
            MapperLayer(width: configuration.embeddingSize, headCount: configuration.headCount)
        }
    }

    func callAsFunction(_ x: Tensor) -> Tensor { layers.reduce(x) { $1($0) } }
}

public final class MapperLayer: Module {
    @Child("norm1") public var attentionNorm: LayerNorm
    @Child("attn") public var attention: MapperAttention
    @Child("norm2") public var mlpNorm: LayerNorm
    @Child("mlp") public var mlp: MapperMLP

    init(width: Int, headCount: Int) {
        super.init()
        attentionNorm = LayerNorm(width)
        attention = MapperAttention(width: width, headCount: headCount)
        mlpNorm = LayerNorm(width)
        mlp = MapperMLP(width: width)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let x = x + attention(attentionNorm(x))
        return x + mlp(mlpNorm(x))
    }
}

/// Queries and the joined keys and values have no bias; the output has one.
public final class MapperAttention: Module {
    @Child("to_queries") public var queries: Linear
    @Child("to_keys_values") public var keysAndValues: Linear  // C → 2·C, keys first
    @Child("project") public var output: Linear

    private let headCount: Int

    init(width: Int, headCount: Int) {
        self.headCount = headCount
        super.init()
        queries = Linear(width, width, bias: false)
        keysAndValues = Linear(width, 2 * width, bias: false)
        output = Linear(width, width)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let both = queries(x, with: [keysAndValues])
        let parts = both[1].reshaped(x.size(0), x.size(1), 2, -1)  // [B, n, 2, C]
        return output(Functional.attention(both[0], parts.select(2, 0), parts.select(2, 1), heads: headCount))
    }
}

/// Twice the width, ReLU.
public final class MapperMLP: Module {
    @Child("fc1") public var up: Linear
    @Child("fc2") public var down: Linear

    init(width: Int) {
        super.init()
        up = Linear(width, 2 * width)
        down = Linear(2 * width, width)
    }

    func callAsFunction(_ x: Tensor) -> Tensor { down(up(x).relu()) }
}
