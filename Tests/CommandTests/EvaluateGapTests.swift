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
