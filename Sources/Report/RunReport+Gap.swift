import Evaluation

extension RunReport {
    private struct GapColumn {
        let id: String
        let title: String
        var better: ResultTable.Column.Better?
        let value: @Sendable (RunGap) -> Double?
    }

    private static let gapColumns = [
        GapColumn(id: "real/generated before", title: "real–generated before") { $0.before.realGenerated.mean },
        GapColumn(id: "real/generated after", title: "after", better: .higher) { $0.after?.realGenerated.mean },
        GapColumn(id: "real/text before", title: "real–text before") { $0.before.realText?.mean },
        GapColumn(id: "real/text after", title: "after") { $0.after?.realText?.mean },
        GapColumn(id: "generated/text before", title: "generated–text before") { $0.before.generatedText?.mean },
        GapColumn(id: "generated/text after", title: "after") { $0.after?.generatedText?.mean },
        GapColumn(id: "centroids before", title: "centroid distance before") { $0.before.centroidDistance },
        GapColumn(id: "centroids after", title: "after", better: .lower) { $0.after?.centroidDistance },
        GapColumn(id: "closure before", title: "closure before") { $0.diagnoses?.before.closure },
        GapColumn(id: "closure after", title: "after", better: .higher) { $0.diagnoses?.after?.closure },
        GapColumn(id: "recall before", title: "R@1 before") { $0.diagnoses?.before.recallAt1 },
        GapColumn(id: "recall after", title: "after", better: .higher) { $0.diagnoses?.after?.recallAt1 },
        GapColumn(id: "AUC before", title: "linear AUC before") { $0.diagnoses?.before.auc },
        GapColumn(id: "AUC after", title: "after") { $0.diagnoses?.after?.auc },
    ]

    /// Mean cosines and centroid distances; columns that no run has are left out.
    static func gapTable(_ runs: RunSet) -> ResultTable? {
        let measured = runs.runs.compactMap(\.gap)
        guard !measured.isEmpty else { return nil }
        let shown = gapColumns.filter { column in measured.contains { column.value($0) != nil } }
        var table = ResultTable(
            columns: shown.map { .init(id: $0.id, title: $0.title, decimals: 3, better: $0.better) }, corner: "setting")
        for setting in runs.settings {
            let gaps = setting.runs.compactMap(\.gap)
            guard !gaps.isEmpty else { continue }
            let values = shown.map { column in (column.id, gaps.compactMap(column.value)) }
            table.append(
                setting.label, values: Dictionary(uniqueKeysWithValues: values.filter { !$0.1.isEmpty }),
                note: setting.runs.count > 1 ? setting.seedText : nil)
        }
        let paper = GapReport.Reference()
        table.append(
            "COCO, 1000 pairs",
            published: ["real/generated before": paper.before, "real/generated after": paper.after], note: "Table 14")
        return table
    }
}
