import Alignment
import Encoders
import Files
import Foundation
import Images
import Safetensors
import Terminal
import Torch
import TorchNN

/// A CLIP model with what stands before it, embedding files and texts; shared by every command that needs embeddings.
struct Embedder {
    let folder: String
    let clip: CLIPModel
    /// The alignment run whose encoders and projections images go through, and as what they go; nil for plain CLIP.
    let aligned: (model: AlignedModel, run: String, modality: Modality)?
    let processor: CLIPProcessor
    let preprocessing: ImagePreprocessing
    let device: Device
    let dtype: DType
    let batchSize: Int
    let quiet: Bool

    /// - Parameters:
    ///   - run: folder of an alignment run on this model; nil for plain CLIP.
    ///   - modality: with a run, what the images are; real unless told.
    ///   - reading: in place of what the folder says about reading images; nil for nothing.
    ///   - reducedDecode: ratio of `ImagePreprocessing.DecodeScale.reduced`; nil decodes every pixel.
    init(
        folder: String, run: String? = nil, modality: Modality? = nil, device: Device, dtype: DType, batchSize: Int,
        reading: ImageOptions? = nil, reducedDecode: Double? = nil, quiet: Bool
    ) throws {
        self.folder = folder
        self.device = device
        self.dtype = dtype
        self.batchSize = batchSize
        self.quiet = quiet
        let clip = try CLIPModel(folder: folder, dtype: dtype, device: device)
        self.clip = clip
        aligned = try run.map { run in
            let hash = try FileHashes().sha256(of: CLIPCheckpoint.path(folder: folder))
            return (try AlignedModel(run: run, clip: clip, weightsHash: hash), run, modality ?? .real)
        }
        processor = try CLIPProcessor(folder: folder, configuration: clip.configuration)
        var preprocessing = try reading?.applied(to: processor.preprocessing) ?? processor.preprocessing
        if let reducedDecode { preprocessing.decodeScale = try .reduced(ratio: reducedDecode) }
        self.preprocessing = preprocessing
    }

    /// Dimension of an image embedding.
    var dimension: Int { aligned?.model.projection.outputDimension ?? textDimension }
    /// Dimension of a text embedding.
    var textDimension: Int { clip.configuration.projectionDimension }

    /// Preprocessed pixels `[n, 3, S, S]` to `[n, dimension]`, not normalised.
    func encode(_ pixels: Tensor) throws -> Tensor {
        guard let aligned else { return clip.imageFeatures(pixels) }
        return try aligned.model.embed(TaggedImages(pixels, modality: aligned.modality, source: "--modality"))
    }

