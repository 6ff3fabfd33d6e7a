import ArgumentParser
import Captioning
import Datasets
import Encoders
import LanguageModels
import Training

/// `gmail train captioner`: ClipCap on GPT-2, on generated or real images.
struct TrainCaptioner: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "captioner",
        abstract: "Train a captioner (ClipCap on GPT-2) on the pairs of a manifest.",
        discussion: """
            The recipe's data.source says which images are read and by which encoder: real through f_r; generated through \
            f_r (nothing aligned); mixed, both through one encoder; gmail, generated through f_g of the alignment run given \
            with --run; gmail-plus-real, both, each through its own. Features are computed once per image and kept in a \
            cache. Writes a run folder: recipe.yaml, manifest.json, metrics.jsonl, TensorBoard events, checkpoints.

            Ctrl-C and SIGTERM write a checkpoint and stop; --resume goes on at the same step, to the same bits.

              gmail train captioner --recipe gmail --model clip-vit-base-patch32 --run runs/gmail \\
                  --language-model gpt2 --pairs pairs.jsonl --out runs/captioner

            Shipped recipes: \(CaptionerRecipe.shippedNames.joined(separator: ", ")).
            """)

    @Option(help: "Name of a shipped recipe, or a YAML file.")
    var recipe: String

    @Option(help: "Folder of the CLIP model.", completion: .directory)
    var model: String

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp("A run of gmail align: f_g and the projections.", valueName: "folder"))
    var alignment: String?

    @Option(help: "Folder of the language model, GPT-2 of any size.", completion: .directory)
    var languageModel: String

    @Option(help: "Pairs manifest (JSON Lines).", completion: .file())
    var pairs: String

    @Option(help: "Held-out pairs: the loss on them, on real images as they are captioned later.", completion: .file())
    var validation: String?

    @OptionGroup var options: TrainingRunOptions

    func run() async throws {
        let recipe = try CaptionerRecipe(recipe, overrides: options.overrides)
        let ending = RunEnding(next: "caption with gmail caption --run \(options.out) IMAGE")
        try options.train(recipe, ending: ending) { setup in
            let inputs = CaptionerTrainer.Inputs(
                model: model, alignment: alignment, languageModel: languageModel, pairs: pairs, validation: validation,
                cache: setup.cache, modelHash: try setup.hashes.sha256(of: CLIPCheckpoint.path(folder: model)),
                languageModelHash: try LanguageModelFiles.hash(folder: languageModel, setup.hashes.sha256),
                device: setup.device)
            return .train(try CaptionerTrainer(recipe, inputs, note: setup.note))
        }
    }
}

extension CaptionerTrainer: RunnableTrainer {
    var loopSettings: LoopSettings { LoopSettings(recipe, sampleCount: sampleCount) }

    /// The features say what cannot be read, whatever was skipped before a resume.
    func batches(from position: SamplerPosition, skipped: [SkippedSample]) throws -> CaptionBatches {
        try batches(from: position)
    }
}
