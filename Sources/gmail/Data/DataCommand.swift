import ArgumentParser

/// `gmail data …`: prepares and checks the data that other commands read.
struct DataCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data",
        abstract: "Check and prepare data that other commands read.",
        subcommands: [DataCheck.self, DataUnpack.self, DataMeteor.self])
}
