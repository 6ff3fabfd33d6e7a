import CaptionMetrics

/// The metrics of `gmail evaluate captions`, by their names for users. A new metric is a case here and a line in
/// `MetricSelection.make`.
enum MetricChoice: String, CaseIterable {
    case bleu, meteor, rouge, cider
    case ciderPlain = "cider-plain"
    case spice, wmd

    static let names = allCases.map(\.rawValue).joined(separator: ", ")
}

/// A comma-separated list of metrics, each once, in the order given.
struct MetricList {
    let choices: [MetricChoice]

    init(choices: [MetricChoice]) { self.choices = choices }

    /// - Throws: `UnknownMetric` for the first unknown name.
    init(argument: String) throws {
        var choices: [MetricChoice] = []
        for name in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let choice = MetricChoice(rawValue: String(name)) else { throw UnknownMetric(name: String(name)) }
            if !choices.contains(choice) { choices.append(choice) }
        }
        self.choices = choices
    }
}

struct UnknownMetric: Error, CustomStringConvertible {
    let name: String

    var description: String { "unknown metric '\(name)'; expected some of \(MetricChoice.names), separated by commas" }
}

/// METEOR modules as the values of `--meteor`.
struct MeteorModules {
    let list: [MeteorModule]

    init(argument: String) throws { list = try MeteorModule.list(argument) }

    /// Whether the tables are needed. If they are not, they are not searched for either without `--meteor-data`, so
    /// that the same command gives the same number on every machine.
    var needData: Bool { list.contains(where: \.needsData) }
}
