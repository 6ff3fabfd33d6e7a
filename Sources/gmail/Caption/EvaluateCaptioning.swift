import Alignment
import ArgumentParser
import CaptionMetrics
import Captioning
import Datasets
import Files
import Foundation
import Safetensors
import Terminal
import Torch

/// `gmail evaluate captioning`: captions a set's images and scores them.
struct EvaluateCaptioning: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "captioning",
        abstract: "Caption the images of a set and score the captions.",
        discussion: """
            Reads COCO's captions file or Karpathy's dataset_coco.json (--split, test when not said), captions every image, \
            keeps the captions in predictions.jsonl beside --out, and scores them as gmail evaluate captions does. Begun \
            again with the same captioner and settings it goes on after the images that are done.

              gmail evaluate captioning --run runs/captioner --captions dataset_coco.json --images coco --split test \\
                  --out runs/captioner/metrics.json
            """)

    @OptionGroup var options: CaptionerOptions

    @Option(help: ArgumentHelp("COCO captions, or Karpathy's file.", valueName: "file"), completion: .file())
    var captions: String

    @Option(help: "Folder of the images.", completion: .directory)
    var images: String

    @Option(help: "Split of Karpathy's file.")
    var split: String?

    @Option(help: ArgumentHelp("Where to write the scores, with the protocol of each, as JSON.", valueName: "file"))
    var out: String

    @Option(
        help: ArgumentHelp("Where to write the captions; default: predictions.jsonl beside --out.", valueName: "file"))
    var predictions: String?

    @Option(help: "What the images are: real (read by f_r) or generated (read by f_g).")
    var modality = Modality.real

    @Option(help: "Only this many images, from the first.")
    var limit: Int?

    @OptionGroup(title: "Decoding") var decoding: DecodingOptions

    @OptionGroup(title: "Metrics") var metricOptions: MetricOptions

    @OptionGroup var compute: ComputeOptions

    @Option(help: "Images per batch.")
    var batchSize = 16

    @Flag(help: "Print the scores as JSON on standard output instead of a table.")
    var json = false

    @Flag(help: "No progress on standard error.")
    var quiet = false

    func validate() throws {
        try Check.range("--limit", limit, 1...Int.max)
        try Check.range("--batch-size", batchSize, 1...65_536)
    }

    func run() throws {
        let beside = (out as NSString).deletingLastPathComponent
        let path = predictions ?? (beside.isEmpty ? "predictions.jsonl" : "\(beside)/predictions.jsonl")
        let locks = try [out, path].map { try OutputLock(for: $0, owner: "gmail evaluate captioning") }
        defer { withExtendedLifetime(locks) {} }
        let set = try EvaluationImages(file: captions, folder: images, split: split, limit: limit)
        let selection = try MetricSelection(metricOptions)
        for omission in selection.omissions { Terminal.note("note: \(omission)") }
        let open = try options.open(compute)
        let wanted = decoding.apply(to: open.captioner.decoding)
        let tags = try tags(open, wanted, set)
        let written = try PredictionsFile(path: path, tags: tags)
        try predict(set, open, wanted, written)
        let lines = try written.finish(set)

        let pairing = try CaptionPairing(
            references: CaptionFile(
                entries: set.images.flatMap { image in
                    image.captions.map { CaptionFile.Entry(imageID: .number(image.id), caption: $0) }
                }, hash: set.contentHash),
            candidates: CaptionFile(
                entries: lines.map { CaptionFile.Entry(imageID: .number($0.imageID), caption: $0.caption) },
                hash: try ContentHash.sha256(ofFile: path)))
        let (results, report) = try CaptionScoring(selection: selection, quiet: quiet).score(pairing, tags: tags)
        try AtomicFile.write(report, to: out)
        if json {
            try Terminal.output(json: String(decoding: report, as: UTF8.self), terminator: "")
        } else {
            try Terminal.output(CaptionScoring.table(results))
            try Terminal.output("\(out) and \(path) written")
        }
    }

    /// Captions what is not captioned yet.
    private func predict(
        _ set: EvaluationImages, _ open: OpenCaptioner, _ decoding: CaptionDecoding, _ file: PredictionsFile
    ) throws {
        let runner = CaptionRunner(
            captioner: open.captioner, modality: modality, decoding: decoding, batchSize: batchSize)
        let progress = JobProgress("captioning", total: set.images.count, unit: "images", quiet: quiet)
        if !file.done.isEmpty {
            progress.say("\(file.done.count) images were captioned before")
            progress.advance(by: file.done.count)
        }
        var unreadable: [String] = []
        // Stretches between images that are done, so that sampling keeps every image's place.
        var start = 0
        while start < set.images.count {
            guard file.done[set.images[start].id] == nil else {
                start += 1
                continue
            }
            var end = start
            while end < set.images.count, file.done[set.images[end].id] == nil { end += 1 }
            try runner.run(Array(set.paths[start..<end]), firstIndex: start) { index, result in
                switch result {
                case .success(let caption): try file.append(set, start + index, caption.text)
                case .failure(let error): unreadable.append("\(error)")
                }
                progress.advance(by: 1)
            }
            start = end
        }
        guard unreadable.isEmpty else {
            throw CommandError(
                "\(unreadable.count) of \(set.images.count) images could not be read, and scores without them would be over "
                    + "another set: \(unreadable.prefix(10).joined(separator: "; "))\(unreadable.count > 10 ? "; …" : "")"
            )
        }
    }

    /// What tells these captions from others of the same images.
    private func tags(_ open: OpenCaptioner, _ decoding: CaptionDecoding, _ set: EvaluationImages) throws
        -> [String: String]
    {
        var tags = [
            "captions": captions, "captions_sha256": set.contentHash, "images": images,
            "image_count": "\(set.images.count)", "modality": modality.rawValue, "decoding": decoding.summary,
            "dtype": "\(open.dtype)", "device": "\(open.device)",
        ]
        if let split = set.split { tags["split"] = split }
        if let run = open.run {
            tags["run"] = run.folder.path
            tags["recipe"] = run.recipe.name
            tags["source"] = run.recipe.data.source.rawValue
            tags["step"] = "\(run.checkpoint.step)"
            tags["checkpoint_sha256"] = try ContentHash.sha256(ofFile: run.checkpoint.statePath)
            tags["clip_sha256"] = run.source(CaptionerRun.Role.model)?.sha256
            tags["language_model_sha256"] = run.source(CaptionerRun.Role.languageModel)?.sha256
            tags["alignment_sha256"] = run.source(CaptionerRun.Role.alignment)?.sha256
        } else if let weights = options.weights {
            tags["weights"] = weights
            tags["weights_sha256"] = try FileHashes.command.sha256(of: weights)
            tags["normalize"] = "\(options.normalize == .yes)"
        }
        return tags
    }
}

