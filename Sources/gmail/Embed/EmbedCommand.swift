import Alignment
import ArgumentParser
import Encoders
import Foundation
import Images
import Safetensors
import Torch
import TorchNN

/// `gmail embed`: CLIP embeddings of images and texts.
struct EmbedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed",
        abstract: "Embed images and texts with a CLIP model.",
        discussion: """
            Writes image_embeds [N, D] and text_embeds [M, D], L2-normalised float32, to the file given by --out, and beside \
            it a .json with the names in row order, the hashes of model and preprocessing, and every skipped file with its \
            reason. The model is a Hugging Face CLIP folder or one of open_clip's.

              gmail embed --model clip-vit-base-patch32 --images photos/ --out features.safetensors
            """)

    @Option(help: "Folder of the CLIP model.", completion: .directory)
    var model: String

    @Option(parsing: .upToNextOption, help: "Image files and folders; folders are searched recursively, in path order.")
    var images: [String] = []

    @Option(help: "Text file, one text per line.", completion: .file())
    var texts: String?

    @Option(help: "Where the features go (safetensors).")
    var out: String

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp("A run of gmail align: images go through its encoders and projections.", valueName: "folder"))
    var runFolder: String?

    @Option(help: "With --run, what the images are: real (read by f_r) or generated (read by f_g).")
    var modality: Modality?

    @OptionGroup var compute: ComputeOptions

    @Option(help: "Images or texts per batch.")
    var batchSize = 64

    @Option(
        help: """
            Decode large JPEGs at a reduced scale that still is this many times the model's size (2 is a good choice). \
            Faster; it changes pixels, so embeddings differ slightly from the reference.
            """)
    var reducedDecode: Double?

    @Flag(help: "Print a summary as JSON on standard output.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false

    func validate() throws {
        guard !images.isEmpty || texts != nil else {
            throw ValidationError("nothing to embed: give --images, --texts or both")
        }
        guard (runFolder == nil) == (modality == nil) else {
            throw ValidationError(
                runFolder == nil
                    ? "--modality says which encoder of a run reads the images: add --run"
                    : "--run has one encoder for real and one for generated images: add --modality real or generated")
        }
        guard batchSize >= 1 else { throw ValidationError("--batch-size is \(batchSize), expected 1 or more") }
        if let reducedDecode, reducedDecode < 1 {
            throw ValidationError("--reduced-decode is \(reducedDecode), expected 1 or more")
        }
    }

    func run() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let paths = try ImageDiscovery.images(images)
        if !images.isEmpty && paths.isEmpty {
            throw CommandError(
                "--images: no .jpg, .jpeg, .png or .webp file in \(images.map { "'\($0)'" }.joined(separator: ", "))")
        }
        let lines = try texts.map(Self.lines)

        let (device, dtype) = try compute.resolve()
        let clip = try CLIPModel(folder: model, dtype: dtype, device: device)
        let weightsPath = try CLIPCheckpoint.path(folder: model)
        let aligned = try runFolder.map {
            try AlignedModel(run: $0, clip: clip, weightsHash: try FileHashes().sha256(of: weightsPath))
        }
        let processor = try CLIPProcessor(folder: model, configuration: clip.configuration)
        var preprocessing = processor.preprocessing
        if let reducedDecode { preprocessing.decodeScale = .reduced(ratio: reducedDecode) }
        // Measuring takes longer than embedding a few images; below that, weights stay where the file is mapped.
        let kernel = paths.count >= 64 ? try clip.prepareForInference() : nil
        var summary = EmbedSummary(device: "\(device)", dtype: "\(dtype)", kernel: kernel?.reason)

        // The hash of some hundred MB of weights is computed while the model works.
        let weightsHash = Task.detached { try FileHashes().sha256(of: weightsPath) }

        let dimension = aligned?.projection.outputDimension ?? clip.configuration.projectionDimension
        var entries: [SafetensorsWriter.Tensor] = []
        var sidecar = FeatureSidecar()
        if !paths.isEmpty {
            let rows = try FeatureRows(beside: out, name: "images", dimension: dimension)
            let encode: (Tensor) throws -> Tensor = { pixels in
                guard let aligned, let modality else { return clip.imageFeatures(pixels) }
                return try aligned.embed(TaggedImages(pixels, modality: modality, source: "--modality"))
            }
            try embedImages(paths, encode, preprocessing, device, into: rows, &sidecar, &summary)
            entries.append(try rows.entry("image_embeds"))
        }
        if let lines {
            let rows = try FeatureRows(beside: out, name: "texts", dimension: clip.configuration.projectionDimension)
            try embedTexts(lines, clip, processor, device, into: rows, &sidecar, &summary)
            entries.append(try rows.entry("text_embeds"))
        }
        sidecar.model = .init(
            path: model, weightsSHA256: try await weightsHash.value,
            configurationSHA256: ContentHash.sha256(of: clip.configuration.huggingFaceJSON))
        sidecar.preprocessing = .init(
            sha256: ContentHash.sha256(of: preprocessing.canonicalJSON), settings: preprocessing.canonicalJSON)
        if let runFolder, let modality, let aligned {
            sidecar.run = .init(path: runFolder, step: aligned.step, modality: modality.rawValue)
        }
        sidecar.dtype = "\(dtype)"
        sidecar.device = "\(device)"
        try SafetensorsWriter.write(tensors: entries, metadata: ["format": "pt"], to: out)
        try AtomicFile.write(sidecar.json(), to: FeatureSidecar.path(for: out))
        summary.totalSeconds = (clock.now - start).seconds
        try report(summary, sidecar)
    }

    private func embedImages(
        _ paths: [String], _ encode: (Tensor) throws -> Tensor, _ preprocessing: ImagePreprocessing, _ device: Device,
        into rows: FeatureRows, _ sidecar: inout FeatureSidecar, _ summary: inout EmbedSummary
    ) throws {
        let clock = ContinuousClock()
        let start = clock.now
        let progress = Progress("embedding", total: paths.count, unit: "images", quiet: quiet)
        let feed = try ImageFeed(paths: paths, preprocessing: preprocessing, batchSize: min(batchSize, paths.count))
        var modelTime = Duration.zero
        var names: [String] = []
        while let batch = feed.next() {
            for failure in batch.failures {
                sidecar.skipped.append(.init(path: paths[failure.index], reason: "\(failure.error)"))
                progress.say("skipped \(failure.error)")
            }
            if batch.count > 0 {
                let began = clock.now
                try inferenceMode {
                    let features = try encode(batch.tensor().to(device)).to(.float32).normalized()
                    try rows.append(features)
                }
                modelTime += clock.now - began
                names += batch.indices.map { paths[$0] }
            }
            progress.advance(by: batch.count + batch.failures.count)
        }
        guard !names.isEmpty else {
            throw CommandError(
                "none of the \(paths.count) images could be read; the first: \(sidecar.skipped[0].reason)")
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

    private func embedTexts(
        _ lines: [String], _ clip: CLIPModel, _ processor: CLIPProcessor, _ device: Device,
        into rows: FeatureRows, _ sidecar: inout FeatureSidecar, _ summary: inout EmbedSummary
    ) throws {
        let progress = Progress("embedding", total: lines.count, unit: "texts", quiet: quiet)
        for first in stride(from: 0, to: lines.count, by: batchSize) {
            let range = first..<min(first + batchSize, lines.count)
            let (ids, truncated) = try processor.tokens(Array(lines[range]), folder: model)
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

    /// Lines of a UTF-8 file; an empty line is an empty text and keeps its row. The end of the last line is no line.
    private static func lines(_ path: String) throws -> [String] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandError("--texts: '\(path)' cannot be read")
        }
        guard let text = String(bytes: data, encoding: .utf8) else {
            throw CommandError("--texts: '\(path)' is not UTF-8")
        }
        var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(String.init)
        if lines.last == "" { lines.removeLast() }
        guard !lines.isEmpty else { throw CommandError("--texts: '\(path)' is empty") }
        return lines
    }

    private func report(_ summary: EmbedSummary, _ sidecar: FeatureSidecar) throws {
        if json {
            print(try summary.json(out: out))
            return
        }
        guard !quiet else { return }
        if let images = summary.images {
            print(
                String(
                    format:
                        "%d images, %.1f images/s (decode %.2f s, preprocessing %.2f s, model %.2f s, waiting for data %.2f s)",
                    images, summary.imagesPerSecond, summary.decodeSeconds, summary.preprocessingSeconds,
                    summary.modelSeconds,
                    summary.waitingSeconds))
        }
        if let texts = summary.texts { print("\(texts) texts") }
        if summary.skipped > 0 { print("\(summary.skipped) files skipped; \(FeatureSidecar.path(for: out)) says why") }
        print("\(out) written (\(summary.dtype) on \(summary.device))")
    }
}

extension Modality: ExpressibleByArgument {}
