import ArgumentParser

/// `gmail miniature …`: the small world and the small models.
struct MiniatureCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "miniature",
        abstract: "The small world that everything is tried on, and the small models trained on it.",
        subcommands: [MiniatureRender.self, MiniatureTrain.self, MiniatureCollect.self])
}

/// `gmail miniature train …`
struct MiniatureTrain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a small model on renders of the train split.",
        discussion: """
            Writes a run folder (recipe.yaml, manifest.json, metrics.jsonl, TensorBoard events, checkpoints, sessions.jsonl) \
            with the finished model in RUN/model, in the formats of the big ones. Ctrl-C and SIGTERM write a checkpoint and \
            stop; --resume goes on at the same step, to the same bits.
            """,
        subcommands: [
            MiniatureTrainCLIP.self, MiniatureTrainAutoencoder.self, MiniatureTrainUNet.self,
            MiniatureTrainLanguageModel.self,
        ])
}
