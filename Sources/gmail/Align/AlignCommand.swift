import Alignment
import ArgumentParser
import Files
import Torch
import Training

/// `gmail align`: trains f_g against f_r.
struct AlignCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "align",
        abstract: "Align the encoder of generated images with the one of real images.",
        discussion: """
            Trains f_g (a copy of the image encoder with LoRA) on generated images, so that each lands where the frozen \
            f_r puts the real image of the same caption (GMAIL, ICML 2025, Eq. 1). Writes a run folder: recipe.yaml, \
            manifest.json, metrics.jsonl, TensorBoard events, and checkpoints whose adapter PEFT can load.

            Ctrl-C and SIGTERM write a checkpoint and stop; --resume goes on at the same step, to the same bits.

              gmail align --recipe gmail --model clip-vit-base-patch32 --pairs pairs.jsonl --out runs/gmail \\
                  --set training.batchSize=64 --set training.steps=2000

            Shipped recipes: \(AlignmentRecipe.shippedNames.joined(separator: ", ")).
            """)

    @Option(help: "Name of a shipped recipe, or a YAML file.")
    var recipe: String

    @Option(help: "Folder of the encoder: CLIP, Long-CLIP, SigLIP or SynCLR.", completion: .directory)
    var model: String

    @Option(help: "Pairs manifest (JSON Lines).", completion: .file())
    var pairs: String

    @Option(help: "Held-out pairs: loss, paired cosine and recall on them show whether the generated data helps.")
    var validation: String?

    @OptionGroup var options: TrainingRunOptions

    func run() async throws {
        let recipe = try AlignmentRecipe(recipe, overrides: options.overrides)
        func inputs(_ device: Device, _ cache: String) -> AlignmentTrainer.Inputs {
            .init(model: model, pairs: pairs, validation: validation, cache: cache, hashes: .command, device: device)
        }
        if recipe.loss.kind.closedForm != nil {
            try options.train(recipe, command: "gmail align", ending: RunEnding(checkpoint: "projections")) {
                .train(try ClosedFormTrainer(recipe, inputs($0, $1), note: $2.note))
            }
            return
        }
        try options.train(
            recipe, command: "gmail align", ending: RunEnding(checkpoint: "adapter and projections")
        ) { device, cache, job in
            guard recipe.trainsSomething else {
                return RunStart<AlignmentTrainer>.nothingToTrain(
                    try .untrained(recipe, inputs(device, cache), versions: job.versions))
            }
            return .train(try AlignmentTrainer(recipe, inputs(device, cache), note: job.note))
        }
    }
}
