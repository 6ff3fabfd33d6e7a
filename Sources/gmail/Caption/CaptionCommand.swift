import Alignment
import ArgumentParser
import Captioning
import Encoders
import Foundation
import Images
import Terminal
import Torch

/// `gmail caption`: says what is on images.
struct CaptionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "caption",
        abstract: "Caption images with a trained captioner.",
        discussion: """
            Prints a caption per image. Images are read as real ones (by f_r) unless --modality says generated (f_g); a \
            file that cannot be read is reported and the exit code is then 1.

              gmail caption --run runs/captioner photo.jpg
              gmail caption --run runs/captioner --beam 10 photos/ --json
              gmail caption --weights coco_weights.pt --normalize no --model clip-vit-base-patch32 --language-model gpt2 a.jpg
            """)

    @OptionGroup var options: CaptionerOptions

    @Argument(help: "Image files and folders; folders are searched recursively, in path order.")
    var images: [String]

    @Option(help: "What the images are: real (read by f_r) or generated (read by f_g).")
    var modality = Modality.real

    @OptionGroup(title: "Decoding") var decoding: DecodingOptions

    @OptionGroup(title: "Reading images") var reading: ImageOptions

    @OptionGroup var compute: ComputeOptions

    @Option(help: "Images per batch.")
    var batchSize = 16

    @Flag(help: "One JSON object per image on standard output.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false

    func validate() throws {
        guard batchSize >= 1 else { throw ValidationError("--batch-size is \(batchSize), expected 1 or more") }
    }

    func run() throws {
        let found = try ImageOptions.images(images)
        let paths = found.files
        for entry in found.skipped { Terminal.note("skipped \(entry.reason)") }
        let open = try options.open(compute)
        let wanted = decoding.apply(to: open.captioner.decoding)
        let runner = CaptionRunner(
            captioner: open.captioner, preprocessing: try reading.applied(to: open.captioner.reader.preprocessing),
            modality: modality, decoding: wanted, batchSize: batchSize)
        let isSilent = quiet || paths.count < 2
        let progress = JobProgress("captioning", total: paths.count, unit: "images", quiet: isSilent)
        var failed = 0
        try runner.run(paths) { index, result in
            switch result {
            case .success(let caption):
                let line =
                    try json
                    ? Self.json(paths[index], caption, modality)
                    : paths.count == 1 ? caption.text : "\(paths[index]): \(caption.text)"
                // Written through, so that a reader of the pipe sees each batch when it is done.
                try Terminal.output(line)
            case .failure(let error):
                failed += 1
                progress.say("error: \(error)")
                if isSilent { Terminal.note("error: \(error)") }
            }
            progress.advance(by: 1)
        }
        if failed > 0 {
            throw CommandError("\(failed) of \(paths.count) images could not be read")
        }
    }

    private static func json(_ path: String, _ caption: Caption, _ modality: Modality) throws -> String {
        struct Line: Encodable {
            let path: String
            let caption: String
            let score: Double?
            let tokens: Int
            let modality: Modality
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let line = Line(
            path: path, caption: caption.text, score: caption.score, tokens: caption.tokenCount, modality: modality)
        return String(decoding: try encoder.encode(line), as: UTF8.self)
    }
}

/// Captions image files in order, a batch at a time, decoding ahead.
struct CaptionRunner {
    let captioner: Captioner
    let preprocessing: ImagePreprocessing
    let modality: Modality
    let decoding: CaptionDecoding
    let batchSize: Int

    /// - Parameters:
    ///   - firstIndex: place of the first path in the list that sampling is reproducible over.
    ///   - body: gets every path's index, in order, with its caption or why the file cannot be read.
    func run(
        _ paths: [String], firstIndex: Int = 0,
        _ body: (_ index: Int, _ result: Result<Caption, any Error>) throws -> Void
    ) throws {
        // Before any image is read: a captioner without an encoder of generated images has none of its own fault.
        _ = try captioner.route(of: modality)
        if paths.count >= 64 { _ = try captioner.reader.clip.prepareForInference() }
        let feed = try ImageFeed(
            paths: paths, preprocessing: preprocessing, batchSize: min(batchSize, paths.count))
        while let batch = feed.next() {
            var results: [Int: Result<Caption, any Error>] = [:]
            for failure in batch.failures { results[failure.index] = .failure(failure.error) }
            if batch.count > 0 {
                // Sampling goes by place in the list, so an unreadable file moves no other's numbers.
                for run in Self.runs(batch.indices) {
                    let rows = batch.tensor()[run]
                    let captions = try captioner.captions(
                        rows, modality: modality, decoding, firstIndex: firstIndex + batch.indices[run.lowerBound])
                    for (row, caption) in zip(run, captions) { results[batch.indices[row]] = .success(caption) }
                }
            }
            for index in results.keys.sorted() { try body(index, results[index]!) }
        }
    }

    /// Stretches of rows whose indices follow each other.
    private static func runs(_ indices: [Int]) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var start = 0
        for row in 1..<max(1, indices.count) where indices[row] != indices[row - 1] + 1 {
            runs.append(start..<row)
            start = row
        }
        runs.append(start..<indices.count)
        return runs
    }
}
