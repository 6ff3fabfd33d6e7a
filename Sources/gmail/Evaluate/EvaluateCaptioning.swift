import Alignment
import ArgumentParser
import CaptionMetrics
import Captioning
import Evaluation
import Files
import Terminal

/// `gmail evaluate captioning`: captions a set's images and scores them.
struct EvaluateCaptioning: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "captioning",
        abstract: "Caption the images of a set and score the captions.",
        discussion: """
            Reads COCO's captions file, Karpathy's dataset_coco.json (--split, test when not said) or a list of images with \
            captions, captions every image, keeps the captions in predictions.jsonl beside --out, and scores them as gmail \
            evaluate captions does; every image's scores go into per-image.jsonl, for gmail report and gmail compare. Begun again with the same captioner and settings it goes on after the images that are \
            done.

              gmail evaluate captioning --run runs/captioner --captions dataset_coco.json --images coco --split test \\
                  --out runs/captioner/metrics.json
            """)

    @OptionGroup var options: CaptionerOptions

    @Option(
        help: ArgumentHelp("COCO captions, Karpathy's file, or a list with 'image' and 'caption'.", valueName: "file"),
        completion: .file())
    var captions: String

    @Option(
        help: "Folder of the images; names are looked for below it with their folders, then without.",
        completion: .directory)
    var images: String

    @Option(help: "Split of Karpathy's file; test when left out.")
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

    private static let owner = "gmail evaluate captioning"

    func validate() throws {
        try Check.range("--limit", limit, 1...Int.max)
        try Check.range("--batch-size", batchSize, 1...65_536)
    }

    func run() throws {
        let lock = try OutputLock(for: out, owner: Self.owner)
        defer { withExtendedLifetime(lock) {} }
        let set = try CaptioningSet(file: captions, folder: images, split: split, limit: limit)
        for note in set.notes { Terminal.note("note: \(note)") }
        let selection = try MetricSelection(metricOptions)
        for omission in selection.omissions { Terminal.note("note: \(omission)") }
        let open = try options.open(compute)
        let evaluation = try CaptioningEvaluation(
            set,
            CaptionRunner(
                captioner: open.captioner, modality: modality, decoding: decoding.apply(to: open.captioner.decoding),
                batchSize: batchSize),
            origin: open.origin, dtype: open.dtype, device: open.device, quiet: quiet, hashes: .command)
        let beside = FileSystem.folder(of: out)
        let path = predictions ?? (beside == "." ? "predictions.jsonl" : "\(beside)/predictions.jsonl")
        let perImage = Self.perImagePath(path)
        // Scores of earlier captions must not stand beside new ones, whatever happens until these are scored.
        try FileSystem.remove(perImage)
        let pairing = try evaluation.pairing(
            try evaluation.predictions(to: path, owner: Self.owner), path: path)
        let (results, report) = try CaptionScoring(selection: selection, quiet: quiet).score(
            pairing, tags: evaluation.tags)
        try AtomicFile.write(CaptionReport.perImage(results), to: perImage)
        try AtomicFile.write(report, to: out)
        if json {
            try Terminal.output(json: String(decoding: report, as: UTF8.self), terminator: "")
        } else {
            try Terminal.output(CaptionScoring.table(results))
            try Terminal.output("\(out), \(path) and \(perImage) written")
        }
    }

    /// Where gmail report and gmail compare look for every image's scores: `per-image.jsonl` beside `predictions.jsonl`.
    private static func perImagePath(_ predictions: String) -> String {
        let (folder, name) = (FileSystem.folder(of: predictions), FileSystem.name(of: predictions))
        let stem = name.hasSuffix(".jsonl") ? String(name.dropLast(6)) : name
        let own = stem == "predictions" ? "per-image.jsonl" : "\(stem)-per-image.jsonl"
        return folder == "." ? own : "\(folder)/\(own)"
    }
}
