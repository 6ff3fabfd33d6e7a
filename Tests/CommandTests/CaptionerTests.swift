import Files
import Foundation
import Images
import Safetensors
import Testing

/// `gmail train captioner`, `caption` and `evaluate captioning` from end to end on a tiny random CLIP and GPT-2.
@Suite(.serialized) struct CaptionerTests {
    private let folder: TemporaryFolder
    private let captions: [String]

    init() throws {
        folder = try TemporaryFolder()
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let files = FileManager.default
        try files.copyItem(
            atPath: tests.appendingPathComponent("EncodersTests/Fixtures/quick-gelu").path, toPath: folder.path("model")
        )
        try AtomicFile.write(
            """
            {"do_resize": true, "size": {"shortest_edge": 22}, "resample": 3, "do_center_crop": true, "crop_size": 22,
             "do_rescale": true, "do_normalize": true, "image_mean": [0.48, 0.45, 0.4], "image_std": [0.26, 0.25, 0.27]}
            """, to: folder.path("model/preprocessor_config.json"))
        let fixtures = tests.appendingPathComponent("CaptioningTests/Fixtures")
        try files.copyItem(atPath: fixtures.appendingPathComponent("gpt2").path, toPath: folder.path("gpt2"))
        try files.copyItem(
            atPath: fixtures.appendingPathComponent("state-dicts").path, toPath: folder.path("state-dicts"))
        captions = Array(
            try JSONDecoder().decode(
                [String].self, from: Data(contentsOf: fixtures.appendingPathComponent("gpt2/captions.json"))
            ).prefix(12))
        for kind in ["real", "generated"] {
            try files.createDirectory(atPath: folder.path(kind), withIntermediateDirectories: true)
        }
        var lines: [String] = []
        var images: [[String: Any]] = []
        var annotations: [[String: Any]] = []
        for index in 0..<12 {
            for (kind, shift) in [("real", 0), ("generated", 9)] {
                let pixels = (0..<30 * 25 * 3).map { UInt8(truncatingIfNeeded: ($0 / 3 + shift) * (index + 3) / 7) }
                let image = try RGBImage(width: 30, height: 25, pixels: pixels)
                try Data(ImageWriter.png(image)).write(to: URL(fileURLWithPath: folder.path("\(kind)/\(index).png")))
            }
            lines.append(
                #"{"id": "p\#(index)", "caption": "\#(captions[index])", "real": "real/\#(index).png", "generated": "generated/\#(index).png"}"#
            )
            images.append(["id": 100 + index, "file_name": "\(index).png"])
            annotations.append(["image_id": 100 + index, "caption": captions[index]])
            annotations.append(["image_id": 100 + index, "caption": captions[(index + 1) % 12]])
        }
        try AtomicFile.write(lines.joined(separator: "\n") + "\n", to: folder.path("pairs.jsonl"))
        try JSONSerialization.data(withJSONObject: ["images": images, "annotations": annotations]).write(
            to: URL(fileURLWithPath: folder.path("coco.json")))
    }

    private var environment: [String: String] { ["XDG_CACHE_HOME": folder.path("xdg")] }

    private func gmail(_ arguments: [String]) throws -> Gmail.Outcome {
        try Gmail.run(arguments, environment: environment)
    }

    private func train(_ recipe: String, to run: String, _ more: [String] = []) throws -> Gmail.Outcome {
        try gmail(
            [
                "train", "captioner", "--recipe", recipe, "--model", folder.path("model"), "--language-model",
                folder.path("gpt2"), "--pairs", folder.path("pairs.jsonl"), "--out", folder.path(run), "--cache",
                folder.path("cache"), "--quiet", "--set", "training.batchSize=4", "--set", "training.steps=6", "--set",
                "training.epochs=null", "--set", "training.warmupSteps=1", "--set", "training.learningRate=1e-3",
                "--set",
                "training.logEvery=1", "--set", "training.checkpointEvery=2", "--set", "training.keepCheckpoints=9",
                "--set", "training.validationEvery=3", "--set", "mapper.prefixLength=4", "--set", "mapper.clipLength=3",
                "--set", "mapper.layers=2",
            ] + more)
    }