    /// Embeds image files in order, L2-normalised float32; what cannot be read is listed in `sidecar.skipped`.
    /// - Throws: `CommandError` when no image could be read.
    func embedImages(
        _ paths: [String], into rows: FeatureRows, _ sidecar: inout FeatureSidecar, _ summary: inout EmbedSummary
    ) throws {
        let clock = ContinuousClock()
        let start = clock.now
        // Measuring takes longer than embedding a few images; below that, weights stay where the file is mapped.
        if paths.count >= 64 { summary.kernel = try clip.prepareForInference()?.reason }
        let progress = JobProgress("embedding", total: paths.count, unit: "images", quiet: quiet)
        let feed = try ImageFeed(paths: paths, preprocessing: preprocessing, batchSize: min(batchSize, paths.count))
        var modelTime = Duration.zero
        var names: [String] = []
        var firstFailure: String?
        while let batch = feed.next() {
            for failure in batch.failures {
                firstFailure = firstFailure ?? "\(failure.error)"
                sidecar.skipped.append(.init(path: paths[failure.index], reason: "\(failure.error)"))
                progress.say("skipped \(failure.error)")
            }
            if batch.count > 0 {
                let began = clock.now
                try inferenceMode {
                    try rows.append(encode(batch.tensor().to(device)).to(.float32).normalized())
                }
                modelTime += clock.now - began
                names += batch.indices.map { paths[$0] }
            }
            progress.advance(by: batch.count + batch.failures.count)
        }
        guard !names.isEmpty else {
            throw CommandError(
                "none of the \(paths.count) images could be read; the first: \(firstFailure ?? "no reason")")
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

    /// Embeds texts in order, L2-normalised float32; those cut to the context are listed in `sidecar.truncatedTexts`.
    func embedTexts(
        _ lines: [String], into rows: FeatureRows, _ sidecar: inout FeatureSidecar, _ summary: inout EmbedSummary
    ) throws {
        let progress = JobProgress("embedding", total: lines.count, unit: "texts", quiet: quiet)
        for first in stride(from: 0, to: lines.count, by: batchSize) {
            let range = first..<min(first + batchSize, lines.count)
            let (ids, truncated) = try processor.tokens(Array(lines[range]), folder: folder)
            sidecar.truncatedTexts += truncated.map { $0 + first }
            try inferenceMode {
                try rows.append(clip.textFeatures(ids.to(device)).to(.float32).normalized())
            }
            progress.advance(by: range.count)
        }
        if !sidecar.truncatedTexts.isEmpty {
            let lines = sidecar.truncatedTexts.prefix(5).map { String($0 + 1) }.joined(separator: ", ")
            progress.say(
                "\(sidecar.truncatedTexts.count) texts were longer than \(processor.contextLength) tokens and were cut "
                    + "(lines \(lines)\(sidecar.truncatedTexts.count > 5 ? ", …" : ""))")
        }
        sidecar.texts = lines
        summary.texts = lines.count
        summary.truncatedTexts = sidecar.truncatedTexts.count
    }

    /// Embeds both and writes `features.safetensors` with its sidecar, what `gmail embed` does.
    func write(images found: FileList, texts lines: [String]?, to out: String) async throws -> (
        FeatureSidecar, EmbedSummary
    ) {
        var summary = EmbedSummary(device: "\(device)", dtype: "\(dtype)", kernel: nil)
        var sidecar = FeatureSidecar()
        let paths = found.files
        sidecar.skipped = found.skipped.map { .init(path: $0.path, reason: $0.reason) }
        summary.skipped = sidecar.skipped.count
        if !quiet { for entry in sidecar.skipped { Terminal.note("skipped \(entry.reason)") } }
        let hash = try weightsHash()
        var entries: [SafetensorsWriter.Tensor] = []
        if !paths.isEmpty {
            let rows = try FeatureRows(beside: out, name: "images", dimension: dimension)
            try embedImages(paths, into: rows, &sidecar, &summary)
            entries.append(try rows.entry("image_embeds"))
        }
        if let lines {
            let rows = try FeatureRows(beside: out, name: "texts", dimension: textDimension)
            try embedTexts(lines, into: rows, &sidecar, &summary)
            entries.append(try rows.entry("text_embeds"))
        }
        try await describe(&sidecar, weightsHash: hash)
        try SafetensorsWriter.write(tensors: entries, metadata: ["format": "pt"], to: out)
        try AtomicFile.write(sidecar.json(), to: FeatureSidecar.path(for: out))
        return (sidecar, summary)
    }

    /// The hash of some hundred MB of weights, computed while the model works.
    func weightsHash() throws -> Task<String, any Error> {
        let path = try CLIPCheckpoint.path(folder: folder)
        return Task.detached { try FileHashes().sha256(of: path) }
    }

    /// Says in `sidecar` what made the features.
    func describe(_ sidecar: inout FeatureSidecar, weightsHash: Task<String, any Error>) async throws {
        sidecar.model = .init(
            path: folder, weightsSHA256: try await weightsHash.value,
            configurationSHA256: ContentHash.sha256(of: clip.configuration.huggingFaceJSON))
        sidecar.preprocessing = .init(
            sha256: ContentHash.sha256(of: preprocessing.canonicalJSON), settings: preprocessing.canonicalJSON)
        if let aligned {
            sidecar.run = .init(path: aligned.run, step: aligned.model.step, modality: aligned.modality.rawValue)
        }
        sidecar.dtype = "\(dtype)"
        sidecar.device = "\(device)"
    }
}
