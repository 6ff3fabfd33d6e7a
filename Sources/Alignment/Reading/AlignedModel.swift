import Adapters
import Datasets
import Encoders
import Files
import Foundation
import ModelFolders
import Torch
import TorchNN
import Training

/// A finished (or running) alignment, ready to read images: the base encoder with the adapter and projections of the
/// newest checkpoint (the best one, if the run looked for it), or with an adapter that was made elsewhere.
///
/// The modality of the images decides the route. Real images go through `f_r` (or through the tuned encoder, according
/// to the recipe's `evaluation.clipFlow`) and the projection for real images; generated ones go through `f_g` and the
/// projection for generated images. Embeddings are in the shared space, not normalised.
public final class AlignedModel {
    public let towers: ModalityTowers
    public let projection: DualProjection
    public let flow: CLIPFlow
    /// The run's folder, or the adapter's.
    public let path: String
    /// The recipe that trained it; nil for an adapter made elsewhere.
    public let recipe: AlignmentRecipe?
    /// For how many steps the weights have been trained; 0 for a recipe that trains nothing, and where it is unknown.
    public let step: Int
    /// The checkpoint's folder; nil for a recipe that trains nothing, and for an adapter made elsewhere.
    public let checkpoint: String?
    /// Identifies the weights: a hash over the checkpoint's files of encoders and projections, and over the flow.
    public let identity: String

    /// - Parameters:
    ///   - run: the run's folder.
    ///   - encoder: the base model with which the run was begun.
    ///   - fingerprint: the base model's, compared with the run's manifest.
    /// - Throws: `TrainingError` for a folder that is no run, `AlignmentError.anotherBase` for another model,
    ///   `AlignmentError.noCheckpoint` for a run without a checkpoint, `AdapterError`, `StateMismatch`.
    public init(run path: String, encoder: any ImageEncoder, fingerprint: ModelFingerprint) throws {
        self.path = path
        let run = try RunFolder.open(path)
        let recipe = try run.recipe(of: AlignmentRecipe.self)
        self.recipe = recipe
        flow = CLIPFlow(recipe.evaluation.clipFlow)
        if let base = try run.manifest().sources.first(where: { $0.role == AlignmentRole.model }) {
            guard base.sha256 == fingerprint.sha256 else {
                throw AlignmentError.anotherBase(
                    run: path, expected: "\(base.path) (\(base.sha256.prefix(12)))",
                    got: String(fingerprint.sha256.prefix(12)))
            }
        }
        let latest = try run.checkpoints.chosen()
        step = latest?.step ?? 0
        checkpoint = latest?.folder
        let trains = recipe.adapter.kind != .none || recipe.projection.kind != .none
        if latest == nil, trains {
            if let damage = try run.checkpoints.damage() { throw damage }
            throw AlignmentError.noCheckpoint(run: path)
        }
        // Weights that changed since would pass as the run's.
        if let latest { _ = try run.checkpoints.state(of: latest, except: [AlignmentTask.Files.optimizer]) }
        switch (recipe.adapter.kind, latest) {
        case (.lora, let latest?):
            towers = try ModalityTowers(trunk: encoder, adapterFolder: latest.folder)
            // Once merged, the adapter costs nothing at inference.
            towers.adapter?.merge()
        case (.full, let latest?):
            towers = try ModalityTowers(trunk: encoder, tuning: .full, generator: Generator(seed: 0))
            let weights = try Weights(path: "\(latest.folder)/\(AlignmentTask.Files.encoder)")
            try towers.trainedParameters.overwrite(from: weights, model: "encoder")
            towers.tuned.weightsDidChange()
        default:
            towers = try ModalityTowers(trunk: encoder, tuning: .frozen, generator: Generator(seed: 0))
        }
        // Whoever reads texts does it with the encoder that was opened; whoever exports, with the tuned one.
        if let positions = latest.map({ "\($0.folder)/\(AlignmentTask.Files.textPositions)" }),
            FileSystem.exists(positions)
        {
            try TunedText.load(positions, into: [encoder, towers.tuned])
        }
        projection = try DualProjection(
            ProjectionConfiguration(recipe.projection), input: encoder.embeddingDimension,
            generator: Generator(seed: 0), device: encoder.device)
        if let latest, !projection.namedTensors().isEmpty {
            try projection.overwrite(from: Weights(path: "\(latest.folder)/\(AlignmentTask.Files.projections)"))
        }
        projection.setTraining(false)
        identity = try Self.identity(
            flow, latest?.folder,
            [
                PEFTFiles.configuration, PEFTFiles.weights, AlignmentTask.Files.encoder,
                AlignmentTask.Files.projections, AlignmentTask.Files.textPositions,
            ])
    }

