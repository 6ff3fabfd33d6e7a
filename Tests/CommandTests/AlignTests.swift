import Encoders
import Files
import Foundation
import Images
import Safetensors
import Testing

/// `gmail align`, `export` and `embed --run` from end to end on a tiny random CLIP and a dozen made-up pairs.
@Suite(.serialized) struct AlignTests {
    private let folder: TemporaryFolder
    private let common: [String]

    init() throws {
        folder = try TemporaryFolder()
        let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("EncodersTests/Fixtures/quick-gelu").path
        try FileManager.default.copyItem(atPath: fixture, toPath: folder.path("model"))
        try AtomicFile.write(
            """
            {"do_resize": true, "size": {"shortest_edge": 22}, "resample": 3, "do_center_crop": true, "crop_size": 22,
             "do_rescale": true, "do_normalize": true, "image_mean": [0.48, 0.45, 0.4], "image_std": [0.26, 0.25, 0.27]}
            """, to: folder.path("model/preprocessor_config.json"))
        for kind in ["real", "generated"] {
            try FileManager.default.createDirectory(atPath: folder.path(kind), withIntermediateDirectories: true)
        }
        var lines: [String] = []
        for index in 0..<12 {
            for (kind, shift) in [("real", 0), ("generated", 9)] {
                let pixels = (0..<30 * 25 * 3).map { UInt8(truncatingIfNeeded: ($0 / 3 + shift) * (index + 3) / 7) }
                let image = try RGBImage(width: 30, height: 25, pixels: pixels)
                try Data(ImageWriter.png(image)).write(to: URL(fileURLWithPath: folder.path("\(kind)/\(index).png")))
            }
            lines.append(
                #"{"id": "p\#(index)", "caption": "scene \#(index)", "real": "real/\#(index).png", "generated": "generated/\#(index).png"}"#
            )
        }
        try AtomicFile.write(lines.joined(separator: "\n") + "\n", to: folder.path("pairs.jsonl"))
        common = [
            "align", "--model", folder.path("model"), "--pairs", folder.path("pairs.jsonl"), "--cache",
            folder.path("cache"),
            "--quiet", "--threads", "1", "--set", "training.batchSize=4", "--set", "training.checkpointEvery=2",
            "--set",
            "training.validationEvery=3", "--set", "training.logEvery=1", "--set", "adapter.dropout=0.2", "--set",
            "training.learningRate=3e-3",
        ]
    }

    private var environment: [String: String] { ["XDG_CACHE_HOME": folder.path("xdg")] }

    private func align(_ recipe: String, to run: String, steps: Int, _ more: [String] = []) throws -> Gmail.Outcome {
        try Gmail.run(
            common + ["--recipe", recipe, "--out", folder.path(run), "--set", "training.steps=\(steps)"] + more,
            environment: environment)
    }

