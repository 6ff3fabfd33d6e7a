import Foundation
import Report

// What a demo measured as tables, beside the paper's numbers.

extension DemoResults {
    /// Like the paper's Tables 6, 9 and 13.
    var captioningTable: ResultTable {
        var table = ResultTable(
            columns: ["Bleu_1", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr", "SPICE"]
                .filter { metric in seeds.contains { $0.captioning.values.contains { $0[metric] != nil } } }
                .map { .init(metric: $0) },
            corner: "captioner trained on")
        for kind in DemoCaptioner.allCases {
            var values: [String: [Double]] = [:]
            for seed in seeds {
                for (metric, value) in seed.captioning[kind.rawValue] ?? [:] {
                    values[metric, default: []].append(value)
                }
            }
            table.append(kind.title, values: values)
        }
        table.append("paper: real (Table 9)", published: ["BLEU-4": 38.24, "CIDEr": 119.78, "SPICE": 23.86])
        table.append(
            "paper: generated, no alignment (Tables 6, 9)",
            published: ["BLEU-4": 36.15, "METEOR": 30.32, "ROUGE-L": 55.12, "CIDEr": 115.35, "SPICE": 22.95])
        table.append("paper: mixed (Table 13)", published: ["BLEU-4": 35.76, "CIDEr": 113.42, "SPICE": 22.63])
        table.append(
            "paper: GMAIL (Tables 6, 9)",
            published: ["BLEU-4": 38.12, "METEOR": 31.67, "ROUGE-L": 56.27, "CIDEr": 119.53, "SPICE": 23.75])
        table.append("paper: real with both (Table 9)", published: ["BLEU-4": 38.37, "CIDEr": 119.95, "SPICE": 23.98])
        return table
    }

    /// Like Table 2: recall on real held-out scenes.
    var retrievalTable: ResultTable {
        var table = ResultTable(
            columns: [
                .init(metric: "image_to_text R@1"), .init(metric: "image_to_text R@5"),
                .init(metric: "text_to_image R@1"), .init(metric: "text_to_image R@5"),
            ], corner: "retrieval on real scenes")
        for (label, metrics) in [("CLIP", \Seed.retrieval), ("CLIP + GMAIL", \Seed.retrievalAligned)] {
            let all = seeds.map { $0[keyPath: metrics] }
            table.append(
                label,
                values: [
                    "image_to_text R@1": all.map(\.imageToText.recallAt1),
                    "image_to_text R@5": all.map(\.imageToText.recallAt5),
                    "text_to_image R@1": all.map(\.textToImage.recallAt1),
                    "text_to_image R@5": all.map(\.textToImage.recallAt5),
                ])
        }
        return table
    }

    /// Like Table 14: mean cosines of pairs.
    var gapTable: ResultTable {
        func column(_ id: String, _ better: ResultTable.Column.Better?) -> ResultTable.Column {
            .init(id: id, title: id, decimals: 3, better: better)
        }
        var table = ResultTable(
            columns: [
                column("real/generated", .higher), column("real/text", nil), column("generated/text", nil),
                column("centroid distance", .lower),
            ], corner: "mean cosine of pairs")
        for (label, path) in [("before alignment", \Seed.gapBefore), ("after alignment", \Seed.gapAfter)] {
            let all = seeds.map { $0[keyPath: path] }
            table.append(
                label,
                values: [
                    "real/generated": all.map(\.realGenerated.mean),
                    "real/text": all.compactMap { $0.realText?.mean },
                    "generated/text": all.compactMap { $0.generatedText?.mean },
                    "centroid distance": all.map(\.centroidDistance),
                ])
        }
        table.append(
            "paper: before (Table 14)", published: ["real/generated": 0.52, "real/text": 0.44, "generated/text": 0.42])
        table.append("paper: after (Table 14)", published: ["real/generated": 0.89])
        return table
    }

    private var tables: [ResultTable] { [captioningTable, gapTable, retrievalTable] }

    private var heading: String {
        let noun = seeds.count == 1 ? "seed \(seeds[0].seed)" : "\(seeds.count) seeds, mean ± standard deviation"
        return "\(settings.trainScenes) training scenes, judged on \(settings.testScenes) held-out real scenes, \(noun)"
    }

    var text: String {
        let seconds = seeds.flatMap(\.seconds).reduce(0) { $0 + $1.seconds }
        return "\n\(heading):\n\n" + tables.map { $0.text() }.joined(separator: "\n\n") + "\n\n"
            + "Larger is better, but for the centroid distance; the metrics are times 100. A star marks the best of a column.\n"
            + seeds.map { "report: \($0.report)\n" }.joined() + String(format: "%.0f s in all\n", seconds)
    }

    var markdown: String { "# GMAIL in miniature\n\n\(heading).\n\n" + tables.map(\.markdown).joined(separator: "\n") }
}
