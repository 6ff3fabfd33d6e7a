/// What an adapter changes in a model, for messages and for callers that must know which parts are changed.
public struct AdapterSummary: Sendable, Equatable {
    /// A child of the model, such as `vision_model` or `visual_projection`.
    public struct Part: Sendable, Equatable {
        public let name: String
        /// Modules whose weight has an update.
        public internal(set) var updates = 0
        /// Biases that are replaced.
        public internal(set) var biases = 0
        /// Modules that are replaced as a whole.
        public internal(set) var modules = 0
    }

    /// `LoRA`, `rank-stabilised LoRA`, `DoRA`, …
    public let kind: String
    /// Ranks of the updates, ascending.
    public let ranks: [Int]
    /// In the model's order.
    public private(set) var parts: [Part] = []
    /// Parts that the adapter changes and that the caller leaves out.
    public let leftOut: [String]

    init(_ plan: AdapterPlan, _ configuration: LoRAConfiguration, leftOut: [String]) {
        kind =
            (configuration.isRankStabilized ? "rank-stabilised " : "") + (configuration.usesDoRA ? "DoRA" : "LoRA")
        ranks = Set(plan.updates.map(\.rank)).sorted()
        self.leftOut = leftOut
        for update in plan.updates { add(update.path) { $0.updates += 1 } }
        for path in plan.savedPaths { add(path) { $0.modules += 1 } }
        for (key, _) in plan.replaced where key.hasSuffix(".bias") {
            if !plan.savedPaths.contains(where: { AdapterPlan.isWithin($0, key) }) { add(key) { $0.biases += 1 } }
        }
    }

    private mutating func add(_ path: String, _ change: (inout Part) -> Void) {
        let name = AdapterView.top(path)
        if !parts.contains(where: { $0.name == name }) { parts.append(Part(name: name)) }
        for index in parts.indices where parts[index].name == name { change(&parts[index]) }
    }

    /// Whether the adapter changes anything at or below one of these children of the model.
    public func touches(_ names: String...) -> Bool { parts.contains { names.contains($0.name) } }
}

extension AdapterSummary: CustomStringConvertible {
    /// For example `LoRA of rank 4: 8 updates in vision_model, 1 whole module in visual_projection`.
    public var description: String {
        let ranks = ranks.count == 1 ? "rank \(ranks[0])" : "ranks \(ranks.first ?? 0) to \(ranks.last ?? 0)"
        let changes = parts.map { part in
            func count(_ number: Int, _ noun: String) -> String? {
                number == 0 ? nil : "\(number) \(noun)\(number == 1 ? "" : noun == "bias" ? "es" : "s")"
            }
            let counts = [
                count(part.updates, "update"), count(part.biases, "bias"), count(part.modules, "whole module"),
            ]
            return counts.compactMap(\.self).joined(separator: " and ") + " in \(part.name)"
        }
        let without = leftOut.isEmpty ? "" : "; left out: \(leftOut.joined(separator: ", "))"
        return "\(kind) of \(ranks): \(changes.joined(separator: ", "))\(without)"
    }
}
