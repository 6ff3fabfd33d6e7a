import Encoders
import Evaluation
import Foundation
import Images
import Miniature
import Safetensors
import Torch
import TorchNN

/// What a demo is made from; a folder made with other settings is not continued.
struct DemoSettings: Codable, Equatable {
    var version = 1
    var seed: UInt64
    var quick: Bool
    var trainScenes: Int
    var testScenes: Int
    var recipe: ContrastiveRecipe

    init(seed: UInt64, quick: Bool) {
        self.seed = seed
        self.quick = quick
        trainScenes = quick ? 768 : 3072
        testScenes = 200
        recipe = ContrastiveRecipe()
        recipe.seed = seed
        if quick {
            recipe.steps = 70
            recipe.warmup = 10
        }
    }

    var description: String { "seed \(seed)\(quick ? ", --quick" : "")" }
}

/// The stages of `gmail demo`. Each leaves its result under its final name when it is complete, and nothing before; a stage
/// whose result stands there is not run again.
struct Demo {
    let folder: String
    let settings: DemoSettings

    private var data: String { "\(folder)/data" }
    private var model: String { "\(folder)/model" }
    private var features: String { "\(folder)/features.safetensors" }
    private var metrics: String { "\(folder)/metrics.json" }
    private var settingsFile: String { "\(folder)/demo.json" }

    func run(force: Bool) async throws -> DemoResult {
        try prepare(force: force)
        try TorchRuntime.load()
        try TorchRuntime.keepFreedMemory()
        let clock = ContinuousClock()
        let world = World(seed: settings.seed)
        let train = SceneDataset(world: world, split: .train, count: settings.trainScenes)
        let test = SceneDataset(world: world, split: .test, count: settings.testScenes)

        var seconds: [String: Double] = [:]
        func stage(_ number: Int, _ name: String, makes path: String, _ body: () async throws -> Void) async throws {
            if exists(path) {
                say("\(number)/4 \(name): finished before, \(path)")
                return
            }
            // What later stages made belongs to another result of this one.
            for later in [data, model, features, metrics].drop(while: { $0 != path }) { try remove(later) }
            say("\(number)/4 \(name)")
            let start = clock.now
            try await body()
            seconds[name] = (clock.now - start).seconds
        }
        try await stage(1, "scenes", makes: data) { try render(train, test) }
        try await stage(2, "training", makes: model) { try self.train(train) }
        try await stage(3, "embedding", makes: features) {
            let held = try CaptionedImages(
                file: "\(data)/\(test.captionsFile)", folder: "\(data)/\(test.imageFolder)", split: nil)
            let embedder = try Embedder(folder: model, device: .cpu, dtype: .float32, batchSize: 64, quiet: false)
            let paths = held.images.map { "\(data)/\(test.imageFolder)/\($0)" }
            let (sidecar, _) = try await embedder.write(images: paths, texts: held.captions, to: features)
            if let skipped = sidecar.skipped.first {
                try remove(features)
                throw CommandError(
                    "\(sidecar.skipped.count) pictures of the demo could not be read (\(skipped.reason)); run with --force"
                )
            }
        }
        try await stage(4, "retrieval", makes: metrics) { try evaluate(test) }
        guard let written = FileManager.default.contents(atPath: metrics) else {
            throw CommandError("'\(metrics)' cannot be read")
        }
        let evaluation = try JSONDecoder().decode(RetrievalEvaluation.self, from: written)
        return DemoResult(
            settings: settings, metrics: evaluation.metrics, protocolTag: evaluation.protocolTag, seconds: seconds,
            files: .init(
                data: data, contactSheet: "\(data)/contact_sheet.png", model: model, features: features,
                metrics: metrics))
    }

    /// Makes the folder, or checks that it holds a demo of the same settings.
    private func prepare(force: Bool) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        if force {
            for path in [metrics, features, FeatureSidecar.path(for: features), model, data, settingsFile] {
                try remove(path)
            }
        }
        for path in [data, model] { try remove(path + ".partial") }
        if let bytes = FileManager.default.contents(atPath: settingsFile) {
            let found: DemoSettings
            do {
                found = try JSONDecoder().decode(DemoSettings.self, from: bytes)
            } catch {
                throw CommandError(
                    "'\(settingsFile)' is no demo's settings (\(error)); give another --out, or --force to make everything anew"
                )
            }
            guard found == settings else {
                throw CommandError(
                    "'\(folder)' holds a demo of other settings (\(found.description); asked for \(settings.description)); "
                        + "give another --out, or --force to make everything anew")
            }
        } else {
            for path in [data, model, features, metrics] where exists(path) {
                throw CommandError(
                    "'\(path)' exists, but '\(settingsFile)' does not say what made it; give another --out, or --force to replace it"
                )
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            try AtomicFile.write([UInt8](encoder.encode(settings)), to: settingsFile)
        }
    }

    private func render(_ train: SceneDataset, _ test: SceneDataset) throws {
        let partial = data + ".partial"
        let progress = Progress(
            "rendering", total: train.scenes.count + test.scenes.count, unit: "scenes", quiet: false)
        try train.write(to: partial) { progress.advance(by: $0) }
        let pictures = try test.write(to: partial) { progress.advance(by: $0) }
        let sheet = try ContactSheet.make(Array(pictures.prefix(48)), columns: 8, scale: 2)
        try AtomicFile.write(ImageEncoder.png(sheet), to: "\(partial)/contact_sheet.png")
        try FileManager.default.moveItem(atPath: partial, toPath: data)
    }

