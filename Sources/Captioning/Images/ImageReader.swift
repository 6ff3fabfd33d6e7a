import Alignment
import Encoders
import Files
import Foundation
import Images
import Safetensors
import Torch

/// What stands between an image and a captioner: CLIP, the alignment run where there is one, and preprocessing.
public final class ImageReader {
    public let clip: CLIPModel
    /// f_g and the projections; nil without an alignment run.
    public let aligned: AlignedModel?
    public let preprocessing: ImagePreprocessing
    public let device: Device
    let precision: Precision

    /// Names the weights of each route.
    private let weightsHash: String
    private let alignmentHash: String

    /// - Parameters:
    ///   - clip: on the device to run on.
    ///   - weightsHash: SHA-256 of its weights.
    ///   - precision: bfloat16 runs float32 weights under autocast.
    /// - Throws: errors of the alignment run's checkpoint files.
    public init(
        clip: CLIPModel, aligned: AlignedModel?, preprocessing: ImagePreprocessing, weightsHash: String,
        precision: Precision
    ) throws {
        self.clip = clip
        self.aligned = aligned
        self.preprocessing = preprocessing
        self.precision = precision
        self.weightsHash = weightsHash
        device = clip.logitScale.device
        alignmentHash = try aligned.map(AlignmentFingerprint.hash) ?? ""
        clip.setRequiresGrad(false)
    }

    /// Length of the embedding that the captioner sees.
    public var featureSize: Int {
        aligned?.projection.outputDimension ?? clip.configuration.projectionDimension
    }

    /// Length of what the towers give.
    var towerSize: Int { clip.configuration.projectionDimension }

    /// Preprocessed pixels `[n, 3, S, S]` through a route's tower: `[n, E]` float32, without gradient.
    func tower(_ pixels: Tensor, _ route: ImageRoute) -> Tensor {
        inferenceMode {
            computing {
                guard let aligned else { return clip.imageFeatures(pixels) }
                return switch route {
                case .original: aligned.towers.real(ImageBatch<Real>(pixels), reading: aligned.flow).tensor
                case .tuned: aligned.towers.generated(ImageBatch<Generated>(pixels)).tensor
                }
            }.to(.float32)
        }
    }

    /// Tower outputs `[n, E]` through a route's projection: `[n, d]`.
    func project(_ features: Tensor, _ route: ImageRoute) -> Tensor {
        guard let aligned else { return features }
        return withoutGradients {
            switch route {
            case .original: aligned.projection(Embeddings<Real>(features)).tensor
            case .tuned: aligned.projection(Embeddings<Generated>(features)).tensor
            }
        }
    }

    /// Preprocessed pixels `[n, 3, S, S]` to what the captioner sees, `[n, d]`.
    public func features(_ pixels: Tensor, _ route: ImageRoute) -> Tensor {
        project(tower(pixels.to(device), route), route)
    }

    private func computing(_ body: () -> Tensor) -> Tensor {
        precision == .bfloat16 ? autocast(.bfloat16, device: device, body) : body()
    }

    /// What tells the tower outputs of a route from those of other weights.
    func towerHash(_ route: ImageRoute) -> String {
        let readsTuned = aligned != nil && (route == .tuned || aligned?.flow == .tuned)
        return readsTuned ? ContentHash.sha256(of: "\(weightsHash)\n\(alignmentHash)") : weightsHash
    }
}

/// Names the weights of an alignment run's checkpoint.
public enum AlignmentFingerprint {
    /// SHA-256 over what the checkpoint's encoders and projections are made of; of the recipe alone when it trains nothing.
    public static func hash(_ aligned: AlignedModel) throws -> String {
        var parts = ["flow \(aligned.flow.rawValue)"]
        if let folder = aligned.checkpoint {
            for name in [
                "adapter_config.json", "adapter_model.safetensors", "encoder.safetensors", "projections.safetensors",
            ] {
                let path = "\(folder)/\(name)"
                if access(path, R_OK) == 0 { parts.append("\(name) \(try ContentHash.sha256(ofFile: path))") }
            }
        }
        return ContentHash.sha256(of: parts.joined(separator: "\n"))
    }
}
