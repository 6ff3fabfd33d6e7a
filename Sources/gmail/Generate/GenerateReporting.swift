import Files
import Foundation
import Synthesis
import Terminal
import Torch

/// A run's events as lines and a bar on standard error.
final class GenerateProgress {
    private var progress: JobProgress
    private let isQuiet: Bool

    init(quiet: Bool) {
        isQuiet = quiet
        progress = JobProgress("generating", total: 0, unit: "images", quiet: quiet)
    }

    func say(_ text: String) { progress.say(text) }

    func handle(_ event: SynthesisEvent) {
        switch event {
        case .started(let total, let finished):
            if finished > 0 { progress.say("\(finished) of \(total) images are there already") }
            // Rate and remaining time are of what this run makes.
            progress = JobProgress("generating", total: total - finished, unit: "images", quiet: isQuiet)
        case .finished(let images): progress.advance(by: images)
        case .estimate(let estimate): progress.say(estimate.text)
        case .retried(let id, let reason, let dtype): progress.say("'\(id)' came out \(reason); made again in \(dtype)")
        case .failed(let id, let reason): progress.say("'\(id)' could not be made: \(reason)")
        case .truncated(let id, let tokens, let limit):
            progress.say(
                "the caption of '\(id)' has \(tokens) tokens, the model reads \(limit): the rest is cut off "
                    + "(said once; the number of such captions comes at the end)")
        }
    }
}

/// What `--json` prints.
struct GenerateSummary: Encodable {
    struct Estimate: Encodable {
        let images_per_second: Double
        let total_images: Int
        let total_seconds: Double
        let total_bytes: Double
        let shard_seconds_left: Double

        init(_ estimate: SynthesisEstimate) {
            images_per_second = estimate.imagesPerSecond
            total_images = estimate.total
            total_seconds = estimate.totalSeconds
            total_bytes = estimate.totalBytes
            shard_seconds_left = estimate.secondsLeft
        }
    }

    var out: String?
    var images: Int?
    var finished: Int?
    var made: Int?
    var retried: Int?
    var failed: Int?
    var truncated: Int?
    var complete: Bool?
    var pairs: String?
    var tars: [String]?
    var device: String?
    var seconds: Double?
    var estimate: Estimate?

    init(_ estimate: SynthesisEstimate) { self.estimate = Estimate(estimate) }

    init(_ outcome: SynthesisOutcome, out: String, device: Device) {
        self.out = out
        images = outcome.total
        finished = outcome.finished
        made = outcome.made
        retried = outcome.retried
        failed = outcome.failed
        truncated = outcome.truncated
        complete = outcome.isComplete
        pairs = outcome.pairs
        tars = outcome.pairs == nil ? outcome.tars : nil
        self.device = "\(device)"
        seconds = outcome.seconds
        estimate = outcome.estimate.map(Estimate.init)
    }

    var text: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }
}

enum GenerateRealImages {
    /// The folder that real images of the captions file are in; nil when it names none.
    /// - Throws: `SynthesisError.missingRealImages` when a folder was given and lacks some. Without one the file's own folder
    ///   is assumed, and images that are not there are only mentioned: captions are often had without their images.
    static func folder(_ rows: CaptionRows, given: String?) throws -> String? {
        let named = rows.rows.compactMap(\.image)
        guard !named.isEmpty else {
            if let given {
                throw CommandError("--real-images is '\(given)', but '\(rows.path)' names no real images")
            }
            return nil
        }
        let folder = given ?? FileSystem.folder(of: rows.path)
        var seen: Set<ExactString> = []
        var missing: [String] = []
        for name in named where seen.insert(ExactString(name)).inserted {
            let path = FileSystem.isAbsolute(name) ? name : "\(folder)/\(name)"
            if access(path, R_OK) != 0 { missing.append(name) }
        }
        guard let first = missing.first else { return folder }
        let error = SynthesisError.missingRealImages(
            folder: folder, count: missing.count, total: seen.count, first: first)
        if given != nil { throw error }
        Terminal.note("warning: \(error)")
        return folder
    }
}