    private func train(_ scenes: SceneDataset) throws {
        let clock = ContinuousClock()
        let start = clock.now
        let partial = model + ".partial"
        let vocabulary = BPETraining(texts: scenes.captions)
        let configuration = MiniatureCLIP.configuration(vocabulary: vocabulary)
        try MiniatureCLIP.writeFiles(configuration, vocabulary: vocabulary, to: partial)
        let processor = try CLIPProcessor(folder: partial, configuration: configuration)
        let paths = scenes.imageNames.map { "\(data)/\(scenes.imageFolder)/\($0)" }
        let (ids, truncated) = try processor.tokens(scenes.captions, folder: partial)
        guard truncated.isEmpty else {
            throw CommandError("\(truncated.count) captions are longer than \(configuration.text.contextLength) tokens")
        }
        let training = try ContrastiveTraining(
            Self.fresh(configuration, seed: settings.recipe.seed),
            data: ContrastiveData(
                pixels: Self.pixels(paths, processor.preprocessing), ids: ids, texts: scenes.captions),
            recipe: settings.recipe)
        let progress = Progress("training", total: settings.recipe.steps, unit: "steps", quiet: false)
        var recent = 0.0
        let losses = try training.run { step, loss in
            recent = step == 1 ? loss : recent * 0.9 + loss * 0.1
            progress.advance(by: 1, note: String(format: "loss %.3f", recent))
        }
        let record = TrainingRecord(
            recipe: settings.recipe, scenes: scenes.scenes.count, parameters: training.model.parameterCount().total,
            vocabulary: vocabulary.vocabulary.count, seconds: (clock.now - start).seconds,
            threads: TorchRuntime.threadCount, torch: try TorchRuntime.version(), losses: losses)
        try AtomicFile.write(record.json(), to: "\(partial)/training.json")
        try training.model.save(to: "\(partial)/model.safetensors", metadata: ["format": "pt"])
        try FileManager.default.moveItem(atPath: partial, toPath: model)
    }

    private static func fresh(_ configuration: CLIPConfiguration, seed: UInt64) -> CLIPModel {
        let model = CLIPModel(configuration)
        model.initialize(generator: Generator(seed: seed))
        return model
    }

    /// All pictures as the model is fed them, `[N, 3, S, S]`.
    private static func pixels(_ paths: [String], _ preprocessing: ImagePreprocessing) throws -> Tensor {
        let feed = try ImageFeed(paths: paths, preprocessing: preprocessing, batchSize: 128)
        var parts: [Tensor] = []
        while let batch = feed.next() {
            if let failure = batch.failures.first {
                throw CommandError("\(failure.error); run with --force to render the pictures anew")
            }
            let used = batch.count * 3 * feed.size.width * feed.size.height * MemoryLayout<Float>.stride
            parts.append(
                .copying(
                    UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(batch.pixels)[..<used]),
                    shape: [batch.count, 3, feed.size.height, feed.size.width], dtype: .float32))
        }
        return .cat(parts)
    }

    private func evaluate(_ test: SceneDataset) throws {
        let held = try CaptionedImages(
            file: "\(data)/\(test.captionsFile)", folder: "\(data)/\(test.imageFolder)", split: nil)
        let file = try Weights(path: features)
        guard let images = file["image_embeds"], let texts = file["text_embeds"],
            let bytes = FileManager.default.contents(atPath: FeatureSidecar.path(for: features))
        else {
            throw CommandError("'\(features)' or its .json is not what the embedding stage writes; run with --force")
        }
        let sidecar = try JSONDecoder().decode(FeatureSidecar.self, from: bytes)
        let evaluation = RetrievalEvaluation(
            metrics: try Retrieval.metrics(
                images: images.tensor(), texts: texts.tensor(), imageOfText: held.imageOfCaption),
            sidecar: sidecar,
            data: try .init(captions: "\(data)/\(test.captionsFile)", images: "\(data)/\(test.imageFolder)", held))
        try AtomicFile.write(evaluation.json(), to: metrics)
    }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    private func remove(_ path: String) throws {
        if exists(path) { try FileManager.default.removeItem(atPath: path) }
    }

    private func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
}

/// What stands beside the weights: how they came about.
private struct TrainingRecord: Encodable {
    let recipe: ContrastiveRecipe
    let scenes: Int
    let parameters: Int
    let vocabulary: Int
    let seconds: Double
    let threads: Int
    let torch: String
    /// Of every step, in nats.
    let losses: [Double]

    func json() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return [UInt8](try encoder.encode(self))
    }
}

/// What the demo shows at its end.
struct DemoResult: Encodable {
    struct Files: Encodable {
        var data: String
        var contactSheet: String
        var model: String
        var features: String
        var metrics: String

        enum CodingKeys: String, CodingKey {
            case data, model, features, metrics
            case contactSheet = "contact_sheet"
        }
    }

    var settings: DemoSettings
    var metrics: RetrievalMetrics
    var protocolTag: String
    /// Of the stages run now; those finished before are absent.
    var seconds: [String: Double]
    var files: Files

    enum CodingKeys: String, CodingKey {
        case settings, metrics, seconds, files
        case protocolTag = "protocol"
    }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }

    var text: String {
        let total = seconds.values.reduce(0, +)
        return """

            Retrieval on scenes that the model has never seen, some with combinations absent from training:

            \(metrics.table)

            pictures and captions  \(files.data) (see \(files.contactSheet))
            CLIP model             \(files.model) (a Hugging Face folder)
            features               \(files.features)
            metrics                \(files.metrics)
            \(String(format: "%.0f s", total))\(seconds.count < 4 ? " for the stages that were not finished before" : "")

            """
    }
}