    private func bytes(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder.path(path))))
    }

    /// Mixed training contrasts with captions, and the fixture has no tokenizer.
    @Test func aModelWithoutTokenizerCannotContrastWithText() throws {
        let outcome = try align("mixed", to: "mixed", steps: 2)
        #expect(outcome.status == 1)
        #expect(outcome.stderr.contains("tokenizer.json"), "\(outcome.stderr)")
    }

    @Test(arguments: [("gmail", "null"), ("gmail", "2"), ("full-fine-tuning", "null")])
    func aResumedRunHasTheBitsOfAnUninterruptedOne(recipe: String, microBatchSize: String) throws {
        let more = [
            "--validation", folder.path("pairs.jsonl"), "--set", "training.microBatchSize=\(microBatchSize)",
        ]
        let whole = try align(recipe, to: "whole", steps: 7, more)
        #expect(whole.status == 0, "\(whole.stderr)")
        let first = try align(recipe, to: "parts", steps: 3, more)
        #expect(first.status == 0, "\(first.stderr)")
        // A finished run of 3 steps validated at its end; step 3 is a validation step anyway.
        let second = try align(recipe, to: "parts", steps: 7, more + ["--resume"])
        #expect(second.status == 0, "\(second.stderr)")
        #expect(try bytes("whole/metrics.jsonl") == bytes("parts/metrics.jsonl"))
        let weights = recipe == "gmail" ? "adapter_model" : "encoder"
        for name in [weights, "optimizer", "projections"] {
            let file = "checkpoints/step-000007/\(name).safetensors"
            #expect(try bytes("whole/\(file)") == bytes("parts/\(file)"), "\(name)")
        }
    }

    /// Another model or other pairs would make another run; the existing one is not changed.
    @Test func aResumedRunIsRefusedOtherSources() throws {
        #expect(try align("gmail", to: "run", steps: 2).status == 0)
        let before = try bytes("run/manifest.json")
        func refuses(_ more: [String], _ message: String) throws {
            let outcome = try align("gmail", to: "run", steps: 4, more + ["--resume"])
            #expect(outcome.status == 1)
            #expect(outcome.stderr.contains(message), "\(outcome.stderr)")
            #expect(outcome.stderr.contains(". Resume with the same, or choose another folder"), "\(outcome.stderr)")
            #expect(try bytes("run/manifest.json") == before)
        }
        func hash(_ path: String) throws -> Substring { try ContentHash.sha256(ofFile: path).prefix(12) }
        let (model, pairs) = (folder.path("model"), folder.path("pairs.jsonl"))
        // The hash covers every file that decides the model's outputs.
        func identity(_ path: String) throws -> Substring { try EncoderFolder.fingerprint(path).sha256.prefix(12) }
        let modelHash = try identity(model)
        let other = try otherModel()
        try refuses(
            ["--model", other],
            "'\(folder.path("run"))' was begun with the model '\(model)' (\(modelHash)); '\(other)' "
                + "(\(try identity(other))) was given")
        let pairsHash = try hash(pairs)
        let text = try String(contentsOfFile: pairs, encoding: .utf8)
        let changed = try folder.write(
            text.replacingOccurrences(of: "scene 3", with: "a third scene"), to: "changed.jsonl")
        try refuses(
            ["--pairs", changed],
            "'\(folder.path("run"))' was begun with the pairs '\(pairs)' (\(pairsHash)); '\(changed)' "
                + "(\(try hash(changed))) was given")
        // The same pairs elsewhere are the same.
        let moved = try folder.write(text, to: "moved.jsonl")
        let resumed = try align("gmail", to: "run", steps: 4, ["--pairs", moved, "--resume"])
        #expect(resumed.status == 0, "\(resumed.stderr)")
    }

    @Test(arguments: ["-1", "1025", "many"])
    func threadsOutOfRangeAreNamed(threads: String) throws {
        let outcome = try align("gmail", to: "run", steps: 2, ["--threads=\(threads)"])
        #expect(outcome.status == 2)
        #expect(
            outcome.stderr.contains(
                threads == "many"
                    ? "'many' is invalid for '--threads" : "--threads is \(threads), expected 0 to 1024"),
            "\(outcome.stderr)")
        #expect(!FileManager.default.fileExists(atPath: folder.path("run")))
    }

    @Test func runsExportAndEmbed() throws {
        #expect(try align("gmail", to: "run", steps: 4).status == 0)
        let merged = try Gmail.run(
            ["export", "--run", folder.path("run"), "--out", folder.path("merged")], environment: environment)
        #expect(merged.status == 0, "\(merged.stderr)")
        let adapter = try Gmail.run(
            ["export", "--run", folder.path("run"), "--out", folder.path("adapter"), "--adapter"],
            environment: environment)
        #expect(adapter.status == 0, "\(adapter.stderr)")
        #expect(
            try bytes("adapter/adapter_model.safetensors")
                == bytes("run/checkpoints/step-000004/adapter_model.safetensors"))
        func embed(_ out: String, _ model: String, _ more: [String]) throws -> [Float] {
            let outcome = try Gmail.run(
                [
                    "embed", "--model", folder.path(model), "--images", folder.path("generated"), "--out",
                    folder.path(out), "--quiet",
                ]
                    + more, environment: environment)
            #expect(outcome.status == 0, "\(outcome.stderr)")
            let tensor = try SafetensorsFile(path: folder.path(out)).tensor(named: "image_embeds")
            #expect(tensor.shape == [12, 10])
            return tensor.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        }
        let run = ["--run", folder.path("run")]
        let base = try embed("base.safetensors", "model", [])
        let real = try embed("real.safetensors", "model", run + ["--modality", "real"])
        let generated = try embed("generated.safetensors", "model", run + ["--modality", "generated"])
        let exported = try embed("exported.safetensors", "merged", [])
        #expect(real != generated)
        #expect(exported != base)
        #expect(zip(real, generated).contains { abs($0 - $1) > 1e-3 })
    }

    /// A run on an open_clip folder: the export has the folder's mean, deviation and filter in Hugging Face's words.
    @Test func anOpenCLIPModelIsExportedWithItsPreprocessing() throws {
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("EncodersTests/Fixtures/open-clip").path
        try FileSystem.remove(folder.path("model"))
        try FileSystem.createFolder(folder.path("model"))
        try FileManager.default.copyItem(
            atPath: "\(source)/open_clip_model.safetensors", toPath: folder.path("model/open_clip_model.safetensors"))
        let text = try String(contentsOfFile: "\(source)/open_clip_config.json", encoding: .utf8)
        try AtomicFile.write(
            text.replacingOccurrences(of: "bicubic", with: "bilinear"), to: folder.path("model/open_clip_config.json"))
        #expect(try align("gmail", to: "run", steps: 2).status == 0)
        let export = ["export", "--run", folder.path("run"), "--out", folder.path("merged")]
        let exported = try Gmail.run(export, environment: environment)
        #expect(exported.status == 0, "\(exported.stderr)")
        struct Preprocessing: Decodable, Equatable {
            var image_mean: [Double]
            var image_std: [Double]
            var resample: Int
            var size: [String: Int]
            var crop_size: [String: Int]
        }
        #expect(
            try JSONDecoder().decode(
                Preprocessing.self, from: Data(bytes("merged/preprocessor_config.json")))
                == Preprocessing(
                    image_mean: [0.48, 0.45, 0.4], image_std: [0.26, 0.25, 0.27], resample: 2,
                    size: ["shortest_edge": 27], crop_size: ["height": 27, "width": 27]))
        // The export opens and is another model than the base.
        func embed(_ out: String, _ model: String) throws -> [[Float]] {
            let outcome = try Gmail.run(
                [
                    "embed", "--model", folder.path(model), "--images", folder.path("generated"), "--out",
                    folder.path(out), "--quiet",
                ], environment: environment)
            #expect(outcome.status == 0, "\(outcome.stderr)")
            return try TinyModel.read(folder.path(out), "image_embeds")
        }
        let plain = try embed("plain.safetensors", "merged")
        let base = try embed("base.safetensors", "model")
        #expect(plain.count == 12 && plain.allSatisfy { $0.count == 12 })
        #expect(plain != base)
    }

    @Test func badInputIsNamed() throws {
        func fails(_ outcome: Gmail.Outcome, _ message: String) {
            #expect(outcome.status == 1)
            #expect(outcome.stderr.contains(message), "\(outcome.stderr)")
        }
        fails(try align("gmial", to: "a", steps: 2), "no recipe 'gmial'")
        fails(
            try align("gmail", to: "a", steps: 2, ["--set", "training.learningrate=1"]),
            "unknown recipe key 'training.learningrate'. Did you mean 'training.learningRate'?")
        let pairs = try String(contentsOfFile: folder.path("pairs.jsonl"), encoding: .utf8)
        try AtomicFile.write(
            pairs.replacingOccurrences(of: "\"id\": \"p4\",", with: "\"id\" \"p4\","), to: folder.path("pairs.jsonl"))
        fails(try align("gmail", to: "a", steps: 2), "line 5")
        try AtomicFile.write(
            pairs.replacingOccurrences(of: "generated/3.png", with: "generated/none.png"),
            to: folder.path("pairs.jsonl"))
        fails(try align("gmail", to: "b", steps: 6), "none.png")
        try AtomicFile.write(pairs, to: folder.path("pairs.jsonl"))
        // A run of another base model.
        #expect(try align("gmail", to: "c", steps: 2).status == 0)
        let other = try Gmail.run(
            ["export", "--run", folder.path("c"), "--model", otherModel(), "--out", folder.path("d")],
            environment: environment)
        fails(other, "was trained on")
        let tagless = try Gmail.run(
            [
                "embed", "--model", folder.path("model"), "--run", folder.path("c"), "--images", folder.path("real"),
                "--out", folder.path("e"),
            ],
            environment: environment)
        #expect(tagless.status == 2)
        #expect(tagless.stderr.contains("add --modality real or generated"))
    }

    /// The same architecture with one weight changed.
    private func otherModel() throws -> String {
        let path = folder.path("other")
        try FileManager.default.copyItem(atPath: folder.path("model"), toPath: path)
        var weights = try Data(contentsOf: URL(fileURLWithPath: "\(path)/model.safetensors"))
        weights[weights.count - 1] ^= 1
        try weights.write(to: URL(fileURLWithPath: "\(path)/model.safetensors"))
        return path
    }
}
