import Foundation
import Training

/// Everything in a run's folder, read once.
public struct RunRecord: Sendable {
    public let path: String
    /// The name of the run in the report; ``RunSet`` makes names unique.
    public internal(set) var label: String
    public let recipe: RecipeText
    public let facts: RunFacts?
    public let series: [MetricSeries]
    /// Samples per second, the median of `timings.jsonl`.
    public let samplesPerSecond: Double?
    public let scores: [RunScore]
    /// How the numbers of `metrics.json` were made.
    public let scoreSettings: [(key: String, value: String)]
    public let retrieval: [RunScore]
    public let gap: RunGap?
    public let predictions: [RunPrediction]?
    /// Names of the files that a report would show and that are not in the folder.
    public let absent: [String]
    /// What a reader of the numbers should know.
    public let notes: [String]

    /// Reads a run.
    /// - Throws: ``ReportError/notARun(path:reason:)`` for a folder without `recipe.yaml`; the other cases for files
    ///   that cannot be understood. A missing file is not an error; it is listed in ``absent``.
    public init(path: String) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw ReportError.notARun(path: path, reason: "it does not exist")
        }
        guard isFolder.boolValue else { throw ReportError.notARun(path: path, reason: "it is a file") }
        guard RunFolder.exists(path) else {
            throw ReportError.notARun(path: path, reason: "it has no recipe.yaml")
        }
        let folder = try RunFolder.open(path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path)
        guard let bytes = try JSONDocument.bytes(folder.recipePath) else {
            throw ReportError.unreadable(path: folder.recipePath, reason: "it has just gone")
        }
        let text: String
        do {
            text = try YAMLText.text(bytes)
        } catch {
            throw ReportError.brokenRecipe(path: folder.recipePath, line: nil, reason: error.text)
        }
        self.path = folder.path
        label = Self.components(of: folder.path).last ?? folder.path
        recipe = try RecipeText(yaml: text, path: folder.recipePath)
        var absent: [String] = []
        func present<Value>(_ value: Value?, _ name: String) -> Value? {
            if value == nil { absent.append(name) }
            return value
        }
        facts = present(try RunFacts.read(folder.manifestPath), "manifest.json")
        let log = present(try MetricSeries.read(folder.metricsPath), "metrics.jsonl")
        series = log?.series ?? []
        samplesPerSecond = try Self.rate(folder.timingsPath)
        let metricsPath = "\(folder.path)/metrics.json"
        scores = present(try RunScore.captions(metricsPath), "metrics.json") ?? []
        scoreSettings = try RunScore.settings(metricsPath)
        retrieval = present(try RunScore.retrieval("\(folder.path)/retrieval.json"), "retrieval.json") ?? []
        gap = present(try RunGap.read(folder: folder.path), "gap.json")
        predictions = present(try RunPrediction.read(folder: folder.path), "predictions.jsonl")
        self.absent = absent
        var notes: [String] = []
        if log?.isCut == true { notes.append("the last line of metrics.jsonl is not complete and was left out") }
        let gaps = series.reduce(0) { $0 + $1.points.count { $0.value == nil } }
        if gaps > 0 { notes.append("\(gaps) logged values are not finite; the curves have gaps there") }
        self.notes = notes
    }

    /// The seed, from the recipe or the manifest.
    public var seed: Int? { recipe[RunSet.seedKey].flatMap { Int($0) } ?? facts?.seed }

    static func components(of path: String) -> [String] {
        URL(fileURLWithPath: path).standardizedFileURL.pathComponents.filter { $0 != "/" }
    }

    private static func rate(_ path: String) throws -> Double? {
        guard let (lines, _) = try JSONDocument.lines(path) else { return nil }
        let rates = lines.compactMap { entry in
            entry.value.members?.first { $0.key.hasSuffix("_per_second") }?.value.double
        }.sorted()
        return rates.isEmpty ? nil : rates[rates.count / 2]
    }
}
