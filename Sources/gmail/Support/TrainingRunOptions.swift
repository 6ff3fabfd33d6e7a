import ArgumentParser

/// What every command that trains on a pairs manifest takes, beside its models and data.
struct TrainingRunOptions: ParsableArguments {
    @Option(help: "The run's folder.")
    var out: String

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Change a setting of the recipe; may be repeated.", valueName: "key=value"))
    var overrides: [String] = []

    @Flag(help: "Go on with the run in --out where its last checkpoint stands.")
    var resume = false

    @Option(help: "Features of the frozen encoders, shared by runs; default: the cache folder that gmail doctor names.")
    var cache: String?

    @OptionGroup var device: DeviceOptions

    @Flag(help: "Print a summary as JSON on standard output.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false
}
