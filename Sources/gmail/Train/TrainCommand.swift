import ArgumentParser

/// `gmail train …`: models that see images through aligned encoders.
struct TrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a model on generated or real images.",
        subcommands: [TrainCaptioner.self])
}
