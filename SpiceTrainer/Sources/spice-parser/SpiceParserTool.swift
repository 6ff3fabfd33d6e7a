import ArgumentParser

/// Trains and measures the parser behind `spice-native`.
@main
struct SpiceParserTool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spice-parser",
        abstract: "Train and measure the caption parser of the spice-native metric.",
        subcommands: [Train.self, Measure.self, Evaluate.self, Tuples.self, Time.self])
}
