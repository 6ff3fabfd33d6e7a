import Foundation
import Safetensors
import Testing

/// `gmail evaluate retrieval` from end to end; recall is computed again here from what `gmail embed` writes.
@Suite(.serialized) struct EvaluateRetrievalTests {
    private let folder: TemporaryFolder
    private let owners: [Int]  // of each caption, its image
    private let captions: [String]

    init() throws {
        folder = try TemporaryFolder()
        try TinyModel.write(to: folder.path("model"))
        try FileManager.default.createDirectory(atPath: folder.path("images"), withIntermediateDirectories: true)
        for number in 0..<12 { try TinyModel.writeImage(number, to: folder.path("images/\(number).png")) }
        owners = (0..<12).flatMap { Array(repeating: $0, count: 1 + $0 % 3) }
        let words = ["bridge", "lake", "beach", "kitchen", "street", "paint", "river"]
        // Captions of equal words, so that scores tie.
        captions = owners.indices.map { "\(words[$0 % 7]) near the \(words[$0 * 3 % 5])" }
        let images = (0..<12).map { #"{"id": \#(100 + $0), "file_name": "\#($0).png"}"# }
        let annotations = zip(owners, captions).enumerated().map {
            #"{"id": \#($0), "image_id": \#(100 + $1.0), "caption": "\#($1.1)"}"#
        }
        try folder.write(
            #"{"images": [\#(images.joined(separator: ", "))], "annotations": [\#(annotations.joined(separator: ", "))]}"#,
            to: "captions.json")
        try folder.write(captions.joined(separator: "\n") + "\n", to: "captions.txt")
    }

    private var environment: [String: String] { ["XDG_CACHE_HOME": folder.path("xdg")] }

    private func evaluate(_ more: [String] = [], captions: String = "captions.json") throws -> Gmail.Outcome {
        try Gmail.run(
            [
                "evaluate", "retrieval", "--model", folder.path("model"), "--captions", folder.path(captions),
                "--images", folder.path("images"), "--out", folder.path("metrics.json"), "--quiet",
            ] + more, environment: environment)
    }

    private func report() throws -> [String: Any] {
        let data = try Data(contentsOf: URL(fileURLWithPath: folder.path("metrics.json")))
        return try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    /// The definition over the features of `gmail embed`: any positive, equal scores by index.
    private func expected(_ more: [String]) throws -> (imageToText: [Double], textToImage: [Double]) {
        // Path order is not the file's order: 10.png comes before 2.png.
        let paths = (0..<12).map { folder.path("images/\($0).png") }
        let outcome = try Gmail.run(
            ["embed", "--model", folder.path("model"), "--out", folder.path("f.safetensors"), "--quiet", "--images"]
                + paths + ["--texts", folder.path("captions.txt")] + more, environment: environment)
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let images = try TinyModel.read(folder.path("f.safetensors"), "image_embeds")
        let texts = try TinyModel.read(folder.path("f.safetensors"), "text_embeds")
        func recall(_ k: Int, _ scores: [[Double]], _ isPositive: (Int, Int) -> Bool) -> Double {
            let hits = scores.indices.count { query in
                let ranked = scores[query].indices.sorted {
                    let (a, b) = (scores[query][$0], scores[query][$1])
                    return abs(a - b) > 1e-9 ? a > b : $0 < $1
                }
                return ranked.prefix(k).contains { isPositive(query, $0) }
            }
            return Double(hits) / Double(scores.count)
        }
        let byImage = images.map { image in texts.map { cosine(image, $0) } }
        let byText = texts.map { text in images.map { cosine($0, text) } }
        return (
            [1, 5, 10].map { recall($0, byImage) { owners[$1] == $0 } },
            [1, 5, 10].map { recall($0, byText) { owners[$0] == $1 } }
        )
    }

    private func check(_ report: [String: Any], _ more: [String] = []) throws {
        let metrics = try #require(report["metrics"] as? [String: Any])
        #expect(metrics["images"] as? Int == 12 && metrics["captions"] as? Int == captions.count)
        let expected = try expected(more)
        for (name, values) in [("image_to_text", expected.imageToText), ("text_to_image", expected.textToImage)] {
            let direction = try #require(metrics[name] as? [String: Double])
            for (k, value) in zip([1, 5, 10], values) {
                #expect(abs(try #require(direction["R@\(k)"]) - value) < 1e-12, "\(name) R@\(k)")
            }
        }
    }

    @Test func recallEqualsTheDefinition() throws {
        let outcome = try evaluate()
        #expect(outcome.status == 0, "\(outcome.stderr)")
        #expect(outcome.stdout.contains("12 images, \(captions.count) captions; recall in % (chance)"))
        let report = try report()
        try check(report)
        let tag = try #require(report["protocol"] as? String)
        #expect(tag.contains("any positive counts, equal scores rank by index, 12 images, \(captions.count) captions"))
        let data = try #require(report["data"] as? [String: Any])
        #expect(data["format"] as? String == "coco" && data["images_without_caption"] as? Int == 0)
        #expect((data["captions_sha256"] as? String)?.count == 64)
        #expect(report["run"] == nil)
        // --json prints what the file holds.
        let again = try evaluate(["--json"])
        #expect(Data(again.stdout.utf8) == (try Data(contentsOf: URL(fileURLWithPath: folder.path("metrics.json")))))
    }

    @Test func aRunReadsImagesThroughItsRealBranch() throws {
        let pairs = (0..<12).map {
            #"{"id": "p\#($0)", "caption": "scene \#($0)", "real": "images/\#($0).png", "generated": "images/\#(11 - $0).png"}"#
        }
        try folder.write(pairs.joined(separator: "\n") + "\n", to: "pairs.jsonl")
        // The tuned encoder reads real images too, so that the run's own numbers differ from the base model's.
        let trained = try Gmail.run(
            [
                "align", "--recipe", "gmail", "--model", folder.path("model"), "--pairs", folder.path("pairs.jsonl"),
                "--out", folder.path("run"), "--cache", folder.path("cache"), "--quiet", "--threads", "1", "--set",
                "training.batchSize=6",
                "--set", "training.steps=12", "--set", "training.learningRate=3e-2",
            ], environment: environment)
        #expect(trained.status == 0, "\(trained.stderr)")
        let run = ["--run", folder.path("run")]
        let outcome = try evaluate(run)
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let report = try report()
        try check(report, run + ["--modality", "real"])
        let source = try #require(report["run"] as? [String: Any])
        #expect(source["step"] as? Int == 12 && source["modality"] as? String == "real")
        #expect(source["path"] as? String == folder.path("run"))
    }

    @Test func splitsOfKarpathysFileAreTaken() throws {
        let images = (0..<12).map { number -> String in
            let texts = zip(owners, captions).filter { $0.0 == number }.map { #"{"raw": "\#($0.1)"}"# }
            return
                #"{"filepath": "val2014", "filename": "\#(number).png", "imgid": \#(number), "split": "\#(number < 4 ? "val" : "test")", "sentences": [\#(texts.joined(separator: ", "))]}"#
        }
        try folder.write(#"{"dataset": "coco", "images": [\#(images.joined(separator: ", "))]}"#, to: "karpathy.json")
        for (options, count, split) in [([], 8, "test"), (["--split", "val"], 4, "val")] {
            let outcome = try evaluate(options, captions: "karpathy.json")
            #expect(outcome.status == 0, "\(outcome.stderr)")
            let report = try report()
            #expect((report["metrics"] as? [String: Any])?["images"] as? Int == count)
            let data = try #require(report["data"] as? [String: Any])
            #expect(data["split"] as? String == split && data["format"] as? String == "karpathy")
        }
    }

    @Test func mistakesAreNamed() throws {
        func fails(_ message: String, _ outcome: Gmail.Outcome) {
            #expect(outcome.status == 1)
            #expect(outcome.stderr.contains(message), "\(outcome.stderr)")
        }
        fails("no-such.json", try evaluate(captions: "no-such.json"))
        fails(
            "split 'val' asked for, but the file names no splits; leave the split out",
            try evaluate(["--split", "val"]))
        fails("holds captions in no layout that is read here", try evaluate(captions: "captions.txt"))
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: folder.path("images/3.png")))
        fails("1 of 12 images could not be read, so recall would be over another set", try evaluate())
        try FileManager.default.removeItem(atPath: folder.path("images/3.png"))
        fails("1 of 12 images of '\(folder.path("captions.json"))' are not in", try evaluate())
        #expect(!FileManager.default.fileExists(atPath: folder.path("metrics.json")))
    }
}
