import Alignment
import CaptionFiles
import CaptionMetrics
import Captioning
import Datasets
import Encoders
import Evaluation
import Files
import Foundation
import Images
import Terminal
import TestSupport
import Testing
import Torch
import TorchNN
import Training

/// A toy encoder and a toy captioner, a file each, go through everything that is built on the doors.
@Suite(.serialized) struct DoorTests {
    private let folder: TemporaryFolder
    private let count = 18

    init() throws {
        Self.addFamilies
        try TorchRuntime.load()
        TorchRuntime.threadCount = 1
        folder = try TemporaryFolder()
        let model = ToyEncoder(.init())
        withoutGradients {
            for (index, entry) in model.namedParameters().enumerated() {
                entry.tensor.normalInPlace(std: 0.3, generator: Generator(seed: UInt64(index)))
            }
        }
        try FileSystem.createFolder(folder("model"))
        try model.save(to: folder("model/model.safetensors"), metadata: ["format": "pt"])
        try AtomicFile.write(#"{"model_type": "toy", "width": 8}"#, to: folder("model/config.json"))
        try FileManager.default.copyItem(atPath: Self.gpt2, toPath: folder("gpt2"))
        var lines: [String] = []
        var entries: [(image: String, caption: String)] = []
        for index in 0..<count {
            for kind in ["real", "generated"] {
                try FileSystem.createFolder(folder(kind))
                let image = try RGBImage(width: 16, height: 14, pixels: Self.pixels(index, kind))
                try AtomicFile.write(ImageWriter.png(image), to: folder("\(kind)/\(index).png"))
            }
            let caption = "a band of \(index)"
            lines.append(
                #"{"id": "p\#(index)", "caption": "\#(caption)", "real": "real/\#(index).png", "generated": "generated/\#(index).png"}"#
            )
            entries.append(("real/\(index).png", caption))
        }
        try AtomicFile.write(lines.joined(separator: "\n") + "\n", to: folder("pairs.jsonl"))
        let images = entries.indices.map { #"{"id": \#($0), "file_name": "real/\#($0).png"}"# }
        let annotations = entries.enumerated().map {
            #"{"id": \#($0), "image_id": \#($0), "caption": "\#($1.caption)"}"#
        }
        try AtomicFile.write(
            #"{"images": [\#(images.joined(separator: ","))], "annotations": [\#(annotations.joined(separator: ","))]}"#,
            to: folder("captions.json"))
    }

    /// The lists of families belong to the process, so the toys are added once.
    private static let addFamilies: Void = {
        EncoderFolder.families.add(.toy)
        CaptionerFamily.add(CaptionerFamily(ToyArchitecture.self))
    }()

    private static let gpt2 = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("CaptioningTests/Fixtures/gpt2").path

    private static func pixels(_ index: Int, _ kind: String) -> [UInt8] {
        (0..<16 * 14).flatMap { place -> [UInt8] in
            let bright = index >> (place / 64 % 5) & 1 == 1
            return [bright ? 220 : 30, UInt8(index * 11 % 256), kind == "real" ? 60 : 90]
        }
    }

    private func job(_ name: String) -> TrainingJob {
        TrainingJob(folder: folder(name), resumes: false, owner: "test", versions: [:])
    }

    private func align() throws {
        let recipe = try AlignmentRecipe(
            "gmail",
            overrides: [
                "training.steps=4", "training.batchSize=6", "training.validationEvery=0", "training.precision=float32",
            ])
        let result = try job("align").run(recipe, stop: StopSignal()) {
            RunStart.train(
                try AlignmentTrainer(
                    recipe,
                    .init(
                        model: folder("model"), pairs: folder("pairs.jsonl"), validation: nil, cache: folder("cache"),
                        device: .cpu)))
        }
        #expect(result.outcome == .finished(step: 4))
    }

    private func train() throws {
        let recipe = try CaptionerRecipe(
            "gmail",
            overrides: [
                "captioner.kind=bands", "bands.layer=2", "training.steps=3", "training.warmupSteps=0",
                "training.batchSize=5", "training.validationEvery=0", "training.precision=float32",
            ])
        let result = try job("captioner").run(recipe, stop: StopSignal()) {
            RunStart.train(
                try CaptionerTrainer(
                    recipe,
                    .init(
                        model: folder("model"), alignment: folder("align"), languageModel: folder("gpt2"),
                        pairs: folder("pairs.jsonl"), validation: nil, cache: folder("cache"), device: .cpu)))
        }
        #expect(result.outcome == .finished(step: 3))
    }

    @Test func throughAllDoors() async throws {
        // embed
        let plain = try Embedder(folder: folder("model"), device: .cpu, dtype: .float32, batchSize: 4, quiet: true)
        #expect(plain.dimension == 6)
        let set = try RetrievalSet(file: folder("captions.json"), folder: folder.path, split: nil)
        let before = try await RetrievalEvaluation(
            plain, set, captions: folder("captions.json"), images: folder.path, rowsBeside: folder("metrics.json"))
        #expect(before.metrics.imageCount == count)

        // align, and embed again through f_g
        try align()
        let tuned = try Embedder(
            folder: folder("model"), alignment: .run(folder("align")), modality: .generated, device: .cpu,
            dtype: .float32, batchSize: 4, quiet: true)
        let pixels = Tensor.randn([2, 3, 12, 12], generator: Generator(seed: 5))
        #expect(try maximumDifference(tuned.encode(pixels), plain.encode(pixels)) > 1e-6)
        let gap = GapMeasurement(map: nil, seed: 0, limit: nil, batchSize: 4, quiet: true, note: { _ in })
        let (report, _) = try await gap.write(pairs: folder("pairs.jsonl"), tuned, to: folder("gap"))
        #expect(try report.json().contains("\"pairs\""))

        // The tuned encoder leaves as a folder of its own family and opens again.
        try tuned.reader.aligned?.exportMerged(to: folder("exported"), base: tuned.reader.encoder)
        let exported = try Embedder(
            folder: folder("exported"), device: .cpu, dtype: .float32, batchSize: 4, quiet: true)
        #expect(exported.dimension == 6)

        // train, caption
        try train()
        let run = try CaptionerRun(folder("captioner"))
        #expect((run.architecture as? ToyArchitecture)?.layer == 2)
        let captioner = try run.captioner(dtype: .float32, device: .cpu)
        #expect(captioner.model is ToyCaptioner)
        var decoding = captioner.decoding
        decoding.maximumTokens = 5
        let runner = CaptionRunner(captioner: captioner, modality: .real, decoding: decoding, batchSize: 4)
        var captions: [Int: Caption] = [:]
        try runner.run((0..<count).map { folder("real/\($0).png") }) { index, result in
            captions[index] = try result.get()
        }
        #expect(captions.count == count)
        #expect(captions.values.allSatisfy { $0.tokenCount > 0 })

        // evaluate
        let path = folder("scores/predictions.jsonl")
        let evaluation = try CaptioningEvaluation(
            CaptioningSet(file: folder("captions.json"), folder: folder.path, split: nil, limit: nil), runner,
            origin: .run(run), dtype: .float32, device: .cpu, quiet: true)
        let predictions = try evaluation.predictions(to: path, owner: "test")
        #expect(predictions.map(\.caption) == (0..<count).map { captions[$0]?.text })
        #expect(predictions.map(\.references) == (0..<count).map { ["a band of \($0)"] })
        let scores = try CaptionEvaluation(metrics: [BLEU(), CIDEr()]).run(
            evaluation.pairing(predictions, path: path).tokenized())
        #expect(scores.imageIDs == (0..<count).map { .number($0) } && scores["CIDEr"]?.perImage.count == count)
        #expect(evaluation.tags["recipe"] == "gmail" && evaluation.tags["image_count"] == "\(count)")
        // The file reads as candidates like any other, and gives the same scores.
        let again = try CaptionEvaluation(metrics: [BLEU(), CIDEr()]).run(
            CaptionPairing(
                references: CaptionFile(contentsOf: folder("captions.json")), candidates: CaptionFile(contentsOf: path)
            ).tokenized())
        #expect(again.scores.map(\.perImage) == scores.scores.map(\.perImage))
    }

    /// Keys of one family are refused for another, and unknown kinds are named.
    @Test func recipesKeepFamiliesApart() throws {
        let plain = try CaptionerRecipe("gmail")
        #expect(!plain.yaml.contains("bands"))
        let toy = try CaptionerRecipe("gmail", overrides: ["captioner.kind=bands"])
        #expect(toy.yaml.contains("bands:\n  layer: 1\n  bent: true"))
        #expect(!toy.yaml.contains("mapper:"))
        #expect(try CaptionerRecipe(yaml: toy.yaml, source: "again") == toy)
        #expect(toy.differences(from: plain).contains("captioner.kind"))
        #expect(
            message { _ = try CaptionerRecipe("gmail", overrides: ["bands.layer=2"]) }
                == "--set bands.layer=2: recipe key 'bands.layer' is for captioner.kind bands, which this recipe does not ask "
                + "for; leave it out")
        #expect(
            message { _ = try CaptionerRecipe("gmail", overrides: ["mapper.layers=2", "captioner.kind=bands"]) }
                == "--set mapper.layers=2: recipe key 'mapper.layers' is for captioner.kind clipcap, which this recipe does "
                + "not ask for; leave it out")
        #expect(
            message { _ = try CaptionerRecipe("gmail", overrides: ["captioner.kind=band"]) }
                == "recipe 'gmail' with --set: recipe key 'captioner.kind': expected one of bands, clipcap, got band")
        #expect(
            message { _ = try CaptionerRecipe("gmail", overrides: ["captioner.kind=bands", "bands.layer=3"]) }
                == "recipe 'gmail' with --set: recipe key 'bands.layer': expected 0 to 2, got 3")
    }

    /// A folder of an unknown kind is refused by name.
    @Test func aFolderOfNoFamilyIsRefused() throws {
        try FileSystem.createFolder(folder("other"))
        try AtomicFile.write(#"{"model_type": "siglip9"}"#, to: folder("other/config.json"))
        let text = message { _ = try EncoderFolder.open(folder("other")) }
        #expect(
            text.hasPrefix(
                "'\(folder("other"))' holds a model of type 'siglip9', which is no encoder that is read here; known are CLIP, "
            ))
        #expect(text.hasSuffix(", toy"), "\(text)")
    }
}

func maximumDifference(_ a: Tensor, _ b: Tensor) throws -> Double {
    try #require(a.shape == b.shape)
    return withoutGradients { (a - b).abs().max().item() }
}