    private func bytes(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder.path(path))))
    }

    private func fails(_ outcome: Gmail.Outcome, _ message: String, status: Int32 = 1) {
        #expect(outcome.status == status)
        #expect(outcome.stderr.contains(message), "\(outcome.stderr)")
    }

    @Test func trainsCaptionsAndEvaluates() throws {
        let trained = try train("real", to: "run", ["--validation", folder.path("pairs.jsonl")])
        #expect(trained.status == 0, "\(trained.stderr)")
        for name in ["recipe.yaml", "manifest.json", "metrics.jsonl", "checkpoints/step-000006/captioner.json"] {
            #expect(FileManager.default.fileExists(atPath: folder.path("run/\(name)")), "\(name)")
        }
        #expect(
            try String(contentsOfFile: folder.path("run/metrics.jsonl"), encoding: .utf8).contains("validation/loss"))

        let images = ["real/0.png", "real/1.png"].map { folder.path($0) }
        let plain = try gmail(["caption", "--run", folder.path("run"), "--quiet"] + images)
        #expect(plain.status == 0, "\(plain.stderr)")
        #expect(plain.stdout.split(separator: "\n").map { $0.prefix { $0 != ":" } } == images.map { $0[...] })
        let json = try gmail(["caption", "--run", folder.path("run"), "--quiet", "--beam", "3", "--json"] + images)
        #expect(json.status == 0, "\(json.stderr)")
        struct Line: Decodable {
            let path: String
            let caption: String
            let score: Double?
            let modality: String
        }
        let lines = try json.stdout.split(separator: "\n").map {
            try JSONDecoder().decode(Line.self, from: Data($0.utf8))
        }
        #expect(lines.map(\.path) == images)
        #expect(lines.allSatisfy { $0.score != nil && $0.modality == "real" })
        let sampled = [
            "caption", "--run", folder.path("run"), "--quiet", "--sample", "--temperature", "2", "--top-k", "50",
        ]
        let first = try gmail(sampled + ["--seed", "4"] + images)
        #expect(first.status == 0, "\(first.stderr)")
        #expect(try gmail(sampled + ["--seed", "4", "--batch-size", "1"] + images).stdout == first.stdout)
        #expect(try gmail(sampled + ["--seed", "5"] + images).stdout != first.stdout)

        let evaluate = [
            "evaluate", "captioning", "--run", folder.path("run"), "--captions", folder.path("coco.json"), "--images",
            folder.path("real"), "--metrics", "bleu,rouge,cider", "--out", folder.path("run/metrics.json"), "--quiet",
            "--batch-size", "5",
        ]
        let scored = try gmail(evaluate)
        #expect(scored.status == 0, "\(scored.stderr)")
        #expect(scored.stdout.contains("CIDEr"))
        struct Metrics: Decodable {
            struct Metric: Decodable {
                let name: String
                let value: Double
            }
            let images: Int
            let metrics: [Metric]
            let tags: [String: String]
        }
        let metrics = try JSONDecoder().decode(Metrics.self, from: Data(bytes("run/metrics.json")))
        #expect(metrics.images == 12)
        #expect(metrics.metrics.contains { $0.name.hasPrefix("CIDEr") })
        #expect(metrics.tags["run"] == folder.path("run"))
        #expect(metrics.tags["recipe"] == "real" && metrics.tags["modality"] == "real" && metrics.tags["step"] == "6")
        #expect(metrics.tags["decoding"] == "beam 5, length penalty 1.0, at most 67 tokens")

        struct Prediction: Decodable {
            let image_id: Int
            let file: String
            let path: String
            let caption: String
            let references: [String]
        }
        let predictions = try String(contentsOfFile: folder.path("run/predictions.jsonl"), encoding: .utf8)
        let predicted = try predictions.split(separator: "\n").map {
            try JSONDecoder().decode(Prediction.self, from: Data($0.utf8))
        }
        #expect(predicted.map(\.image_id) == (100..<112).map { $0 })
        #expect(predicted[3].file == "3.png" && predicted[3].path == folder.path("real/3.png"))
        #expect(predicted[3].references == [captions[3], captions[4]])
        #expect(!FileManager.default.fileExists(atPath: folder.path("run/predictions.jsonl.partial")))

        // The same scores come from the file that was kept.
        let candidates = predicted.map { ["image_id": $0.image_id, "caption": $0.caption] as [String: Any] }
        try JSONSerialization.data(withJSONObject: candidates).write(
            to: URL(fileURLWithPath: folder.path("candidates.json")))
        let again = try gmail([
            "evaluate", "captions", "--references", folder.path("coco.json"), "--candidates",
            folder.path("candidates.json"), "--metrics", "bleu,rouge,cider", "--out", folder.path("again.json"),
            "--quiet", "--per-image", folder.path("again.jsonl"),
        ])
        #expect(again.status == 0, "\(again.stderr)")
        #expect(try bytes("again.jsonl") == bytes("run/per-image.jsonl"))
        struct Scores: Decodable { let metrics: [Metrics.Metric] }
        let scores = try JSONDecoder().decode(Scores.self, from: Data(bytes("again.json")))
        #expect(scores.metrics.map(\.value) == metrics.metrics.map(\.value))

        try evaluationGoesOn(evaluate, predictions)
    }

    /// Two runs that were only trained and evaluated are compared image by image.
    @Test func runsAreCompared() throws {
        for recipe in ["real", "generated"] {
            #expect(try train(recipe, to: recipe).status == 0)
        }
        let compare = ["compare", folder.path("real"), folder.path("generated"), "--metric", "CIDEr", "--json"]
        fails(
            try gmail(compare),
            "run 'real' has no scores per image; gmail evaluate captioning writes them to per-image.jsonl beside its")
        for recipe in ["real", "generated"] {
            let scored = try gmail([
                "evaluate", "captioning", "--run", folder.path(recipe), "--captions", folder.path("coco.json"),
                "--images", folder.path("real"), "--metrics", "cider", "--out", folder.path("\(recipe)/metrics.json"),
                "--quiet",
            ])
            #expect(scored.status == 0, "\(scored.stderr)")
        }
        let compared = try gmail(compare)
        #expect(compared.status == 0, "\(compared.stderr)")
        struct Findings: Decodable {
            struct Contrast: Decodable {
                let metric: String
                let difference: Double
                let images: [Int]
            }
            let contrasts: [Contrast]
        }
        let found = try JSONDecoder().decode(Findings.self, from: Data(compared.stdout.utf8)).contrasts
        func mean(_ run: String) throws -> Double {
            struct Row: Decodable { let CIDEr: Double }
            let rows = try String(contentsOfFile: folder.path("\(run)/per-image.jsonl"), encoding: .utf8).split(
                separator: "\n"
            ).map { try JSONDecoder().decode(Row.self, from: Data($0.utf8)).CIDEr }
            return rows.reduce(0, +) / Double(rows.count)
        }
        #expect(found.map(\.metric) == ["CIDEr"] && found.map(\.images) == [[12]])
        #expect(abs(try found[0].difference - (mean("generated") - mean("real"))) < 1e-9)
    }

    /// An evaluation that was interrupted continues after the images that are done, with the same result.
    private func evaluationGoesOn(_ evaluate: [String], _ predictions: String) throws {
        // An image that cannot be read stops the scoring; what was captioned stays.
        let saved = try bytes("real/11.png")
        try AtomicFile.write("no image", to: folder.path("real/11.png"))
        fails(
            try gmail(evaluate), "1 of 12 images could not be read, and scores without them would be over another set")
        // What is left has no scores of other captions beside it.
        #expect(!FileSystem.exists(folder.path("run/per-image.jsonl")))
        let partial = folder.path("run/predictions.jsonl.partial")
        #expect(try String(contentsOfFile: partial, encoding: .utf8).split(separator: "\n").count == 12)
        try Data(saved).write(to: URL(fileURLWithPath: folder.path("real/11.png")))
        let resumed = try gmail(evaluate.filter { $0 != "--quiet" })
        #expect(resumed.status == 0, "\(resumed.stderr)")
        #expect(resumed.stderr.contains("11 images were captioned before"), "\(resumed.stderr)")
        #expect(try String(contentsOfFile: folder.path("run/predictions.jsonl"), encoding: .utf8) == predictions)
    }

    @Test func aKilledRunGoesOnToTheSameBits() throws {
        let whole = try train("mixed", to: "whole")
        #expect(whole.status == 0, "\(whole.stderr)")
        // The state after a crash in step 2: the later checkpoints were never written.
        try FileManager.default.copyItem(atPath: folder.path("whole"), toPath: folder.path("parts"))
        for step in ["4", "6"] {
            try FileManager.default.removeItem(atPath: folder.path("parts/checkpoints/step-00000\(step)"))
        }
        let resumed = try train("mixed", to: "parts", ["--resume"])
        #expect(resumed.status == 0, "\(resumed.stderr)")
        #expect(try bytes("whole/metrics.jsonl") == bytes("parts/metrics.jsonl"))
        for name in ["mapper", "language_model", "optimizer"] {
            let file = "checkpoints/step-000006/\(name).safetensors"
            #expect(try bytes("whole/\(file)") == bytes("parts/\(file)"), "\(name)")
        }
        fails(try train("mixed", to: "whole"), "already holds a run; continue it with --resume")
        fails(
            try train("mixed", to: "whole", ["--resume", "--set", "mapper.prefixLength=5"]),
            "was begun with another recipe; different are mapper.prefixLength")
        let pairs = try String(contentsOfFile: folder.path("pairs.jsonl"), encoding: .utf8)
        let changed = try folder.write(pairs + "\n", to: "changed.jsonl")
        fails(
            try train("mixed", to: "whole", ["--resume", "--pairs", changed]),
            "'\(folder.path("whole"))' was begun with the pairs '\(folder.path("pairs.jsonl"))'")
    }

    /// Generated images through f_g in training, real ones through f_r afterwards.
    @Test func theGmailRecipeSwapsEncoders() throws {
        let aligned = try gmail([
            "align", "--recipe", "gmail", "--model", folder.path("model"), "--pairs", folder.path("pairs.jsonl"),
            "--out",
            folder.path("align"), "--cache", folder.path("cache"), "--quiet", "--set", "training.batchSize=4", "--set",
            "training.steps=3", "--set", "training.learningRate=1e-2", "--set", "training.validationEvery=0",
        ])
        #expect(aligned.status == 0, "\(aligned.stderr)")
        for recipe in ["gmail", "gmail-plus-real"] {
            let trained = try train(recipe, to: recipe, ["--run", folder.path("align")])
            #expect(trained.status == 0, "\(trained.stderr)")
        }
        let image = folder.path("generated/4.png")
        func caption(_ modality: String) throws -> String {
            let outcome = try gmail([
                "caption", "--run", folder.path("gmail"), "--modality", modality, "--json", "--quiet", image,
            ])
            #expect(outcome.status == 0, "\(outcome.stderr)")
            return outcome.stdout
        }
        // The same picture gives another score through the other encoder.
        let (real, generated) = (try caption("real"), try caption("generated"))
        #expect(real.contains(#""modality":"real""#) && generated.contains(#""modality":"generated""#))
        #expect(real.split(separator: "score")[1] != generated.split(separator: "score")[1])

        fails(try train("gmail", to: "lacking"), "give the alignment run that trained it with --run")
        fails(
            try train("generated", to: "too-much", ["--run", folder.path("align")]),
            "an alignment run has no part in it")
        // An alignment that was trained further is another encoder.
        let longer = try gmail([
            "align", "--recipe", "gmail", "--model", folder.path("model"), "--pairs", folder.path("pairs.jsonl"),
            "--out",
            folder.path("align"), "--cache", folder.path("cache"), "--quiet", "--set", "training.batchSize=4", "--set",
            "training.steps=4", "--set", "training.learningRate=1e-2", "--set", "training.validationEvery=0",
            "--resume",
        ])
        #expect(longer.status == 0, "\(longer.stderr)")
        fails(
            try gmail(["caption", "--run", folder.path("gmail"), "--quiet", image]),
            "was trained with the alignment run '\(folder.path("align"))'")
    }

    /// A state dict as ClipCap's authors publish it.
    @Test func theAuthorsCheckpointsCaption() throws {
        let parts = ["--model", folder.path("model"), "--language-model", folder.path("gpt2"), "--quiet"]
        for name in ["mlp", "transformer", "mapper"] {
            let outcome = try gmail(
                [
                    "caption", "--weights", folder.path("state-dicts/\(name).pt"), "--normalize", "no",
                    folder.path("real/0.png"),
                ]
                    + parts)
            #expect(outcome.status == 0, "\(outcome.stderr)")
            #expect(!outcome.stdout.trimmingCharacters(in: .whitespacesAndNewlines).isEmpty, "\(name)")
        }
        let image = folder.path("real/0.png")
        fails(
            try gmail(["caption", "--weights", folder.path("state-dicts/mlp.pt"), image] + parts),
            "say it with --normalize yes or --normalize no")
        fails(
            try gmail(
                ["caption", "--weights", folder.path("state-dicts/legacy.pt"), "--normalize", "no", image] + parts),
            "is in the format of torch.save before PyTorch 1.6")
    }

    @Test func badInputIsNamed() throws {
        #expect(try train("real", to: "run").status == 0)
        let run = folder.path("run")
        let image = folder.path("real/0.png")
        fails(
            try train("reel", to: "a"),
            "no recipe 'reel': it is neither a file nor a shipped recipe. Did you mean 'real'?")
        fails(
            try train("real", to: "a", ["--set", "mapper.prefixlength=4"]),
            "unknown recipe key 'mapper.prefixlength'. Did you mean 'mapper.prefixLength'?")
        fails(
            try train("real", to: "a", ["--set", "mapper.prefixLength=40"]),
            "has a context of 40 positions and a caption needs some of them; choose a prefix below 40")
        // A run that never began leaves the folder free.
        #expect(!FileManager.default.fileExists(atPath: folder.path("a/recipe.yaml")))
        fails(try gmail(["caption", "--run", folder.path("none"), image]), "holds no run")
        fails(
            try gmail(["caption", "--run", run, "--language-model", folder.path("none"), image]),
            "'\(folder.path("none"))' is no model folder: there is nothing")
        fails(try gmail(["caption", "--run", run, "--model", folder.path("none"), image]), "is no model folder")
        try FileManager.default.copyItem(atPath: folder.path("model"), toPath: folder.path("other"))
        var weights = try Data(contentsOf: URL(fileURLWithPath: folder.path("other/model.safetensors")))
        weights[weights.count - 1] ^= 1
        try weights.write(to: URL(fileURLWithPath: folder.path("other/model.safetensors")))
        fails(
            try gmail(["caption", "--run", run, "--model", folder.path("other"), image]), "was trained with the model")
        fails(
            try gmail(["caption", "--run", run, "--modality", "generated", image]), "has no encoder of generated images"
        )
        // The others are captioned all the same.
        try AtomicFile.write("no image", to: folder.path("broken.png"))
        let mixed = try gmail(["caption", "--run", run, folder.path("broken.png"), image])
        fails(mixed, "1 of 2 images could not be read")
        #expect(mixed.stderr.contains("broken.png"))
        #expect(mixed.stdout.hasPrefix(image))
        fails(
            try gmail(["caption", "--run", run, folder.path("none.png")]),
            "cannot read '\(folder.path("none.png"))': No such file or directory")

        fails(try gmail(["caption", image]), "no captioner: give --run FOLDER (or --weights FILE.pt)", status: 2)
        fails(
            try gmail(["caption", "--run", run, "--beam", "3", "--sample", image]), "exclude each other", status: 2)
        fails(try gmail(["caption", "--run", run, "--top-k", "3", image]), "--top-k is for --sample", status: 2)
        fails(
            try gmail([
                "evaluate", "captioning", "--run", run, "--captions", folder.path("coco.json"), "--images",
                folder.path("generated"), "--split", "test", "--metrics", "bleu", "--out", folder.path("m.json"),
            ]), "split 'test' asked for, but the file names no splits")
        // Two names for one file, and two processes for one file of predictions.
        try FileManager.default.copyItem(atPath: folder.path("real"), toPath: folder.path("flat"))
        try folder.write(
            #"[{"image": "x/3.png", "caption": "a"}, {"image": "y/3.png", "caption": "b"}]"#, to: "list.json")
        let list = [
            "evaluate", "captioning", "--run", run, "--captions", folder.path("list.json"), "--images",
            folder.path("flat"), "--metrics", "bleu", "--out", folder.path("scores/m.json"), "--quiet",
        ]
        fails(try gmail(list), "cannot write '\(folder.path("scores/m.json"))': No such file or directory")
        try FileSystem.createFolder(folder.path("scores"))
        fails(
            try gmail(list),
            "'x/3.png' and 'y/3.png' of '\(folder.path("list.json"))' would both be read from '\(folder.path("flat/3.png"))'"
        )
        for name in ["x", "y"] {
            try FileManager.default.copyItem(atPath: folder.path("real"), toPath: folder.path("flat/\(name)"))
        }
        for name in ["m.json", "predictions.jsonl"] {
            let lock = try OutputLock(for: folder.path("scores/\(name)"), owner: "gmail evaluate captioning")
            defer { withExtendedLifetime(lock) {} }
            fails(
                try gmail(list), "'\(folder.path("scores/\(name)"))' is in use by gmail evaluate captioning, process")
        }
        #expect(try gmail(list).status == 0)
        let predicted = try String(contentsOfFile: folder.path("scores/predictions.jsonl"), encoding: .utf8)
        #expect(predicted.contains(#""image_id":"x\/3.png""#) || predicted.contains(#""image_id":"x/3.png""#))
        #expect(predicted.contains(folder.path("flat/y/3.png")))
    }
}
