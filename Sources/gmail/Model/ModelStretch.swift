import ArgumentParser
import Encoders
import Files
import Terminal
import Torch

/// `gmail model stretch`: a CLIP with more text positions, from which a training on long captions starts.
struct ModelStretch: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stretch",
        abstract: "Give a CLIP the text positions of Long-CLIP.",
        discussion: """
            Keeps the first 20 text positions and stretches the others by linear interpolation, four times for 248, as the \
            authors of Long-CLIP do before they train. Everything else stays as it is. The result is an ordinary Hugging Face \
            CLIP folder.

              gmail model stretch --model clip-vit-base-patch16 --context 248 --out long-clip-start
            """)

    @Option(help: "Folder of the CLIP.", completion: .directory)
    var model: String

    @Option(help: "Text positions wanted.")
    var context = 248

    @Option(help: "The folder to write.")
    var out: String

    func run() throws {
        try TorchRuntime.load()
        try ModelCommand.checkNew(out)
        let encoder = try EncoderFolder.open(model)
        try LongCLIP.checkStretch(encoder, context: context)
        try FileSystem.createFolder(out)
        let lock = try FolderLock(folder: out, owner: "gmail model stretch")
        defer { withExtendedLifetime(lock) {} }
        try LongCLIP.stretch(encoder, context: context, to: out)
        try Terminal.output("\(out) written: \(context) text positions")
    }
}
