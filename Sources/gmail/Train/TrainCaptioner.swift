import ArgumentParser
import Captioning
import Files
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

    @Option(help: "Folder of the encoder (CLIP: Hugging Face's or open_clip's).", completion: .directory)
    var model: String

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp("A run of gmail align: f_g and the projections.", valueName: "folder"))
    var alignment: String?

    @Option(
        help: ArgumentHelp(
            "Instead of --run: an adapter in PEFT's layout, made anywhere, as f_g.", valueName: "folder"),
        completion: .directory)
    var adapter: String?

    @Option(help: "Folder of the language model, GPT-2 of any size.", completion: .directory)
    var languageModel: String

    @Option(help: "Pairs manifest (JSON Lines).", completion: .file())
    var pairs: String

    @Option(help: "Held-out pairs: the loss on them, on real images as they are captioned later.", completion: .file())
    var validation: String?

    @OptionGroup var options: TrainingRunOptions

    func validate() throws {
        guard alignment == nil || adapter == nil else {
            throw ValidationError("--run and --adapter are two alignments: give one")
        }
    }

    func run() async throws {
        let recipe = try CaptionerRecipe(recipe, overrides: options.overrides)
        let ending = RunEnding(next: "caption with gmail caption --run \(options.out) IMAGE")
        try options.train(recipe, command: "gmail train captioner", ending: ending) { device, cache, job in
            let inputs = CaptionerTrainer.Inputs(
                model: model, alignment: alignment, adapter: adapter, languageModel: languageModel, pairs: pairs,
                validation: validation, cache: cache, hashes: .command, device: device)
            return .train(try CaptionerTrainer(recipe, inputs, note: job.note))
        }
    }
}