    /// An adapter in PEFT's layout, made elsewhere: `f_g` is the encoder with it, and there are no projections.
    /// - Throws: `AdapterError`, `SafetensorsError`.
    public init(adapter path: String, encoder: any ImageEncoder) throws {
        self.path = path
        recipe = nil
        flow = .original
        step = 0
        checkpoint = nil
        towers = try ModalityTowers(trunk: encoder, adapterFolder: path)
        towers.adapter?.merge()
        projection = try DualProjection(
            .none, input: encoder.embeddingDimension, generator: Generator(seed: 0), device: encoder.device)
        projection.setTraining(false)
        identity = try Self.identity(flow, path, [PEFTFiles.configuration, PEFTFiles.weights])
    }

    private static func identity(_ flow: CLIPFlow, _ folder: String?, _ names: [String]) throws -> String {
        var parts = ["flow \(flow.rawValue)"]
        if let folder {
            for name in names where FileSystem.exists("\(folder)/\(name)") {
                parts.append("\(name) \(try ContentHash.sha256(ofFile: "\(folder)/\(name)"))")
            }
        }
        return ContentHash.sha256(of: parts.joined(separator: "\n"))
    }

    // MARK: Routes

    /// Whether a route's encoder is the tuned one.
    func readsTuned(_ route: ImageRoute) -> Bool { route == .tuned || flow == .tuned }

    /// The encoder of a route.
    func encoder(for route: ImageRoute) -> any ImageEncoder { readsTuned(route) ? towers.tuned : towers.trunk }

    /// Pixels `[n, 3, S, S]` through a route's encoder: `[n, E]`.
    func tower(_ pixels: Tensor, _ route: ImageRoute) -> Tensor {
        switch route {
        case .original: towers.real(ImageBatch<Real>(pixels), reading: flow).tensor
        case .tuned: towers.generated(ImageBatch<Generated>(pixels)).tensor
        }
    }

    /// Encoder outputs `[n, E]` through a route's projection: `[n, D]`.
    func project(_ features: Tensor, _ route: ImageRoute) -> Tensor {
        switch route {
        case .original: projection(Embeddings<Real>(features)).tensor
        case .tuned: projection(Embeddings<Generated>(features)).tensor
        }
    }

    /// Real images `[B, 3, S, S]` to `[B, D]`.
    public func embed(_ images: ImageBatch<Real>) -> Embeddings<Real> {
        Embeddings<Real>(project(tower(images.pixels, .original).to(.float32), .original))
    }

    /// Generated images `[B, 3, S, S]` to `[B, D]`.
    public func embed(_ images: ImageBatch<Generated>) -> Embeddings<Generated> {
        Embeddings<Generated>(project(tower(images.pixels, .tuned).to(.float32), .tuned))
    }
}

/// Names of a run manifest's sources.
public enum AlignmentRole {
    public static let pairs = "pairs"
    public static let validation = "validation"
    public static let model = "model"

    /// What every alignment reads.
    static func sources(
        _ pairs: PairsManifest, _ validation: PairsManifest?, _ encoder: OpenEncoder, _ fingerprint: ModelFingerprint
    ) -> [RunManifest.Source] {
        let model = RunManifest.Source(
            role: model, path: encoder.folder.path, sha256: fingerprint.sha256,
            count: encoder.image.parameterCount().total)
        func source(_ role: String, _ manifest: PairsManifest) -> RunManifest.Source {
            .init(role: role, path: manifest.path, sha256: manifest.contentHash, count: manifest.count)
        }
        return [source(Self.pairs, pairs), model] + (validation.map { [source(Self.validation, $0)] } ?? [])
    }
}
