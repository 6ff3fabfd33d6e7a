import ArgumentParser
import Evaluation
import Files
import Foundation
import Safetensors
import Terminal
import Torch

/// `gmail evaluate retrieval`: image-text retrieval with an encoder that reads images and texts.
struct EvaluateRetrieval: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retrieval",
        abstract: "Recall at 1, 5 and 10 of image-to-text and text-to-image retrieval.",
        discussion: """
            Every image is compared with every caption by cosine in float32. A query counts as answered when any of its \
            positives is among the first k; candidates of equal score rank by index, and all captions of an image are used.

              gmail evaluate retrieval --model clip-vit-base-patch32 --captions captions_val2017.json --images val2017 --out metrics.json
            """)

    @OptionGroup var encoder: EncoderOptions

    @Option(help: "COCO's captions JSON, or Karpathy's dataset_coco.json.", completion: .file())
    var captions: String

    @Option(help: "Folder that the file names in --captions are below.", completion: .directory)
    var images: String

    @Option(help: "Split of Karpathy's file; test when left out.")
    var split: String?

    @OptionGroup var batch: BatchOptions

    @OptionGroup var compute: ComputeOptions

    @Option(help: "Where the metrics go (JSON).")
    var out: String

    @Flag(help: "Print the metrics as JSON on standard output.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false

    func run() async throws {
        let lock = try OutputLock(for: out, owner: "gmail evaluate retrieval")
        defer { withExtendedLifetime(lock) {} }
        let data = try RetrievalSet(file: captions, folder: images, split: split)
        if let note = data.note { Terminal.note("note: \(note)") }
        // The evaluation itself refuses an unreadable image, because recall over fewer images would be another number.
        let embedder = try encoder.embedder(
            compute, modality: .real, batchSize: batch.batchSize, maximumSkippedShare: 1, quiet: quiet)
        let result = try await RetrievalEvaluation(embedder, data, captions: captions, images: images, rowsBeside: out)
        let text = try result.json()
        try AtomicFile.write(text, to: out)
        if json {
            try Terminal.output(json: text, terminator: "")
        } else {
            try Terminal.output(result.metrics.table)
            try Terminal.output("\(out) written")
        }
    }
}

extension RetrievalMetrics {
    /// Both directions for a terminal, with chance beside each number.
    var table: String {
        func row(_ name: String, _ d: Direction) -> String {
            String(
                format: "%@  %5.1f (%4.1f)   %5.1f (%4.1f)   %5.1f (%4.1f)   %8.1f", name, d.recallAt1 * 100,
                d.chanceAt1 * 100,
                d.recallAt5 * 100, d.chanceAt5 * 100, d.recallAt10 * 100, d.chanceAt10 * 100, d.medianRank)
        }
        return """
            \(imageCount) images, \(textCount) captions; recall in % (chance)
                             R@1            R@5           R@10   median rank
            \(row("image to text ", imageToText))
            \(row("text to image ", textToImage))
            """
    }
}
