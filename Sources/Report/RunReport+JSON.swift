import Foundation

extension RunReport {
    /// The report's findings for programs; equal reports give equal bytes.
    /// - Parameter page: where the page was written.
    public func json(page: String) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(Summary(self, page: page)), as: UTF8.self) + "\n"
    }

    private struct Summary: Encodable {
        struct Run: Encodable {
            let label: String
            let path: String
            let recipe: String?
            let seed: Int?
            let steps: Int?
            let absent: [String]
            let notes: [String]
        }
        struct Value: Encodable {
            let mean: Double
            let standardDeviation: Double?
            let runs: Int

            enum CodingKeys: String, CodingKey {
                case mean, runs
                case standardDeviation = "standard_deviation"
            }
        }
        struct Setting: Encodable {
            let label: String
            let runs: [String]
            let metrics: [String: Value]
        }
        struct Difference: Encodable {
            let key: String
            /// By setting; null if the recipe has no such key.
            let values: [String: String?]
        }
        struct Gallery: Encodable {
            let images: Int
            let missing: [MissingImage]
        }

        let version = 1
        let page: String
        let runs: [Run]
        let settings: [Setting]
        let differences: [Difference]
        let gallery: Gallery

        init(_ report: RunReport, page: String) {
            self.page = page
            runs = report.runs.runs.map {
                Run(
                    label: $0.label, path: $0.path, recipe: $0.recipe.name, seed: $0.seed, steps: $0.facts?.steps,
                    absent: $0.absent, notes: $0.notes)
            }
            settings = report.runs.settings.map { setting in
                var values: [String: [Double]] = [:]
                for run in setting.runs {
                    for score in run.scores + run.retrieval {
                        if let value = score.value { values[score.name, default: []].append(value) }
                    }
                    if let gap = run.gap {
                        values["gap before", default: []].append(gap.before.realGenerated.mean)
                        if let after = gap.after { values["gap after", default: []].append(after.realGenerated.mean) }
                    }
                }
                return Setting(
                    label: setting.label, runs: setting.runs.map(\.label),
                    metrics: values.compactMapValues { values in
                        SampleStatistics(values).map {
                            Value(mean: $0.mean, standardDeviation: $0.standardDeviation, runs: $0.count)
                        }
                    })
            }
            differences = report.runs.kinds.flatMap { kind in
                RecipeDifferences(kind.map(\.representative.recipe)).rows.map { row in
                    Difference(
                        key: row.key,
                        values: Dictionary(
                            zip(kind.map(\.label), row.values), uniquingKeysWith: { first, _ in first }))
                }
            }
            gallery = Gallery(images: report.galleryImages, missing: report.missingImages)
        }
    }
}
