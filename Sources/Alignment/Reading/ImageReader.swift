import Encoders
import Files
import Foundation
import Images
import ModelFolders
import Torch
import TorchNN

/// What a downstream model reads of an image.
public enum ImageInput: Sendable, Hashable {
    /// The embedding `[d]`, through the alignment's projection if there is one.
    case embedding
    /// The states of all positions after a number of the image tower's layers, `[T, D]`.
    /// - layer: numbered as in `ImageEncoder.imageStates`.
    case states(layer: Int)
}

/// What stands between an image and the user of its embedding: an encoder, an alignment if there is one, preprocessing,
/// and the precision. Images go through `f_r` or `f_g` only here.
public final class ImageReader {
    public let encoder: OpenEncoder
    /// f_g and the projections; nil without an alignment.
    public let aligned: AlignedModel?
    public let device: Device
    /// float32, or the dtype to which autocast narrows float32 weights.
    public let dtype: DType
    /// How images become pixels; the encoder's own preprocessing unless it was changed.
    public var preprocessing: ImagePreprocessing

    /// - Parameters:
    ///   - encoder: on the device that computes; it is frozen.
    ///   - aligned: on the same encoder.
    ///   - dtype: bfloat16 runs float32 weights under autocast.
    public init(encoder: OpenEncoder, aligned: AlignedModel?, dtype: DType) {
        self.encoder = encoder
        self.aligned = aligned
        self.dtype = dtype
        preprocessing = encoder.preprocessing
        device = encoder.image.device
        encoder.image.setRequiresGrad(false)
    }

    /// `d`, the length of the embedding that a downstream model gets.
    public var featureSize: Int { aligned?.projection.outputDimension ?? towerSize }

    /// `E`, the length of the encoder's output.
    public var towerSize: Int { encoder.image.embeddingDimension }

    /// Preprocessed pixels `[n, 3, S, S]` through a route's encoder: `[n, E]` float32, without gradient.
    /// - Throws: `EncoderError.notFinite`.
    public func tower(_ pixels: Tensor, _ route: ImageRoute) throws -> Tensor {
        let features = inferenceMode {
            computing(in: autocastType, on: device) {
                guard let aligned else { return encoder.image.imageFeatures(pixels) }
                return aligned.tower(pixels, route)
            }.to(.float32)
        }
        try requireFinite(features, route)
        return features
    }

    /// Encoder outputs `[n, E]` through a route's projection: `[n, d]`.
    public func project(_ features: Tensor, _ route: ImageRoute) -> Tensor {
        guard let aligned else { return features }
        return withoutGradients { aligned.project(features, route) }
    }

    /// Preprocessed pixels `[n, 3, S, S]` to embeddings `[n, d]`, not normalised.
    /// - Throws: `EncoderError.notFinite`.
    public func features(_ pixels: Tensor, _ route: ImageRoute) throws -> Tensor {
        let features = project(try tower(pixels.to(device), route), route)
        try requireFinite(features, route)
        return features
    }

    /// The state of a route's image tower after a number of its layers: `[n, 3, S, S]` to `[n, T, D]`. Projections
    /// apply only to embeddings.
    /// - Parameter layer: numbered as in `ImageEncoder.imageStates`.
    /// - Throws: `EncoderError.notFinite`.
    public func states(_ pixels: Tensor, _ route: ImageRoute, layer: Int) throws -> Tensor {
        let states = inferenceMode {
            computing(in: autocastType, on: device) {
                let tower = aligned?.encoder(for: route) ?? encoder.image
                return tower.imageStates(pixels.to(device), layer: layer)
            }
        }
        try requireFinite(states, route)
        return states
    }

    /// What a downstream model reads of preprocessed images, through a route: `[n, d]` or `[n, T, D]`.
    /// - Throws: `EncoderError.notFinite`.
    public func read(_ pixels: Tensor, _ route: ImageRoute, _ input: ImageInput) throws -> Tensor {
        switch input {
        case .embedding: try features(pixels, route)
        case .states(let layer): try states(pixels, route, layer: layer).to(.float32)
        }
    }

    /// Length of the vectors that a downstream model gets.
    public func featureSize(of input: ImageInput) -> Int {
        switch input {
        case .embedding: featureSize
        case .states: encoder.image.imageStateSize
        }
    }

    /// Weights in a narrow dtype compute in it without autocast.
    private var autocastType: DType {
        encoder.image.namedParameters().first?.tensor.dtype == .float32 ? dtype : .float32
    }

    private func requireFinite(_ numbers: Tensor, _ route: ImageRoute) throws {
        guard !numbers.to(.float32).sum().item().isFinite else { return }
        let model = aligned?.encoder(for: route) ?? encoder.image
        throw EncoderError.notFinite(
            source: "images",
            reason: model.brokenWeights
                ?? "the numbers of a batch overflow in \(dtype); use float32, and look at the images if that is no help"
        )
    }

    /// Lays out the weights of the encoders for speed on batches, where that is faster on this CPU.
    /// - Returns: what was chosen, for logs; nil if there was nothing to choose.
    @discardableResult
    public func prepareForBatches() throws -> LinearKernel.Choice? {
        let choice = try encoder.image.prepareForInference()
        if let aligned, aligned.towers.tuned !== encoder.image { _ = try aligned.towers.tuned.prepareForInference() }
        kernel = choice?.reason
        return choice
    }

    /// What `prepareForBatches` chose; nil before the call, or if there was nothing to choose.
    public private(set) var kernel: String?

    // MARK: Identity

    /// Identifies a route's output, for caches: the model, and the alignment's weights if they take part.
    /// - Parameter model: the model's fingerprint.
    func towerIdentity(_ route: ImageRoute, model: ModelFingerprint) -> String {
        guard let aligned, aligned.readsTuned(route) else { return model.sha256 }
        return ContentHash.sha256(of: "\(model.sha256)\n\(aligned.identity)")
    }
}
