import Alignment
import ArgumentParser
import Files
import Foundation
import Images
import Terminal

/// `gmail embed`: embeddings of images and texts.
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

    @OptionGroup var encoder: EncoderOptions

    @Option(parsing: .upToNextOption, help: "Image files and folders; folders are searched recursively, in path order.")
    var images: [String] = []

    @Option(help: "Text file, one text per line.", completion: .file())
    var texts: String?

    @Option(help: "Where the features go (safetensors).")
    var out: String

    @Option(
        help:
            "With --run or --adapter, what the images are: real (read by f_r) or generated (read by f_g); an adapter reads them as generated unless told."
    )
    var modality: Modality?

    @OptionGroup(title: "Reading images") var reading: ImageOptions

    @OptionGroup var compute: ComputeOptions

    @OptionGroup var batch: BatchOptions

    @Option(
        help: """
            Share of the images found that may be skipped (unreadable, or in a format that is not decoded), 0 to 1; beyond \
            it nothing is written and the exit code is 1.
            """)
    var maximumSkippedShare = 0.5

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
        guard modality == nil || encoder.alignment != nil else {
            throw ValidationError("--modality says which encoder of a run reads the images: add --run or --adapter")
        }
        guard encoder.runFolder == nil || modality != nil else {
            throw ValidationError(
                "--run has one encoder for real and one for generated images: add --modality real or generated")
        }
        try Check.range("--reduced-decode", reducedDecode, 1...1000, "1 to 1000")
        try Check.range("--maximum-skipped-share", maximumSkippedShare, 0...1, "0 to 1")
    }

    func run() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let lock = try OutputLock(for: out, owner: "gmail embed")
        defer { withExtendedLifetime(lock) {} }
        let found = try ImageOptions.images(images)
        if !quiet { for skipped in found.skipped { Terminal.note("skipped \(skipped.reason)") } }
        let lines = try texts.map(Self.lines)
        let embedder = try encoder.embedder(
            compute, modality: modality ?? (encoder.adapter == nil ? .real : .generated), batchSize: batch.batchSize,
            reducedDecode: reducedDecode, maximumSkippedShare: maximumSkippedShare, quiet: quiet)
        embedder.reader.preprocessing = try reading.applied(to: embedder.reader.preprocessing)
        let (sidecar, measured) = try await embedder.write(
            images: found.files, skipped: found.skipped, texts: lines, to: out)
        var summary = measured
        summary.totalSeconds = (clock.now - start).seconds
        try report(summary, sidecar)
    }

    /// Lines of a UTF-8 file; an empty line is an empty text and keeps its row.
    private static func lines(_ path: String) throws -> [String] {
        let lines = try TextLines(path: path).texts()
        for (index, line) in lines.enumerated() {
            if let excess = TextLimit.excess(of: line) {
                throw CommandError(
                    "--texts: '\(path)' line \(index + 1): expected \(TextLimit.expectation), got \(excess)")
            }
        }
        guard !lines.isEmpty else { throw CommandError("--texts: '\(path)' is empty") }
        return lines
    }

    private func report(_ summary: EmbedSummary, _ sidecar: FeatureSidecar) throws {
        if json {
            try Terminal.output(json: summary.json(out: out))
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
