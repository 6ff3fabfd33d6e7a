import Adapters
import Encoders
import Files
import Foundation
import Safetensors
import Torch
import TorchNN
import Training

/// A finished (or running) alignment, ready to embed: the base CLIP, the newest checkpoint's adapter and projections.
///
/// The modality of the images decides the route: real images go through `f_r` (or the tuned encoder, as the recipe's
/// `evaluation.clipFlow` says) and the projection for real, generated ones through `f_g` and the projection for
/// generated. Embeddings are in the shared space, not normalised.
public final class AlignedModel {
    public let towers: ModalityTowers
    public let projection: DualProjection
    public let flow: CLIPFlow
    public let recipe: AlignmentRecipe
    /// Steps that the weights have been trained for; 0 for a recipe that trains nothing.
    public let step: Int
    /// The checkpoint's folder; nil for a recipe that trains nothing.
    public let checkpoint: String?

    /// - Parameters:
    ///   - run: the run's folder.
    ///   - clip: the base model that the run was begun with.
    ///   - weightsHash: SHA-256 of `clip`'s weights, compared with the run's manifest; nil skips the comparison.
    /// - Throws: `TrainingError` for a folder that is no run, `AlignmentError.anotherBase` for another model,
    ///   `AlignmentError.noCheckpoint` for a run that has not written one, `AdapterError`, `StateMismatch`.
    public init(run path: String, clip: CLIPModel, weightsHash: String?) throws {
        let run = try RunFolder.open(path)
        recipe = try run.recipe()
        flow = CLIPFlow(recipe.evaluation.clipFlow)
        if let weightsHash, let base = try run.manifest().sources.first(where: { $0.role == "model" }) {
            guard base.sha256 == weightsHash else {
                throw AlignmentError.anotherBase(
                    run: path, expected: "\(base.path) (\(base.sha256.prefix(12)))", got: String(weightsHash.prefix(12))
                )
            }
        }
        let device = clip.logitScale.device
        let latest = try run.checkpoints.latest()
        step = latest?.step ?? 0
        checkpoint = latest?.folder
        let trains = recipe.adapter.kind != .none || recipe.projection.kind != .none
        guard latest != nil || !trains else { throw AlignmentError.noCheckpoint(run: path) }
        switch recipe.adapter.kind {
        case .lora:
            guard let latest else { throw AlignmentError.noCheckpoint(run: path) }
            towers = try ModalityTowers(trunk: clip, adapterFolder: latest.folder)
            // Merged: the adapter costs nothing at inference.
            towers.adapter?.merge()
        case .full:
            guard let latest else { throw AlignmentError.noCheckpoint(run: path) }
            towers = try ModalityTowers(trunk: clip, tuning: .full, generator: Generator(seed: 0))
            let weights = try Weights(path: "\(latest.folder)/\(AlignmentTask.Files.encoder)")
            try AlignmentTask.overwrite(towers.trainedParameters, from: weights, model: "encoder")
            towers.tuned.weightsDidChange()
        case .none:
            towers = try ModalityTowers(trunk: clip, tuning: .frozen, generator: Generator(seed: 0))
        }
        projection = try DualProjection(
            ProjectionConfiguration(recipe.projection), input: clip.configuration.projectionDimension,
            generator: Generator(seed: 0), device: device)
        if let latest, !projection.namedTensors().isEmpty {
            try AlignmentTask.overwrite(
                projection.namedTensors(), from: Weights(path: "\(latest.folder)/\(AlignmentTask.Files.projections)"),
                model: "DualProjection")
        }
        projection.setTraining(false)
    }

    /// Real images `[B, 3, S, S]` to `[B, D]`.
    public func embed(_ images: ImageBatch<Real>) -> Embeddings<Real> {
        projection(Embeddings<Real>(towers.real(images, reading: flow).tensor.to(.float32)))
    }

    /// Generated images `[B, 3, S, S]` to `[B, D]`.
    public func embed(_ images: ImageBatch<Generated>) -> Embeddings<Generated> {
        projection(Embeddings<Generated>(towers.generated(images).tensor.to(.float32)))
    }

    /// Images whose modality a command's argument tells: `[B, 3, S, S]` to `[B, D]`.
    public func embed(_ images: TaggedImages) throws -> Tensor {
        switch images.modality {
        case .real: embed(try ImageBatch<Real>(images)).tensor
        case .generated: embed(try ImageBatch<Generated>(images)).tensor
        }
    }

    /// Writes the tuned CLIP with the adapter merged into it, as a model folder of its own.
    ///
    /// The image tower of the result is `f_g`; text tower and configuration are the base's. Projections of the shared
    /// space have no place in a CLIP model and are written beside it.
    /// - Parameter folder: of the base model, whose tokenizer and preprocessing files are copied.
    public func exportMerged(to out: String, base folder: String) throws {
        guard let clip = towers.tuned as? CLIPModel else { return }
        try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
        try AtomicFile.write(clip.configuration.huggingFaceJSON, to: "\(out)/config.json")
        // Merged layers keep their A and B beside the weight; a CLIP model has no place for them.
        let tensors = clip.namedTensors().filter { $0.kind != .derived && !$0.key.contains(".lora_") }
        try Weights.save(
            tensors.map { ($0.key, $0.tensor) }, metadata: ["format": "pt"], to: "\(out)/model.safetensors")
        if !projection.namedTensors().isEmpty {
            try projection.save(to: "\(out)/projections.safetensors", metadata: ["format": "pt"])
        }
        let copied = [
            "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
            "special_tokens_map.json",
        ]
        for name in copied {
            guard let data = FileManager.default.contents(atPath: "\(folder)/\(name)") else { continue }
            try AtomicFile.write([UInt8](data), to: "\(out)/\(name)")
        }
    }

    /// Writes the adapter alone, in PEFT's layout, and the projections beside it.
    /// - Throws: `AlignmentError.invalidSetting` when the run has no adapter.
    public func exportAdapter(to out: String, base folder: String) throws {
        guard let adapter = towers.adapter else {
            throw AlignmentError.invalidSetting(
                setting: "--adapter", expected: "a run with adapter.kind lora", got: recipe.adapter.kind.rawValue)
        }
        try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
        try adapter.save(to: out, baseModel: folder)
        if !projection.namedTensors().isEmpty {
            try projection.save(to: "\(out)/projections.safetensors", metadata: ["format": "pt"])
        }
    }
}
