import Torch
import TorchNN
import Training

/// The projections into the shared space: width, depth, normalisation, initial values. The paper names the projections
/// and leaves these open.
public struct ProjectionConfiguration: Sendable, Equatable, Codable {
    public enum Start: String, Sendable, Codable, CaseIterable {
        /// Output = input at first: one linear layer, equal dimensions, no normalisation.
        case identity
        /// PyTorch's default for linear layers.
        case random
    }

    /// Linear layers of each head, with GELU between them; 0 means no projection.
    public var depth: Int
    /// Dimension of the shared space; nil means the encoder's own.
    public var embeddingDimension: Int?
    /// Width between layers if depth is above 1; nil means the encoder's dimension.
    public var hiddenDimension: Int?
    /// Batch normalisation after every linear layer.
    public var isBatchNormalized: Bool
    public var start: Start
    /// One head for both modalities instead of one for each.
    public var isShared: Bool

    public init(
        depth: Int = 1, embeddingDimension: Int? = nil, hiddenDimension: Int? = nil, isBatchNormalized: Bool = false,
        start: Start = .identity, isShared: Bool = false
    ) {
        self.depth = depth
        self.embeddingDimension = embeddingDimension
        self.hiddenDimension = hiddenDimension
        self.isBatchNormalized = isBatchNormalized
        self.start = start
        self.isShared = isShared
    }

    /// No projection: the encoder's embeddings are compared directly.
    public static let none = ProjectionConfiguration(depth: 0)

    /// Dimension of the shared space for an encoder of dimension `input`.
    public func outputDimension(input: Int) -> Int { depth == 0 ? input : embeddingDimension ?? input }

    /// - Parameter input: the encoder's embedding dimension.
    /// - Throws: `SettingError`
    public func validate(input: Int) throws(SettingError) {
        func require(_ holds: Bool, _ setting: String, _ expected: String, _ got: Any) throws(SettingError) {
            try SettingError.require(holds, "projection.\(setting)", expected, got)
        }
        try require(depth >= 0, "depth", "0 or more layers", depth)
        for (name, dimension) in [("embeddingDimension", embeddingDimension), ("hiddenDimension", hiddenDimension)] {
            if let dimension { try require(dimension > 0, name, "a whole number above 0", dimension) }
        }
        let output = embeddingDimension ?? input
        guard depth > 0 else {
            try require(
                output == input, "embeddingDimension", "\(input), the encoder's, without a projection (depth 0)", output
            )
            return
        }
        if start == .identity {
            try require(
                depth == 1 && !isBatchNormalized && output == input, "start",
                "random: an identity needs one layer, dimension \(input) and no batch normalisation", "identity")
        }
    }
}

/// One head: `[B, E]` to `[B, D]`, float32.
public final class ProjectionHead: Module {
    @Children("layers") public var layers: [Linear]
    @Children("norms") public var norms: [BatchNorm]

    init(_ configuration: ProjectionConfiguration, input: Int, depth: Int, generator: Generator, device: Device) {
        super.init()
        let output = configuration.outputDimension(input: input)
        let hidden = configuration.hiddenDimension ?? input
        layers = (0..<depth).map { index in
            // Batch normalisation cancels a bias and has its own.
            let layer = Linear(
                index == 0 ? input : hidden, index == depth - 1 ? output : hidden,
                bias: !configuration.isBatchNormalized)
            switch configuration.start {
            case .random:
                layer.initialize(generator: generator)
            case .identity:
                layer.weight.copy(from: Self.identity(input))
                layer.bias?.fillInPlace(0)
            }
            return layer
        }
        if configuration.isBatchNormalized { norms = layers.map { BatchNorm($0.outputSize) } }
        to(device: device)
        setRequiresGrad(true)
    }

    private static func identity(_ size: Int) -> Tensor {
        (Tensor.arange(0, size).unsqueezed(0) .== Tensor.arange(0, size).unsqueezed(1)).to(.float32)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        var x = x.to(.float32)
        for (index, layer) in layers.enumerated() {
            x = layer(x)
            if !norms.isEmpty { x = norms[index](x) }
            if index < layers.count - 1 { x = x.gelu() }
        }
        return x
    }
}

/// "Projection for Real" and "Projection for Generated" (Fig. 1): each modality's projection into the shared space.
public final class DualProjection: Module {
    @Child("generated") public var generatedHead: ProjectionHead
    @Child("real") public var realHead: ProjectionHead  // empty when one head is shared

    public let configuration: ProjectionConfiguration
    /// `D`, the dimension of the shared space.
    public let outputDimension: Int

    /// - Throws: `SettingError`
    public init(_ configuration: ProjectionConfiguration, input: Int, generator: Generator, device: Device = .cpu)
        throws
    {
        try configuration.validate(input: input)
        self.configuration = configuration
        outputDimension = configuration.outputDimension(input: input)
        super.init()
        generatedHead = ProjectionHead(
            configuration, input: input, depth: configuration.depth, generator: generator, device: device)
        realHead = ProjectionHead(
            configuration, input: input, depth: configuration.isShared ? 0 : configuration.depth, generator: generator,
            device: device)
    }

    /// `[B, E]` to `[B, D]`
    public func callAsFunction(_ embeddings: Embeddings<Real>) -> Embeddings<Real> {
        Embeddings(configuration.isShared ? generatedHead(embeddings.tensor) : realHead(embeddings.tensor))
    }

    /// `[B, E]` to `[B, D]`
    public func callAsFunction(_ embeddings: Embeddings<Generated>) -> Embeddings<Generated> {
        Embeddings(generatedHead(embeddings.tensor))
    }
}
