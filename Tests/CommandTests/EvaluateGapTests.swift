import Foundation
import Safetensors
import Testing

/// `gmail evaluate gap` from end to end.
@Suite(.serialized) struct EvaluateGapTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try TinyModel.write(to: folder.path("model"))
        try FileManager.default.createDirectory(atPath: folder.path("images"), withIntermediateDirectories: true)
        for number in 0..<24 { try TinyModel.writeImage(number, to: folder.path("images/\(number).png")) }
    }

    private var environment: [String: String] { ["XDG_CACHE_HOME": folder.path("xdg")] }

    private func caption(_ pair: Int) -> String { "bridge \(pair)" }

    /// Pairs of image numbers.
    private func write(_ pairs: [(real: Int, generated: Int)]) throws {
        let lines = pairs.enumerated().map {
            #"{"id": "p\#($0)", "caption": "\#(caption($0))", "real": "images/\#($1.real).png", "generated": "images/\#($1.generated).png"}"#
        }
        try folder.write(lines.joined(separator: "\n") + "\n", to: "pairs.jsonl")
    }

    private func evaluate(_ more: [String] = []) throws -> Gmail.Outcome {
        try Gmail.run(
            [
                "evaluate", "gap", "--model", folder.path("model"), "--pairs", folder.path("pairs.jsonl"), "--out",
                folder.path("gap.json"),
            ] + more, environment: environment)
    }

    private func object(_ name: String) throws -> [String: Any] {
        let data = try Data(contentsOf: URL(fileURLWithPath: folder.path(name)))
        return try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    private func mean(_ side: [String: Any], _ name: String) throws -> Double {
        try #require((side[name] as? [String: Any])?["mean"] as? Double)
    }

    /// Every pair has the same picture twice: cosine 1, no distance between the centroids, and captions as far from one
    /// kind as from the other. The mean cosine of pictures and captions follows from the features that `embed` writes.
    @Test func equalPicturesHaveNoGap() throws {
        try write((0..<5).map { ($0, $0) })
        let outcome = try evaluate(["--map", "none"])
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let report = try object("gap.json")
        let before = try #require(report["before"] as? [String: Any])
        #expect(abs(try mean(before, "real_generated") - 1) < 1e-6)
        #expect(abs(try #require(before["centroid_distance"] as? Double)) < 1e-6)
        #expect(report["after"] == nil && report["map_files"] == nil)
        try folder.write((0..<5).map { caption($0) + "\n" }.joined(), to: "texts.txt")
        let embedded = try Gmail.run(
            ["embed", "--model", folder.path("model"), "--out", folder.path("f.safetensors"), "--images"]
                + (0..<5).map { folder.path("images/\($0).png") } + ["--texts", folder.path("texts.txt")],
            environment: environment)
        #expect(embedded.status == 0, "\(embedded.stderr)")
        let images = try TinyModel.read(folder.path("f.safetensors"), "image_embeds")
        let texts = try TinyModel.read(folder.path("f.safetensors"), "text_embeds")
        let expected = zip(images, texts).reduce(0) { $0 + cosine($1.0, $1.1) } / 5
        #expect(abs(try mean(before, "real_text") - expected) < 1e-5)
        #expect(abs(try mean(before, "generated_text") - expected) < 1e-5)
    }

    /// One real picture for all pairs against two others: two different cosines, counted by hand 3 and 1 times, and the
    /// distance between one point and the weighted mean of two.
    @Test func meansWeighPairsAndCentroidsCountDistinctRealImages() throws {
        try write([(0, 1), (0, 1), (0, 1), (0, 2)])
        #expect(try evaluate(["--map", "none"]).status == 0)
        let before = try #require(object("gap.json")["before"] as? [String: Any])
        let embedded = try Gmail.run(
            ["embed", "--model", folder.path("model"), "--out", folder.path("f.safetensors"), "--images"]
                + (0..<3).map { folder.path("images/\($0).png") }, environment: environment)
        #expect(embedded.status == 0, "\(embedded.stderr)")
        let rows = try TinyModel.read(folder.path("f.safetensors"), "image_embeds")
        let (near, far) = (cosine(rows[0], rows[1]), cosine(rows[0], rows[2]))
        #expect(abs(near - far) > 1e-4, "the case needs two different cosines")
        #expect(abs(try mean(before, "real_generated") - (3 * near + far) / 4) < 1e-5)
        let spread = try #require((before["real_generated"] as? [String: Any])?["std"] as? Double)
        #expect(abs(spread - abs(near - far) * (3.0 / 16).squareRoot()) < 1e-5)
        let squared = (0..<10).reduce(0.0) { sum, k in
            let difference = Double(rows[0][k]) - (3 * Double(rows[1][k]) + Double(rows[2][k])) / 4
            return sum + difference * difference
        }
        #expect(abs(try #require(before["centroid_distance"] as? Double) - squared.squareRoot()) < 1e-5)
        let counts = try #require(object("gap.json")["counts"] as? [String: Any])
        #expect(counts["pairs"] as? Int == 4 && counts["real_images"] as? Int == 1)
    }

    @Test func aRunIsMeasuredAfterAlignmentAndDrawn() throws {
        try write((0..<12).map { ($0, 12 + $0) })
        let trained = try Gmail.run(
            [
                "align", "--recipe", "gmail", "--model", folder.path("model"), "--pairs", folder.path("pairs.jsonl"),
                "--out", folder.path("run"), "--cache", folder.path("cache"), "--quiet", "--threads", "1", "--set",
                "training.batchSize=6",
                "--set", "training.steps=60", "--set", "training.learningRate=1e-2",
            ], environment: environment)
        #expect(trained.status == 0, "\(trained.stderr)")
        let outcome = try evaluate(["--run", folder.path("run")])
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let report = try object("gap.json")
        let before = try #require(report["before"] as? [String: Any])
        let after = try #require(report["after"] as? [String: Any])
        // The pairs are those it was trained on: each generated picture has come nearer to its real one.
        #expect(try mean(after, "real_generated") > mean(before, "real_generated"))
        let gap = try #require(report["gap"] as? [String: Any])
        for (side, cosine) in [
            ("before", try mean(before, "real_generated")), ("after", try mean(after, "real_generated")),
        ] {
            let diagnosis = try #require(gap[side] as? [String: Any])
            #expect(abs(try #require(diagnosis["cosine"] as? Double) - cosine) < 1e-6)
            #expect(diagnosis["recall_at_1"] is Double && diagnosis["verdict"] as? String == "too-few-pairs")
            #expect(diagnosis["temperature_batch"] as? Int == 6)
        }
        #expect(outcome.stdout.contains("advice: too few pairs to say: 12 distinct real images"), "\(outcome.stdout)")
        #expect(
            (report["map_files"] as? [String])?.map { ($0 as NSString).lastPathComponent } == [
                "gap-map.json", "gap.svg",
            ])
        let map = try object("gap-map.json")
        #expect((map["ids"] as? [String])?.count == 12)
        for side in ["before", "after"] {
            let points = try #require(map[side] as? [String: Any])
            #expect(points["method"] as? String == "tsne")
            #expect((points["generated"] as? [[Double]])?.count == 12 && (points["real"] as? [[Double]])?.count == 12)
        }
        let svg = try String(contentsOfFile: folder.path("gap.svg"), encoding: .utf8)
        #expect(svg.hasPrefix("<svg") || svg.hasPrefix("<?xml"))
        #expect(svg.contains("After alignment (step 60)"))
        // Equal input, equal files.
        let first = ["gap.json", "gap-map.json", "gap.svg"].map {
            FileManager.default.contents(atPath: folder.path($0))
        }
        #expect(try evaluate(["--run", folder.path("run"), "--quiet"]).status == 0)
        #expect(
            first
                == ["gap.json", "gap-map.json", "gap.svg"].map { FileManager.default.contents(atPath: folder.path($0)) }
        )
        // --json prints what the file holds.
        let printed = try evaluate(["--json", "--map", "none", "--limit", "3"])
        #expect(Data(printed.stdout.utf8) == FileManager.default.contents(atPath: folder.path("gap.json")))
        #expect((try object("gap.json")["counts"] as? [String: Any])?["pairs"] as? Int == 3)
    }

    private func align(_ recipe: String, to run: String, _ more: [String]) throws -> Gmail.Outcome {
        try Gmail.run(
            [
                "align", "--recipe", recipe, "--model", folder.path("model"), "--pairs", folder.path("pairs.jsonl"),
                "--out", folder.path(run), "--cache", folder.path("cache"), "--quiet", "--threads", "1",
            ] + more, environment: environment)
    }

    /// The baselines are runs like any other: each closes a gap in the pairs on which it was fitted.
    @Test(arguments: ["mean-shift", "coral", "ridge"])
    func aClosedFormIsMeasuredLikeATraining(recipe: String) throws {
        try write((0..<12).map { ($0, 12 + $0) })
        let validated = ["--validation", folder.path("pairs.jsonl"), "--set", "training.precision=float32"]
        let trained = try align(recipe, to: "run", validated)
        #expect(trained.status == 0, "\(trained.stderr)")
        let outcome = try evaluate(["--run", folder.path("run"), "--map", "none", "--dtype", "float32"])
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let report = try object("gap.json")
        let before = try #require(report["before"] as? [String: Any])
        let after = try #require(report["after"] as? [String: Any])
        // A shift of embeddings that are not normalised brings the centroids together, not each pair.
        if recipe == "mean-shift" {
            let distances = [before, after].compactMap { $0["centroid_distance"] as? Double }
            #expect(distances.count == 2 && distances[1] < distances[0])
        } else {
            #expect(try mean(after, "real_generated") > mean(before, "real_generated"))
        }
        #expect((report["protocol"] as? [String: Any])?["run_step"] as? Int == 1)
        // Its own log says the same of the same pairs.
        let log = try String(contentsOfFile: folder.path("run/metrics.jsonl"), encoding: .utf8).split(separator: "\n")
        let line = Data(String(log.last ?? "").utf8)
        let last = try #require(try JSONSerialization.jsonObject(with: line) as? [String: Double])
        #expect(abs(try #require(last["validation/paired_cosine"]) - mean(after, "real_generated")) < 1e-5)
        // A finished one has nothing left to do.
        let again = try align(recipe, to: "run", validated + ["--resume"])
        #expect(again.status == 0, "\(again.stderr)")
        let refused = try align(recipe, to: "other", ["--set", "training.steps=5"])
        #expect(refused.status == 1 && refused.stderr.contains("because loss.kind is"), "\(refused.stderr)")
    }

    @Test func textAloneAndOneHalfAreTrained() throws {
        try write((0..<12).map { ($0, 12 + $0) })
        let small = ["--set", "training.steps=2", "--set", "training.batchSize=3"]
        let text = try align("text-only", to: "text", small)
        #expect(text.status == 0, "\(text.stderr)")
        let half = try align("aligned-elsewhere", to: "half", small)
        #expect(half.status == 0, "\(half.stderr)")
        let sources = try #require(object("half/manifest.json")["sources"] as? [[String: Any]])
        let count = try #require(sources.first { $0["role"] as? String == "pairs" }?["count"] as? Int)
        #expect((3...9).contains(count))
    }

    /// The highest validation cosine decides, wherever the run ends.
    @Test func theBestCheckpointIsMeasured() throws {
        try write((0..<12).map { ($0, 12 + $0) })
        let trained = try align(
            "gmail", to: "run",
            [
                "--validation", folder.path("pairs.jsonl"), "--set", "training.batchSize=6", "--set",
                "training.steps=12", "--set", "training.learningRate=0.5", "--set", "training.validationEvery=3",
                "--set", "training.bestMetric=paired_cosine", "--set", "training.patience=2",
            ])
        #expect(trained.status == 0, "\(trained.stderr)")
        let log = try String(contentsOfFile: folder.path("run/metrics.jsonl"), encoding: .utf8)
        let cosines = try log.split(separator: "\n").compactMap { line -> (Double, Double)? in
            let entry = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Double]
            return entry?["validation/paired_cosine"].map { ($0, entry?["step"] ?? -1) }
        }
        let best = try #require(cosines.max { $0.0 < $1.0 })
        #expect(log.contains("validation/centroid_distance") && log.contains("validation/loss_minus_training"))
        #expect(try evaluate(["--run", folder.path("run"), "--map", "none"]).status == 0)
        #expect((try object("gap.json")["protocol"] as? [String: Any])?["run_step"] as? Int == Int(best.1))
    }

    @Test func aCalibratedTemperatureIsLoggedAndSurvivesAResume() throws {
        try write((0..<12).map { ($0, 12 + $0) })
        let options = [
            "--set", "training.batchSize=6", "--set", "loss.temperature=calibrated", "--set", "training.logEvery=1",
            "--set", "training.checkpointEvery=2",
        ]
        let whole = try align("gmail", to: "whole", options + ["--set", "training.steps=4"])
        guard whole.status == 0 else {
            // Random pictures may have no temperature; then the reason is named.
            #expect(whole.stderr.contains("setting 'loss.temperature' is calibrated, expected a number ("))
            return
        }
        #expect(try align("gmail", to: "parts", options + ["--set", "training.steps=2"]).status == 0)
        let rest = try align("gmail", to: "parts", options + ["--set", "training.steps=4", "--resume"])
        #expect(rest.status == 0, "\(rest.stderr)")
        let logs = ["whole", "parts"].map { FileManager.default.contents(atPath: folder.path("\($0)/metrics.jsonl")) }
        #expect(logs[0] == logs[1])
        #expect(String(decoding: logs[0] ?? Data(), as: UTF8.self).contains("\"temperature\": "))
        #expect(FileManager.default.fileExists(atPath: folder.path("whole/checkpoints/step-000004/calibration.json")))
    }

    @Test func contentIsCheckedAgainstCaptions() throws {
        try write((0..<8).map { ($0, 8 + $0) })
        func check(_ more: [String]) throws -> Gmail.Outcome {
            try Gmail.run(["data", "check", folder.path("pairs.jsonl")] + more, environment: environment)
        }
        let outcome = try check([
            "--content", "--model", folder.path("model"), "--sheet", folder.path("sheet.html"), "--sheet-pairs", "3",
            "--scores", folder.path("scores.jsonl"), "--drop-worst", "0.25", "--filtered", folder.path("kept.jsonl"),
            "--json",
        ])
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let printed = try #require(
            try JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? [String: Any])
        let content = try #require(printed["content"] as? [String: Any])
        #expect(content["kept"] as? Int == 6 && content["lost"] as? Int == 2)
        let scores = try String(contentsOfFile: folder.path("scores.jsonl"), encoding: .utf8).split(separator: "\n").map
        {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(scores.map { $0["rank"] as? Int } == (1...8).map { $0 })
        let differences = scores.compactMap { $0["difference"] as? Double }
        #expect(differences == differences.sorted())
        // The two worst are gone, and the others stand in their order.
        let kept = try String(contentsOfFile: folder.path("kept.jsonl"), encoding: .utf8)
        let worst = Set(scores.prefix(2).compactMap { $0["id"] as? String })
        let expected = (0..<8).map { "p\($0)" }.filter { !worst.contains($0) }
        let ids = kept.split(separator: "\n").compactMap { line -> String? in
            (try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])?["id"] as? String
        }
        #expect(ids == expected)
        let page = try String(contentsOfFile: folder.path("sheet.html"), encoding: .utf8)
        #expect(page.components(separatedBy: "<img ").count == 7 && page.contains("The worst 3 of 8 pairs"))
        #expect(try check(["--sheet", "x.html"]).status == 2)
        #expect(try check(["--content"]).status == 2)
        let elsewhere = try check([
            "--content", "--model", folder.path("model"), "--drop-worst", "0.1", "--filtered",
            folder.path("images/kept.jsonl"),
        ])
        #expect(elsewhere.status == 1 && elsewhere.stderr.contains("write it beside"), "\(elsewhere.stderr)")
    }

    @Test func brokenPicturesAreSkippedAndFewPairsAreDrawnByPCA() throws {
        try write([(0, 1), (2, 3), (4, 5), (6, 7)])
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: folder.path("images/3.png")))
        let outcome = try evaluate()
        #expect(outcome.status == 0, "\(outcome.stderr)")
        #expect(outcome.stderr.contains("3 pairs are too few for t-SNE (10): the map is PCA's"), "\(outcome.stderr)")
        let report = try object("gap.json")
        #expect((report["counts"] as? [String: Any])?["pairs"] as? Int == 3)
        let skipped = try #require((report["skipped"] as? [[String: String]])?.first)
        #expect(skipped["path"] == "images/3.png" && skipped["kind"] == "generated")
        #expect((try object("gap-map.json")["before"] as? [String: Any])?["method"] as? String == "pca")
        for number in [0, 2, 4, 6] {
            try Data([1]).write(to: URL(fileURLWithPath: folder.path("images/\(number).png")))
        }
        let none = try evaluate()
        #expect(none.status == 1)
        #expect(none.stderr.contains("none of the 4 pairs has two readable images"), "\(none.stderr)")
    }
}
