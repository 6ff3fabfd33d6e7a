import Alignment
import ArgumentParser
import Files
import Foundation
import Images
import Terminal

/// `gmail embed`: CLIP embeddings of images and texts.
struct EmbedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed",
        abstract: "Embed images and texts with a CLIP model.",
        discussion: """
            Writes image_embeds [N, D] and text_embeds [M, D], L2-normalised float32, to the file given by --out, and beside \
            it a .json with the names in row order, the hashes of model and preprocessing, and every skipped file with its \
            reason. The model is a Hugging Face CLIP folder or one of open_clip's.

              gmail embed --model clip-vit-base-patch32 --images photos/ --out features.safetensors
            """)

    @Option(help: "Folder of the CLIP model.", completion: .directory)
    var model: String

    @Option(parsing: .upToNextOption, help: "Image files and folders; folders are searched recursively, in path order.")
    var images: [String] = []

    @Option(help: "Text file, one text per line.", completion: .file())
    var texts: String?

    @Option(help: "Where the features go (safetensors).")
    var out: String

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp("A run of gmail align: images go through its encoders and projections.", valueName: "folder")
    )
    var runFolder: String?

    @Option(help: "With --run, what the images are: real (read by f_r) or generated (read by f_g).")
    var modality: Modality?

    @OptionGroup(title: "Reading images") var reading: ImageOptions

    @OptionGroup var compute: ComputeOptions

    @Option(help: "Images or texts per batch.")
    var batchSize = 64

    @Option(
        help: """
            Decode large JPEGs at a reduced scale that still is this many times the model's size (2 is a good choice). \
            Faster; it changes pixels, so embeddings differ slightly from the reference.
            """)
    var reducedDecode: Double?

    @Flag(help: "Print a summary as JSON on standard output.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false

    func validate() throws {
        guard !images.isEmpty || texts != nil else {
            throw ValidationError("nothing to embed: give --images, --texts or both")
        }
        guard (runFolder == nil) == (modality == nil) else {
            throw ValidationError(
                runFolder == nil
                    ? "--modality says which encoder of a run reads the images: add --run"
                    : "--run has one encoder for real and one for generated images: add --modality real or generated")
        }
        guard batchSize >= 1 else { throw ValidationError("--batch-size is \(batchSize), expected 1 or more") }
        if let reducedDecode, !(reducedDecode >= 1 && reducedDecode.isFinite) {
            throw ValidationError("--reduced-decode is \(reducedDecode), expected 1 or more")
        }
    }

    func run() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let found = try ImageOptions.images(images, option: "--images: ")
        let lines = try texts.map(Self.lines)

        let (device, dtype) = try compute.resolve()
        let embedder = try Embedder(
            folder: model, run: runFolder, modality: modality, device: device, dtype: dtype, batchSize: batchSize,
            reading: reading, reducedDecode: reducedDecode, quiet: quiet)
        let (sidecar, measured) = try await embedder.write(images: found, texts: lines, to: out)
        var summary = measured
        summary.totalSeconds = (clock.now - start).seconds
        try report(summary, sidecar)
    }

    /// Lines of a UTF-8 file; an empty line is an empty text and keeps its row. The end of the last line is no line.
    private static func lines(_ path: String) throws -> [String] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandError("--texts: '\(path)' cannot be read")
        }
        guard let text = String(bytes: data, encoding: .utf8) else {
            throw CommandError("--texts: '\(path)' is not UTF-8")
        }
        var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(String.init)
        if lines.last == "" { lines.removeLast() }
        guard !lines.isEmpty else { throw CommandError("--texts: '\(path)' is empty") }
        return lines
    }

    private func report(_ summary: EmbedSummary, _ sidecar: FeatureSidecar) throws {
        if json {
            try Terminal.output(summary.json(out: out))
            return
        }
        guard !quiet else { return }
        if let images = summary.images {
            try Terminal.output(
                String(
                    format:
                        "%d images, %.1f images/s (decode %.2f s, preprocessing %.2f s, model %.2f s, waiting for data %.2f s)",
                    images, summary.imagesPerSecond, summary.decodeSeconds, summary.preprocessingSeconds,
                    summary.modelSeconds,
                    summary.waitingSeconds))
        }
        if let texts = summary.texts { try Terminal.output("\(texts) texts") }
        if summary.skipped > 0 {
            try Terminal.output("\(summary.skipped) files skipped; \(FeatureSidecar.path(for: out)) says why")
        }
        try Terminal.output("\(out) written (\(summary.dtype) on \(summary.device))")
    }
}

extension Modality: ExpressibleByArgument {}
