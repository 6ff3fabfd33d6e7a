import CaptionMetrics
import Datasets
import Encoders
import Files
import Foundation
import Images
import LanguageModels
import Safetensors
import Terminal
import Testing
import Torch
import TorchNN
import Training

@testable import Captioning

func fixture(_ name: String) -> String {
    Bundle.module.resourceURL!.appendingPathComponent("Fixtures/\(name)").path
}

func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch {
        return "\(error)"
    }
}

func maximumDifference(_ a: Tensor, _ b: Tensor) -> Double {
    #expect(a.shape == b.shape)
    return withoutGradients { (a.to(.float64) - b.to(.float64)).abs().max().item() }
}

/// What this thread has computed for so far, in seconds: the clock on the wall counts what else the machine does.
func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// A folder that goes when its owner does.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("captioning-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        // What stays behind in the temporary folder harms no test.
        try? FileManager.default.removeItem(atPath: path)
    }

    func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }
}

/// A folder with a random CLIP, a small random GPT-2, and pairs of images and captions.
final class World {
    let folder: TemporaryFolder
    let captions: [String]
    var model: String { folder("clip") }
    var languageModel: String { folder("gpt2") }
    var pairs: String { folder("pairs.jsonl") }

    /// - Parameters:
    ///   - width: of the language model; nil takes the fixture's model as it is.
    init(pairs count: Int, width: Int? = nil) throws {
        try TorchRuntime.load()
        // Models this small gain nothing from a second thread, and on a busy machine wait for it at every operation.
        TorchRuntime.threadCount = 1
        folder = try TemporaryFolder()
        captions = Array(
            try JSONDecoder().decode(
                [String].self, from: Data(contentsOf: URL(fileURLWithPath: fixture("gpt2/captions.json")))
            )
            .prefix(count))
        try FileManager.default.copyItem(atPath: Self.clip, toPath: model)
        try AtomicFile.write(
            """
            {"do_resize": true, "size": {"shortest_edge": 22}, "resample": 3, "do_center_crop": true, "crop_size": 22,
             "do_rescale": true, "do_normalize": true, "image_mean": [0.48, 0.45, 0.4], "image_std": [0.26, 0.25, 0.27]}
            """, to: "\(model)/preprocessor_config.json")
        try FileManager.default.copyItem(atPath: fixture("gpt2"), toPath: languageModel)
        if let width {
            var configuration = try GPT2Configuration(folder: languageModel)
            configuration.hiddenSize = width
            let language = GPT2LanguageModel(configuration)
            language.initialize(generator: Generator(seed: 3))
            try language.saveFolder(languageModel)
        }
        var lines: [String] = []
        for index in 0..<count {
            for kind in ["real", "generated"] {
                try FileManager.default.createDirectory(atPath: folder(kind), withIntermediateDirectories: true)
                let image = try RGBImage(width: 24, height: 24, pixels: Self.pixels(index, kind))
                try Data(ImageWriter.png(image)).write(to: URL(fileURLWithPath: folder("\(kind)/\(index).png")))
            }
            lines.append(
                #"{"id": "p\#(index)", "caption": "\#(captions[index])", "real": "real/\#(index).png", "generated": "generated/\#(index).png"}"#
            )
        }
        try AtomicFile.write(lines.joined(separator: "\n") + "\n", to: pairs)
    }

    /// The tiny CLIP of EncodersTests: 22 pixels, embeddings of length 10.
    static let clip = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("EncodersTests/Fixtures/quick-gelu").path

    /// Bands of colour that spell the index in binary, so that every image is clearly another.
    private static func pixels(_ index: Int, _ kind: String) -> [UInt8] {
        (0..<24 * 24).flatMap { place -> [UInt8] in
            let (x, y) = (place % 24, place / 24)
            let band = x / 4
            let bright = index >> band & 1 == 1
            let shift = kind == "real" ? 0 : 12
            return [
                bright ? 230 : 20, UInt8((index * 37 + shift) % 200 + (bright ? 0 : 40)),
                UInt8((y * (index % 7 + 1) * 5 + shift) % 256),
            ]
        }
    }

    func inputs(alignment: String? = nil, validation: String? = nil) throws -> CaptionerTrainer.Inputs {
        CaptionerTrainer.Inputs(
            model: model, alignment: alignment, languageModel: languageModel, pairs: pairs, validation: validation,
            cache: folder("cache"), hashes: FileHashes(memory: nil), device: .cpu)
    }

    /// Trains from the beginning or from where the run in `name` stands.
    /// - Parameter stopAfter: asks to stop once this many batches were given out.
    @discardableResult
    func train(
        _ recipe: CaptionerRecipe, to name: String, validation: String? = nil, stopAfter: Int? = nil
    ) throws -> LoopOutcome {
        let trainer = try CaptionerTrainer(recipe, inputs(validation: validation))
        let run =
            RunFolder.exists(folder(name))
            ? try RunFolder.resume(folder(name), recipe: recipe) : try RunFolder.create(folder(name), recipe: recipe)
        try run.write(trainer.runManifest(versions: [:]))
        try trainer.prepare()
        let stop = StopSignal()
        let loop = TrainingLoop(
            task: trainer, run: run, settings: trainer.loopSettings, stop: stop
        ) { position, _ in
            StoppingBatches(try trainer.batches(from: position), after: stopAfter) { stop.request() }
        }
        return try loop.run()
    }

    func captioner(_ name: String, _ paths: CaptionerRun.Paths = .init()) throws -> Captioner {
        try CaptionerRun(folder(name)).captioner(
            paths, dtype: .float32, device: .cpu, hashes: FileHashes(memory: nil))
    }

    /// Captions of all real images.
    func said(by captioner: Captioner, _ decoding: CaptionDecoding) throws -> [String] {
        let feed = try ImageFeed(
            paths: captions.indices.map { folder("real/\($0).png") }, preprocessing: captioner.reader.preprocessing,
            batchSize: 7)
        var texts: [String] = []
        while let batch = feed.next() {
            texts += try captioner.captions(batch.tensor(), modality: .real, decoding).map(\.text)
        }
        return texts
    }

    func bytes(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder(name)))) }
}

/// Batches that ask for an end after some of them, as Ctrl-C would.
final class StoppingBatches: BatchSource {
    private let source: CaptionBatches
    private let count: Int?
    private let stop: () -> Void
    private var given = 0

    init(_ source: CaptionBatches, after count: Int?, stop: @escaping () -> Void) {
        self.source = source
        self.count = count
        self.stop = stop
    }

    func next() throws -> CaptionBatch? {
        given += 1
        if given == count { stop() }
        return try source.next()
    }

    var waited: Duration { source.waited }
    var skipped: [SkippedSample] { source.skipped }
}
