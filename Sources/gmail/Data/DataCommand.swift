import ArgumentParser

/// `gmail data …`: prepares tables that are taken from elsewhere once and then read by other commands.
struct DataCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data",
        abstract: "Prepare data that other commands read.",
        subcommands: [DataMeteor.self])
}
