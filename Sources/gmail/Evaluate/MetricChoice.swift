import ArgumentParser
import CaptionMetrics

/// What a metric may need besides the captions.
struct MetricContext {
    let captions: TokenizedCaptions
    let wordVectors: String?
    let usesUnitVectors: Bool
}

/// The metrics of `gmail evaluate captions`, by the name a user gives. A new metric is a case and a line in `make`.
enum MetricChoice: String, CaseIterable {
    case bleu, rouge, cider
    case ciderPlain = "cider-plain"
    case wmd

    func make(_ context: MetricContext) throws -> any CaptionMetric {
        switch self {
        case .bleu: return BLEU()
        case .rouge: return ROUGEL()
        case .cider: return CIDEr(.d)
        case .ciderPlain: return CIDEr(.plain)
        case .wmd:
            var vocabulary = Set<[UInt8]>()
            for caption in context.captions.references.joined() + context.captions.candidates {
                for word in caption.utf8.split(separator: 0x20) { vocabulary.insert(Array(word)) }
            }
            // `validate` has seen to it that there is a path.
            let vectors = try WordVectors(contentsOf: context.wordVectors ?? "", keeping: vocabulary)
            return WordMoversDistance(vectors: vectors, variant: context.usesUnitVectors ? .unit : .raw)
        }
    }
}

/// A comma-separated list of metrics, each once, in the order given.
struct MetricList: ExpressibleByArgument {
    let choices: [MetricChoice]

    init(choices: [MetricChoice]) { self.choices = choices }

    init?(argument: String) {
        var choices: [MetricChoice] = []
        for name in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let choice = MetricChoice(rawValue: String(name)) else { return nil }
            if !choices.contains(choice) { choices.append(choice) }
        }
        self.choices = choices
    }

    var defaultValueDescription: String { choices.map(\.rawValue).joined(separator: ",") }
}
