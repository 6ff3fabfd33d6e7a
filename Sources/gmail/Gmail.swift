import ArgumentParser

/// The command `gmail`.
@main
struct Gmail: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gmail",
        abstract: "Train vision-language models on generated images, serve them on real ones.",
        version: "0.1.0",
        subcommands: [DemoCommand.self, EmbedCommand.self, Evaluate.self, DoctorCommand.self])
}

/// `gmail evaluate …`: every subcommand writes a metrics file that says which protocol made each number.
struct Evaluate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compute metrics; every number carries the protocol that made it.",
        subcommands: [EvaluateRetrieval.self])
}
