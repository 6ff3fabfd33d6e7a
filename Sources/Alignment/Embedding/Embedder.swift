import Encoders
import Files
import Foundation
import Images
import ModelFolders
import Safetensors
import Terminal
import Torch
import TorchNN

/// Embeds image files and texts with an encoder, and through an alignment if there is one. `gmail embed` and every
/// evaluation that compares embeddings use it.
public struct Embedder {
    public let reader: ImageReader
    /// The modality of the images, which matters with an alignment.
    public let modality: Modality
    public let batchSize: Int
    /// Share of the images that may be skipped, 0...1: of those that were named or found, what is unreadable, in a format
    /// that is not decoded, or could not be opened.
    public let maximumSkippedShare: Double
    public let quiet: Bool
    private let hashes: FileHashes
    private let variant: String?

    /// An alignment through which images are read.
    public enum Alignment: Sendable {
        case run(String)
        /// An adapter in PEFT's layout that was made elsewhere.
        case adapter(String)
    }

    /// - Parameters:
    ///   - folder: the encoder's folder.
    ///   - alignment: an alignment of this encoder; nil reads every image with the plain encoder.
    ///   - reducedDecode: ratio of `ImagePreprocessing.DecodeScale.reduced`; nil decodes every pixel.
    ///   - quiet: no progress on standard error.
    /// - Throws: errors of the model's and the run's files.
    public init(
        folder: String, alignment: Alignment? = nil, modality: Modality = .real, device: Device, dtype: DType,
        batchSize: Int, reducedDecode: Double? = nil, maximumSkippedShare: Double = 0.5, variant: String? = nil,
        quiet: Bool, hashes: FileHashes = FileHashes()
    ) throws {
        let encoder = try EncoderFolder.open(folder, dtype: dtype, device: device, variant: variant)
        if !quiet { encoder.notes.forEach(Terminal.note) }
        let aligned: AlignedModel?
        switch alignment {
        case nil: aligned = nil
        case .run(let run):
            aligned = try AlignedModel(
                run: run, encoder: encoder.image, fingerprint: encoder.fingerprint(hashes))
        case .adapter(let adapter): aligned = try AlignedModel(adapter: adapter, encoder: encoder.image)
        }
        reader = ImageReader(encoder: encoder, aligned: aligned, dtype: dtype)
        if let reducedDecode { reader.preprocessing.decodeScale = try .reduced(ratio: reducedDecode) }
        self.modality = modality
        self.batchSize = batchSize
        self.maximumSkippedShare = maximumSkippedShare
        self.variant = variant
        self.quiet = quiet
        self.hashes = hashes
    }

    /// Dimension of an image embedding.
    public var dimension: Int { reader.featureSize }

    /// Preprocessed pixels `[n, 3, S, S]` to `[n, dimension]`, not normalised.
    public func encode(_ pixels: Tensor) throws -> Tensor {
        try reader.features(pixels, ImageRoute(of: modality, isAligned: reader.aligned != nil))
    }

    /// Embeds image files in order as L2-normalised float32. Files that cannot be read are added to `sidecar.skipped`, which
    /// already holds the files skipped before.
    /// - Throws: `EmbeddingError.tooManySkipped`, `EncoderError.notFinite`.
    public func embedImages(
        _ paths: [String], into rows: FeatureRows, _ sidecar: inout FeatureSidecar, _ summary: inout EmbedSummary
    ) throws {
        let clock = ContinuousClock()
        let start = clock.now
        // Packed weights are copies: for few images, weights stay where the file is mapped.
        if paths.count >= 64 { summary.kernel = try reader.prepareForBatches()?.reason }
        let progress = JobProgress("embedding", total: paths.count, unit: "images", quiet: quiet)
        let feed = try ImageFeed(
            paths: paths, preprocessing: reader.preprocessing, batchSize: min(batchSize, paths.count))
        var modelTime = Duration.zero
        var names: [String] = []
        let total = paths.count + sidecar.skipped.count
        while let batch = feed.next() {
            for failure in batch.failures {
                sidecar.skipped.append(.init(path: paths[failure.index], reason: "\(failure.error)"))
                progress.say("skipped \(failure.error)")
            }
            if batch.count > 0 {
                let began = clock.now
                try inferenceMode { try rows.append(encode(batch.tensor()).to(.float32).normalized()) }
                modelTime += clock.now - began
                names += batch.indices.map { paths[$0] }
            }
            progress.advance(by: batch.count + batch.failures.count)
        }
        let skipped = sidecar.skipped.count
        guard !names.isEmpty, Double(skipped) <= maximumSkippedShare * Double(total) else {
            throw EmbeddingError.tooManySkipped(
                count: skipped, total: total, maximumShare: maximumSkippedShare, first: sidecar.skipped[0].reason)
        }
        sidecar.images = names
        let times = feed.times
        summary.images = names.count
        summary.skipped = sidecar.skipped.count
        summary.imageSeconds = (clock.now - start).seconds
        summary.decodeSeconds = (times.read + times.preprocessing.decode).seconds
        summary.preprocessingSeconds = (times.preprocessing.resize + times.preprocessing.normalize).seconds
        summary.modelSeconds = modelTime.seconds
        summary.waitingSeconds = times.waiting.seconds
    }

