import Foundation
import Images
import Report

/// Run folders made for a test, gone with it.
final class RunFolders {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("report-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        // What stays behind in the temporary folder harms no test.
        try? FileManager.default.removeItem(at: url)
    }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    @discardableResult
    func write(_ text: String, _ name: String) throws -> String {
        let file = url.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
        return file.path
    }

    static func recipe(_ name: String, seed: Int = 0, rank: Int = 4, description: String = "A test.") -> String {
        """
        name: "\(name)"
        description: "\(description)"
        paper:
          table: "Table 6"
          row: "alignment on"
          numbers: {"BLEU-4": 38.12, "CIDEr": 119.53}
        adapter:
          rank: \(rank)
          targets: ["q_proj", "v_proj"]
        training:
          steps: 60
          seed: \(seed)

        """
    }

    static let manifest = """
        {"device": "cpu", "dtype": "float32", "frozenElements": 40505, "seed": 0, "steps": 60,
         "parameterGroups": [{"name": "adapter", "tensors": 24, "elements": 3072, "learningRate": 1e-3, "weightDecay": 0}],
         "sources": [{"role": "pairs", "path": "pairs.jsonl", "sha256": "1f77ca5f49aac198", "count": 12345}],
         "skipped": [{"index": 3, "id": "p3", "reason": "image 'p3.jpg' is truncated"}],
         "versions": {"gmail": "0.1.0", "libtorch": "2.13.0"}}
        """

    /// Sixty steps and three validations.
    static func metrics(shift: Double = 0) -> String {
        var lines: [String] = []
        for step in 0...60 {
            if step % 30 == 0 {
                lines.append(#"{"step": \#(step), "validation/loss": \#(2 - Double(step) / 100 + shift)}"#)
            }
            if step > 0 {
                let rate = 0.001 * Double(60 - step)
                lines.append(
                    #"{"step": \#(step), "loss": \#(2 - Double(step) / 50 + shift), "learning_rate/a": \#(rate), "learning_rate/b": \#(rate)}"#
                )
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    static func scores(_ values: [(name: String, value: Double)], tokenizer: String = "PTB") -> String {
        let metrics = values.map {
            #"{"name": "\#($0.name)", "value": \#($0.value), "protocol": {"metric": "\#($0.name)", "variant": "coco-caption", "tokenizer": "\#(tokenizer)", "sha256": {}}}"#
        }
        return #"{"images": 3, "metrics": [\#(metrics.joined(separator: ", "))], "findings": []}"#
    }

    static let retrieval = """
        {"version": 1, "task": "retrieval", "protocol": "retrieval: cosine in float32", "metrics": {"images": 9, "captions": 9,
          "image_to_text": {"R@1": 0.5, "R@5": 0.75, "R@10": 1, "median_rank": 2, "chance_R@1": 0.1, "chance_R@5": 0.5, "chance_R@10": 1},
          "text_to_image": {"R@1": 0.25, "R@5": 0.5, "R@10": 1, "median_rank": 3, "chance_R@1": 0.1, "chance_R@5": 0.5, "chance_R@10": 1}}}
        """

    static func gap(before: Double, after: Double) -> String {
        func distribution(_ mean: Double) -> String {
            var bins = [Int](repeating: 0, count: 20)
            bins[min(19, Int((mean + 1) * 10))] = 4
            return
                #"{"count": 4, "mean": \#(mean), "std": 0.1, "min": 0, "q25": 0.1, "median": \#(mean), "q75": 0.9, "max": 1, "histogram": \#(bins)}"#
        }
        func side(_ mean: Double) -> String {
            #"{"real_generated": \#(distribution(mean)), "centroid_distance": \#(1 - mean)}"#
        }
        func diagnosis(_ mean: Double, _ advice: String) -> String {
            #"{"cosine": \#(mean), "floor": 0.1, "ceiling": 0.9, "closure": \#(mean - 0.03), "auc": 0.6, "recall_at_1": \#(mean - 0.07), "median_rank": 2, "gallery": 4, "temperature_batch": 4, "repairs": {"coral": {"cosine": 0.7, "closure": 0.71, "recall_at_1": 0.5, "median_rank": 2}}, "verdict": "style", "advice": "\#(advice)", "warnings": ["4 images"]}"#
        }
        let gap =
            #"{"before": \#(diagnosis(before, "a gap of <style>")), "after": \#(diagnosis(after, "hardly a gap"))}"#
        return
            #"{"version": 2, "before": \#(side(before)), "after": \#(side(after)), "gap": \#(gap), "counts": {"pairs": 4}, "protocol": {"run_step": 60}}"#
    }

    static let gapMap = """
        {"version": 1, "seed": 0, "ids": ["a", "b"],
         "before": {"method": "pca", "real": [[0, 0], [1, 1]], "real_row": [0, 1], "generated": [[3, 0.5], [4, 1]]},
         "after": {"method": "pca", "real": [[0, 0], [1, 1]], "real_row": [0, 1], "generated": [[0.1, 0], [1, 1.2]]}}
        """

    static func predictions(_ captions: [String], references: [String] = ["A reference."]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        func quoted(_ text: String) throws -> String { String(decoding: try encoder.encode(text), as: UTF8.self) }
        return try captions.enumerated().map { index, caption in
            let others = try references.map(quoted).joined(separator: ", ")
            return
                #"{"image_id": \#(index), "file": "\#(index).png", "path": "photos/\#(index).png", "caption": \#(try quoted(caption)), "references": [\#(others)], "scores": {"CIDEr": 0.5}}"#
        }.joined(separator: "\n") + "\n"
    }

    /// A small picture under `name`.
    func picture(_ name: String, width: Int = 31, height: Int = 17) throws {
        let pixels = (0..<width * height * 3).map { UInt8(truncatingIfNeeded: $0 * 7) }
        let file = url.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        let bytes = try ImageWriter.png(RGBImage(width: width, height: height, pixels: pixels))
        try Data(bytes).write(to: file)
    }

    /// A run with everything a report shows.
    @discardableResult
    func fullRun(_ name: String, recipe: String, cider: Double, captions: [String] = ["a", "b", "c"]) throws -> String {
        try write(recipe, "\(name)/recipe.yaml")
        try write(Self.manifest, "\(name)/manifest.json")
        try write(Self.metrics(), "\(name)/metrics.jsonl")
        try write(Self.scores([("Bleu_4", 0.31), ("CIDEr", cider)]), "\(name)/metrics.json")
        try write(Self.retrieval, "\(name)/retrieval.json")
        try write(Self.gap(before: 0.45, after: 0.85), "\(name)/gap.json")
        try write(Self.gapMap, "\(name)/gap-map.json")
        try write(try Self.predictions(captions), "\(name)/predictions.jsonl")
        return path(name)
    }
}
