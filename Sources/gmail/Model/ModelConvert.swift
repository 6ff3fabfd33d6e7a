import ArgumentParser
import Encoders
import Files
import Terminal
import Torch

/// `gmail model convert`: an encoder's weights as safetensors with the files that describe them.
struct ModelConvert: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Write an encoder as a folder of safetensors and configuration.",
        discussion: """
            Reads authors' checkpoints (.pt, .pth; nothing in them is executed): Long-CLIP and CLIP in OpenAI's names, which \
            become a Hugging Face CLIP folder, and SynCLR's vision transformers, which become a folder of timm's. Reads every \
            encoder folder too: open_clip's becomes Hugging Face's.

              gmail model convert --model longclip-B.pt --tokenizer clip-vit-base-patch16 --out longclip-base
              gmail model convert --model synclr_vit_b_16.pth --out synclr-base
            """)

    @Option(help: "A checkpoint (.pt, .pth), or an encoder's folder.", completion: .file())
    var model: String

    @Option(
        help:
            "Folder whose tokenizer reads the model's texts (CLIP's, for Long-CLIP); default: the one beside the model.",
        completion: .directory)
    var tokenizer: String?

    @Option(help: "The folder to write.")
    var out: String

    func run() throws {
        try TorchRuntime.load()
        try ModelCommand.checkNew(out)
        let isFile = FileSystem.exists(model) && !FileSystem.isFolder(model)
        let encoder = try isFile ? EncoderFolder.open(checkpoint: model) : EncoderFolder.open(model)
        encoder.notes.forEach(Terminal.note)
        try FileSystem.createFolder(out)
        let lock = try FolderLock(folder: out, owner: "gmail model convert")
        defer { withExtendedLifetime(lock) {} }
        try encoder.write(encoder.image, to: out, tokenizer: tokenizer)
        try Terminal.output("\(out) written")
        if encoder.text != nil, try !EncoderFolder.hasTokenizer(out) {
            Terminal.note("\(out) has no tokenizer, so it reads images alone; --tokenizer names a folder that has one")
        }
    }
}
