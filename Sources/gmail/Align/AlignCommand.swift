import Alignment
import ArgumentParser
import Encoders
import Files
import Foundation
import Torch
import Training

/// `gmail align`: trains f_g against f_r.
struct AlignCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "align",
        abstract: "Align the encoder of generated images with the one of real images.",
        discussion: """
            Trains f_g (a copy of CLIP's image encoder with LoRA) on generated images, so that each lands where the frozen \
            f_r puts the real image of the same caption (GMAIL, ICML 2025, Eq. 1). Writes a run folder: recipe.yaml, \
            manifest.json, metrics.jsonl, TensorBoard events, and checkpoints whose adapter PEFT can load.

            Ctrl-C and SIGTERM write a checkpoint and stop; --resume goes on at the same step, to the same bits.

              gmail align --recipe gmail --model clip-vit-base-patch32 --pairs pairs.jsonl --out runs/gmail \\
                  --set training.batchSize=64 --set training.steps=2000

            Shipped recipes: \(AlignmentRecipe.shippedNames.joined(separator: ", ")).
            """)

    @Option(help: "Name of a shipped recipe, or a YAML file.")
    var recipe: String

    @Option(help: "Folder of the CLIP model.", completion: .directory)
    var model: String

    @Option(help: "Pairs manifest (JSON Lines).", completion: .file())
    var pairs: String

    @Option(help: "Held-out pairs: loss, paired cosine and recall on them show whether the generated data helps.")
    var validation: String?

    @OptionGroup var options: TrainingRunOptions

    func run() async throws {
        let recipe = try AlignmentRecipe(recipe, overrides: options.overrides)
        try options.train(recipe, ending: RunEnding(checkpoint: "adapter and projections")) { setup in
            let weightsHash = try setup.hashes.sha256(of: CLIPCheckpoint.path(folder: model))
            guard recipe.trainsSomething else {
                return RunStart<AlignmentTrainer>.nothingToTrain(
                    try .untrained(
                        recipe, model: model, weightsHash: weightsHash, pairs: pairs, device: setup.device,
                        versions: setup.versions))
            }
            let inputs = AlignmentTrainer.Inputs(
                model: model, pairs: pairs, validation: validation, cache: setup.cache, weightsHash: weightsHash,
                device: setup.device)
            return .train(try AlignmentTrainer(recipe, inputs, note: setup.note))
        }
    }
}

extension AlignmentTrainer: RunnableTrainer {
    var loopSettings: LoopSettings { LoopSettings(recipe, pairCount: manifest.count) }
}

extension AlignmentRecipe {
    /// Whether a run of it changes any weight; rows of the paper without alignment do not.
    var trainsSomething: Bool { loss.kind != .none || loss.generatedTextWeight > 0 || loss.realTextWeight > 0 }
}

extension RunManifest {
    /// Of a run that trains nothing: it says which encoder reads what, for the steps that follow.
    static func untrained(
        _ recipe: AlignmentRecipe, model: String, weightsHash: String, pairs: String, device: Device,
        versions: [String: String]
    ) throws -> RunManifest {
        RunManifest(
            sources: [
                .init(role: "pairs", path: pairs, sha256: try FileHashes().sha256(of: pairs)),
                .init(role: "model", path: model, sha256: weightsHash),
            ], parameterGroups: [], frozenElements: 0, seed: recipe.training.seed, device: "\(device)",
            dtype: "float32",
            versions: versions, steps: 0)
    }
}
