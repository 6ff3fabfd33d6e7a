/// The metrics that papers print times 100, and their spellings.
enum MetricName {
    struct Known {
        let id: String
        let title: String
    }

    /// In the order of columns.
    static let all = [
        Known(id: "Bleu_1", title: "BLEU-1"), Known(id: "Bleu_2", title: "BLEU-2"),
        Known(id: "Bleu_3", title: "BLEU-3"), Known(id: "Bleu_4", title: "BLEU-4"),
        Known(id: "METEOR", title: "METEOR"), Known(id: "ROUGE_L", title: "ROUGE-L"),
        Known(id: "CIDEr", title: "CIDEr"), Known(id: "CIDEr-D", title: "CIDEr-D"),
        Known(id: "SPICE", title: "SPICE"), Known(id: "WMD", title: "WMD"),
        Known(id: "image_to_text R@1", title: "image→text R@1"),
        Known(id: "image_to_text R@5", title: "image→text R@5"),
        Known(id: "image_to_text R@10", title: "image→text R@10"),
        Known(id: "text_to_image R@1", title: "text→image R@1"),
        Known(id: "text_to_image R@5", title: "text→image R@5"),
        Known(id: "text_to_image R@10", title: "text→image R@10"),
    ]

    static func known(_ name: String) -> Known? { all.first { isSame($0.id, name) } }

    /// `BLEU-4`, `Bleu_4` and `bleu 4` are one metric.
    static func isSame(_ a: String, _ b: String) -> Bool { bare(a) == bare(b) }

    private static func bare(_ name: String) -> String {
        String(name.lowercased().filter { $0.isLetter || $0.isNumber || $0 == "@" })
    }

    /// Known metrics first, in their order, then the others as they come; each once.
    static func ordered(_ names: [String]) -> [String] {
        var rest: [String] = []
        for name in names where !rest.contains(where: { isSame($0, name) }) { rest.append(name) }
        let ranked = rest.enumerated().sorted { a, b in
            let ranks = [a, b].map { entry in all.firstIndex { isSame($0.id, entry.element) } ?? all.count }
            return (ranks[0], a.offset) < (ranks[1], b.offset)
        }
        return ranked.map(\.element)
    }
}
