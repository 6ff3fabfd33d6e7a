import ArgumentParser
import Files

/// `gmail model …`: model folders made of others.
struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model",
        abstract: "Make model folders: convert authors' files, stretch a CLIP for long captions.",
        subcommands: [ModelConvert.self, ModelStretch.self])

    /// - Throws: `CommandError` where a model lies already.
    static func checkNew(_ out: String) throws {
        for name in ["config.json", "open_clip_config.json"] where FileSystem.exists("\(out)/\(name)") {
            throw CommandError("--out: '\(out)' holds a model already; give a new folder")
        }
    }
}