    /// Embeds texts in order as L2-normalised float32; texts that were cut to the context are listed in
    /// `sidecar.truncatedTexts`.
    /// - Parameter text: the encoder's text side.
    /// - Throws: errors of the tokenizer; `EncoderError.notFinite`.
    public func embedTexts(
        _ lines: [String], _ text: TextReader, into rows: FeatureRows, _ sidecar: inout FeatureSidecar,
        _ summary: inout EmbedSummary
    ) throws {
        let progress = JobProgress("embedding", total: lines.count, unit: "texts", quiet: quiet)
        for first in stride(from: 0, to: lines.count, by: batchSize) {
            let range = first..<min(first + batchSize, lines.count)
            try inferenceMode {
                let (features, truncated) = try text.features(Array(lines[range]))
                sidecar.truncatedTexts += truncated.map { $0 + first }
                try rows.append(features.to(.float32).normalized())
            }
            progress.advance(by: range.count)
        }
        if !sidecar.truncatedTexts.isEmpty {
            let numbers = sidecar.truncatedTexts.prefix(5).map { String($0 + 1) }.joined(separator: ", ")
            progress.say(
                "\(sidecar.truncatedTexts.count) texts were longer than \(text.contextLength) tokens and were cut "
                    + "(lines \(numbers)\(sidecar.truncatedTexts.count > 5 ? ", …" : ""))")
        }
        sidecar.texts = lines
        summary.texts = lines.count
        summary.truncatedTexts = sidecar.truncatedTexts.count
    }

    /// Embeds both and writes `features.safetensors` with its sidecar, as `gmail embed` does.
    /// - Parameter skipped: files that were found but are not readable images.
    public func write(
        images paths: [String], skipped: [FileList.Skipped] = [], texts lines: [String]?, to out: String
    ) async throws -> (FeatureSidecar, EmbedSummary) {
        var summary = EmbedSummary(device: "\(reader.device)", dtype: "\(reader.dtype)", kernel: nil)
        var sidecar = FeatureSidecar()
        sidecar.skipped = skipped.map { .init(path: $0.path, reason: $0.reason) }
        summary.skipped = skipped.count
        let hash = fingerprint()
        // An unreadable tokenizer should be reported before any image is read.
        let text = try lines.map { _ in try reader.encoder.textReader() }
        var entries: [SafetensorsWriter.Tensor] = []
        if !paths.isEmpty {
            let rows = try FeatureRows(beside: out, name: "images", dimension: dimension)
            try embedImages(paths, into: rows, &sidecar, &summary)
            entries.append(try rows.entry("image_embeds"))
        }
        if let lines, let text {
            let rows = try FeatureRows(beside: out, name: "texts", dimension: text.encoder.textEmbeddingDimension)
            try embedTexts(lines, text, into: rows, &sidecar, &summary)
            entries.append(try rows.entry("text_embeds"))
        }
        try await describe(&sidecar, hash)
        try SafetensorsWriter.write(tensors: entries, metadata: ["format": "pt"], to: out)
        try AtomicFile.write(sidecar.json(), to: FeatureSidecar.path(for: out))
        return (sidecar, summary)
    }

    /// The identity of the model; its files of some hundred MB are hashed while the model works.
    public func fingerprint() -> Task<ModelFingerprint, any Error> {
        let (folder, variant, hashes) = (reader.encoder.folder.path, variant, hashes)
        return Task.detached { try EncoderFolder.fingerprint(folder, variant: variant, hashes: hashes) }
    }

    /// Records in `sidecar` what made the features.
    public func describe(
        _ sidecar: inout FeatureSidecar, _ fingerprint: Task<ModelFingerprint, any Error>
    ) async throws {
        let preprocessing = reader.preprocessing.canonicalJSON
        sidecar.model = .init(path: reader.encoder.folder.path, fingerprint: try await fingerprint.value)
        sidecar.preprocessing = .init(sha256: ContentHash.sha256(of: preprocessing), settings: preprocessing)
        if let aligned = reader.aligned {
            sidecar.run = .init(
                path: aligned.path, step: aligned.step, modality: modality.rawValue, sha256: aligned.identity)
        }
        sidecar.dtype = "\(reader.dtype)"
        sidecar.device = "\(reader.device)"
        sidecar.kernel = reader.kernel
    }
}

/// Features that cannot be computed.
public enum EmbeddingError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
    case tooManySkipped(count: Int, total: Int, maximumShare: Double, first: String)

    public var description: String {
        switch self {
        case .tooManySkipped(let count, let total, _, let first) where count == total:
            "none of the \(total) images could be read; the first: \(first)"
        case .tooManySkipped(let count, let total, let share, let first):
            "\(count) of \(total) images could not be read, more than the share of \(share) that is allowed; the first: "
                + first
        }
    }

    public var errorDescription: String? { description }
}
