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
        try Check.range("--batch-size", batchSize, 1...65_536)
    }

    func run() throws {
        let found = try ImageOptions.images(images)
        let paths = found.files
        for skipped in found.skipped { Terminal.note("error: \(skipped.reason)") }
        let open = try options.open(compute)
        open.captioner.reader.preprocessing = try reading.applied(to: open.captioner.reader.preprocessing)
        let wanted = decoding.apply(to: open.captioner.decoding)
        let runner = CaptionRunner(
            captioner: open.captioner, modality: modality, decoding: wanted, batchSize: batchSize)
        let isSilent = quiet || paths.count < 2
        let progress = JobProgress("captioning", total: paths.count, unit: "images", quiet: isSilent)
        var failed = found.skipped.count
        try runner.run(paths) { index, result in
            switch result {
            case .success(let caption):
                // Written through, so that a reader of the pipe sees each batch when it is done.
                if json {
                    try Terminal.output(json: Self.json(paths[index], caption, modality))
                } else {
                    try Terminal.output(paths.count == 1 ? caption.text : "\(paths[index]): \(caption.text)")
                }
            case .failure(let error):
                failed += 1
                progress.say("error: \(error)")
                if isSilent { Terminal.note("error: \(error)") }
            }
            progress.advance(by: 1)
        }
        if failed > 0 {
            throw CommandError("\(failed) of \(paths.count + found.skipped.count) images could not be read")
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
