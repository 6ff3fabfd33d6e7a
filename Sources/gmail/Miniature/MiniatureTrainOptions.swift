import ArgumentParser
import Files
import Foundation
import Miniature
import Terminal
import Torch
import Training

/// The options that all trainings of small models have.
struct MiniatureTrainOptions: ParsableArguments {
    @Option(help: "The run's folder.", completion: .directory)
    var out: String

    @Option(help: "Name of a shipped recipe, or a YAML file; default: the model's own.")
    var recipe: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Change a setting of the recipe; may be repeated.", valueName: "key=value"))
    var overrides: [String] = []

    @Flag(help: "Go on with the run in --out where its last checkpoint stands.")
    var resume = false

    @OptionGroup var threads: ThreadOptions

    @Flag(help: "No progress.")
    var quiet = false

    /// Trains; exits with the code of a signal that stopped it.
    /// - Parameter name: the recipe to use without --recipe.
    func train<R: MiniatureRecipe>(
        _ type: R.Type, _ name: String, inputs: [MiniatureTrainer<R>.Input] = [], hasPictures: Bool = true,
        objective: @escaping (R, SceneData, SceneData, String) throws -> any Objective
    ) throws {
        let recipe = try R(recipe ?? name, overrides: overrides)
        let stop = StopSignal()
        stop.listen()
        try threads.apply()
        try TorchRuntime.keepFreedMemory()
        let trainer = MiniatureTrainer(
            recipe, path: out, inputs: inputs, hasPictures: hasPictures, objective: objective)
        let bar = JobProgress(
            "rendering", total: recipe.data.scenes + recipe.data.validationScenes, unit: "scenes", quiet: quiet)
        var rendered = 0
        let outcome = try trainer.run(
            resume: resume, versions: Gmail.versions(), stop: stop,
            progress: ProgressReporter(style: .automatic(quiet: quiet), total: recipe.training.steps ?? 0)
        ) { done, _ in
            bar.advance(by: done - rendered)
            rendered = done
        }
        try conclude(outcome.exitCode) {
            switch outcome {
            case .finished(let step): try Terminal.output("\(trainer.modelFolder) written (\(step) steps)")
            case .interrupted(let step, _): try Terminal.output("\(out): stopped at step \(step); go on with --resume")
            }
        }
    }
}

/// `gmail miniature train clip`
struct MiniatureTrainCLIP: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clip", abstract: "Train the small CLIP: the encoder of real images, f_r.")

    @OptionGroup var options: MiniatureTrainOptions

    func run() throws {
        try options.train(CLIPRecipe.self, "clip") {
            try CLIPObjective($0, train: $1, validation: $2, scratch: $3)
        }
    }
}

/// `gmail miniature train autoencoder`
struct MiniatureTrainAutoencoder: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "autoencoder", abstract: "Train the small autoencoder between pictures and latents.")

    @OptionGroup var options: MiniatureTrainOptions

    func run() throws {
        try options.train(AutoencoderRecipe.self, "autoencoder") { recipe, train, validation, _ in
            AutoencoderObjective(recipe, train: train, validation: validation)
        }
    }
}

/// `gmail miniature train unet`
struct MiniatureTrainUNet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unet",
        abstract: "Train the small denoiser; RUN/model is then a complete Stable Diffusion folder.")

    @Option(help: "Folder of the small CLIP, whose text tower conditions.", completion: .directory)
    var clip: String

    @Option(help: "Folder of the small autoencoder.", completion: .directory)
    var autoencoder: String

    @OptionGroup var options: MiniatureTrainOptions

    func run() throws {
        let inputs: [MiniatureTrainer<UNetRecipe>.Input] = [
            .init(role: "clip", path: "\(clip)/model.safetensors"),
            .init(role: "autoencoder", path: "\(autoencoder)/diffusion_pytorch_model.safetensors"),
        ]
        for input in inputs where !FileSystem.exists(input.path) {
            throw CommandError(
                "--\(input.role): '\(input.path)' does not exist; give the folder that `gmail miniature train \(input.role)` wrote (RUN/model)"
            )
        }
        try options.train(UNetRecipe.self, "unet", inputs: inputs) { recipe, train, validation, _ in
            try UNetObjective(recipe, train: train, validation: validation, clip: clip, autoencoder: autoencoder)
        }
    }
}

/// `gmail miniature train language-model`
struct MiniatureTrainLanguageModel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "language-model", abstract: "Train the small GPT-2 on captions.")

    @OptionGroup var options: MiniatureTrainOptions

    func run() throws {
        try options.train(LanguageModelRecipe.self, "language-model", hasPictures: false) {
            try LanguageModelObjective($0, train: $1, validation: $2, scratch: $3)
        }
    }
}