/// The images of a captions file that are to be captioned, and where they are.
struct EvaluationImages {
    let images: [CaptionedImage]
    /// Of each image, as this process can open it.
    let paths: [String]
    let split: String?
    let contentHash: String

    /// - Throws: `DatasetError` for the file, `CommandError` for images that are not there.
    init(file: String, folder: String, split: String?, limit: Int?) throws {
        var set = try CaptionedImages(path: file, split: split)
        // Karpathy's file holds the training images too; nobody means those.
        if split == nil, set.images.contains(where: { $0.split != nil }) {
            set = try CaptionedImages(path: file, split: "test")
        }
        self.split = set.split
        contentHash = set.contentHash
        images = Array(set.images.prefix(limit ?? set.images.count))
        let exists = FileSystem.exists
        // Karpathy's names begin with a folder (val2014) that may have been left out on disk.
        paths = images.map { image in
            let whole = "\(folder)/\(image.fileName)"
            let short = "\(folder)/\((image.fileName as NSString).lastPathComponent)"
            return !exists(whole) && exists(short) ? short : whole
        }
        let missing = zip(images, paths).filter { !exists($0.1) }.map(\.0.fileName)
        guard missing.isEmpty else {
            let names = missing.prefix(10).joined(separator: ", ")
            throw CommandError(
                "--images: \(missing.count) of \(images.count) images of '\(file)' are not in '\(folder)': \(names)\(missing.count > 10 ? ", …" : "")"
            )
        }
    }
}
