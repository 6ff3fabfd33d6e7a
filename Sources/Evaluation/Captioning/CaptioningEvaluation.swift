import Alignment
import CaptionFiles
import CaptionMetrics
import Captioning
import Files
import Terminal
import Torch

/// Captions the images of a set, and brings captions and references together for scoring.
public struct CaptioningEvaluation {
    public let set: CaptioningSet
    public let runner: CaptionRunner
    /// What tells these captions from others of the same images.
    public let tags: [String: String]
    private let quiet: Bool

    /// - Parameters:
    ///   - dtype: of the language model's weights.
    ///   - quiet: no progress on standard error.
    public init(
        _ set: CaptioningSet, _ runner: CaptionRunner, origin: CaptionerOrigin, dtype: DType, device: Device,
        quiet: Bool,
        hashes: FileHashes = FileHashes()
    ) throws {
        self.set = set
        self.runner = runner
        self.quiet = quiet
        var tags = try origin.tags(hashes)
        tags["captions"] = set.file
        tags["captions_sha256"] = set.contentHash
        tags["images"] = set.folder
        tags["image_count"] = "\(set.images.count)"
        tags["split"] = set.split
        tags["modality"] = runner.modality.rawValue
        tags["decoding"] = runner.decoding.summary
        tags["dtype"] = "\(dtype)"
        tags["device"] = "\(device)"
        self.tags = tags
    }

    /// Captions what is not captioned yet, and writes the predictions.
    /// - Parameters:
    ///   - path: of `predictions.jsonl`.
    ///   - owner: what a second process on the same file is told.
    /// - Throws: ``CaptioningEvaluationError/unreadableImages(count:total:first:)`` after all others are captioned;
    ///   `FileError.locked(path:owner:)`.
    public func predictions(to path: String, owner: String) throws -> [Prediction] {
        let file = try PredictionsFile(path: path, tags: tags, owner: owner)
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
                case .success(let caption): try file.append(record(start + index, caption.text))
                case .failure(let error): unreadable.append("\(error)")
                }
                progress.advance(by: 1)
            }
            start = end
        }
        guard unreadable.isEmpty else {
            throw CaptioningEvaluationError.unreadableImages(
                count: unreadable.count, total: set.images.count, first: Array(unreadable.prefix(10)))
        }
        return try file.finish(set.images.map(\.id))
    }

    private func record(_ index: Int, _ caption: String) -> Prediction {
        let image = set.images[index]
        return Prediction(
            imageID: image.id, file: image.fileName ?? "", path: set.paths[index], caption: caption,
            references: image.captions)
    }

    /// The predictions beside the references, as the metrics read them.
    /// - Parameter path: where the predictions were written, for their hash.
    public func pairing(_ predictions: [Prediction], path: String) throws -> CaptionPairing {
        try CaptionPairing(
            references: set.references,
            candidates: CaptionFile(
                entries: predictions.map { CaptionFile.Entry(imageID: $0.imageID, caption: $0.caption) },
                hash: ContentHash.sha256(ofFile: path)))
    }
}
