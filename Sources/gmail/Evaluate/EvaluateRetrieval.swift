import ArgumentParser
import Evaluation
import Files
import Foundation
import Safetensors
import Terminal
import Torch

/// `gmail evaluate retrieval`: image-text retrieval with a CLIP folder.
struct EvaluateRetrieval: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retrieval",
        abstract: "Recall at 1, 5 and 10 of image-to-text and text-to-image retrieval.",
        discussion: """
            Every image is compared with every caption by cosine in float32. A query counts as answered when any of its \
            positives is among the first k; candidates of equal score rank by index, and all captions of an image are used.

              gmail evaluate retrieval --model clip-vit-base-patch32 --captions captions_val2017.json --images val2017 --out metrics.json
            """)

    @Option(help: "Folder of the CLIP model.", completion: .directory)
    var model: String

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp(
            "A run of gmail align: images are real ones and go through its CLIP flow.", valueName: "folder"))
    var runFolder: String?

    @Option(help: "COCO's captions JSON, or Karpathy's dataset_coco.json.", completion: .file())
    var captions: String

    @Option(help: "Folder that the file names in --captions are below.", completion: .directory)
    var images: String

    @Option(help: "Split of Karpathy's file; test when left out.")
    var split: String?

    @Option(help: "Images or texts per batch.")
    var batchSize = 64

    @OptionGroup var compute: ComputeOptions

    @Option(help: "Where the metrics go (JSON).")
    var out: String

    @Flag(help: "Print the metrics as JSON on standard output.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false

    func validate() throws {
        guard batchSize >= 1 else { throw ValidationError("--batch-size is \(batchSize), expected 1 or more") }
    }

    func run() async throws {
        let data = try RetrievalSet(file: captions, folder: images, split: split)
        if data.withoutCaption > 0 {
            Terminal.note("note: \(data.withoutCaption) images of '\(captions)' have no caption and are left out")
        }
        let (device, dtype) = try compute.resolve()
        let embedder = try Embedder(
            folder: model, run: runFolder, modality: runFolder == nil ? nil : .real, device: device, dtype: dtype,
            batchSize: batchSize, quiet: quiet)
        let result = try await RetrievalEvaluation(embedder, data, captions: captions, images: images, rowsBeside: out)
        let text = try result.json()
        try AtomicFile.write(text, to: out)
        if json {
            try Terminal.output(text, terminator: "")
        } else {
            try Terminal.output(result.metrics.table)
            try Terminal.output("\(out) written")
        }
    }
}

/// What `gmail evaluate retrieval` computes and writes.
struct RetrievalEvaluation: Codable {
    struct Data: Codable {
        var captions: String
        var captionsSHA256: String
        var images: String
        var format: String
        var split: String?
        /// Images of the file that were left out, since no caption names them.
        var imagesWithoutCaption: Int

        enum CodingKeys: String, CodingKey {
            case captions, images, format, split
            case captionsSHA256 = "captions_sha256"
            case imagesWithoutCaption = "images_without_caption"
        }

        init(captions: String, images: String, _ data: RetrievalSet) throws {
            self.captions = captions
            captionsSHA256 = data.contentHash
            self.images = images
            format = data.format.rawValue
            split = data.split
            imagesWithoutCaption = data.withoutCaption
        }
    }

    var version = 1
    var task = "retrieval"
    var protocolTag: String
    var metrics: RetrievalMetrics
    var dtype: String
    var device: String
    var model: FeatureSidecar.Model
    var preprocessing: FeatureSidecar.Preprocessing
    var run: FeatureSidecar.Run?
    var data: Data
    var truncatedCaptions: Int

    enum CodingKeys: String, CodingKey {
        case version, task, metrics, dtype, device, model, preprocessing, run, data
        case protocolTag = "protocol"
        case truncatedCaptions = "truncated_captions"
    }

    /// - Parameter rowsBeside: a path in a folder with room for the features while they are made.
    /// - Throws: `CommandError` when an image cannot be decoded: recall over fewer images would be another number.
    init(
        _ embedder: Embedder, _ data: RetrievalSet, captions: String, images: String, rowsBeside: String
    ) async throws {
        var sidecar = FeatureSidecar()
        var summary = EmbedSummary(device: "\(embedder.device)", dtype: "\(embedder.dtype)", kernel: nil)
        let hash = try embedder.weightsHash()
        let imageRows = try FeatureRows(beside: rowsBeside, name: "images", dimension: embedder.dimension)
        try embedder.embedImages(data.images.map { "\(images)/\($0)" }, into: imageRows, &sidecar, &summary)
        if let first = sidecar.skipped.first {
            throw CommandError(
                "\(sidecar.skipped.count) of \(data.images.count) images could not be read, so recall would be over another set; the first: \(first.reason)"
            )
        }
        guard embedder.dimension == embedder.textDimension else {
            throw CommandError(
                "--run: its projections lead to \(embedder.dimension) dimensions, the text encoder has \(embedder.textDimension): images and texts cannot be compared"
            )
        }
        let textRows = try FeatureRows(beside: rowsBeside, name: "texts", dimension: embedder.textDimension)
        try embedder.embedTexts(data.captions, into: textRows, &sidecar, &summary)
        try await embedder.describe(&sidecar, weightsHash: hash)
        self.init(
            metrics: try Retrieval.metrics(
                images: imageRows.tensor(), texts: textRows.tensor(), imageOfText: data.imageOfCaption),
            sidecar: sidecar, data: try .init(captions: captions, images: images, data))
    }

    init(metrics: RetrievalMetrics, sidecar: FeatureSidecar, data: Data) {
        self.metrics = metrics
        protocolTag = metrics.protocolTag + ", features in \(sidecar.dtype)"
        dtype = sidecar.dtype
        device = sidecar.device
        model = sidecar.model
        preprocessing = sidecar.preprocessing
        run = sidecar.run
        self.data = data
        truncatedCaptions = sidecar.truncatedTexts.count
    }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}

extension RetrievalMetrics {
    /// Both directions for a terminal, chance beside each number.
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
