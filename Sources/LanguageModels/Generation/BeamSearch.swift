import Foundation
import Torch

// Beam search. Reference: transformers 5 `generation/utils.py` (`_beam_search`), whose tokens it reproduces. The state
// of the search is plain Swift; only the model works on tensors.

/// One prompt's search.
struct BeamSearchState {
    /// A beam that continues.
    struct Open {
        var tokens: [Int]
        var score: Float  // sum of log-probabilities
        /// Its place among the beams of the step before.
        var parent: Int
    }

    /// A beam that ended, or an empty place for one.
    struct Ended {
        var tokens: [Int] = []
        var score: Float = unlikely
        var ending: GeneratedSequence.Ending?
    }

    /// A continuation that a step can choose.
    struct Candidate {
        let beam: Int
        let token: Int
        let logProbability: Float
    }

    /// A score that loses against any other, yet finite so that sums stay ordered.
    static let unlikely: Float = -1e9

    private(set) var open: [Open] = []
    private(set) var ended: [Ended]
    private(set) var isDone = false

    private let search: GenerationSettings.BeamSearch
    private let maximumNewTokens: Int
    private let candidateCount: Int
    private var newCount = 0

    init(_ search: GenerationSettings.BeamSearch, _ settings: GenerationSettings) {
        self.search = search
        maximumNewTokens = settings.maximumNewTokens
        candidateCount = search.candidateCount(stopTokens: settings.stopTokens)
        ended = Array(repeating: Ended(), count: search.beamCount)
    }

    private var isFull: Bool { ended.allSatisfy { $0.ending != nil } }

    /// Takes one step.
    /// - Parameters:
    ///   - candidates: the best continuations of every open beam, at least `candidateCount` in total.
    ///   - ending: how a token ends a sequence with these tokens.
    mutating func advance(
        _ candidates: [Candidate], ending: (Int, [Int]) throws -> GeneratedSequence.Ending?
    ) rethrows {
        let isFirst = open.isEmpty
        func score(_ candidate: Candidate) -> Float {
            candidate.logProbability + (isFirst ? 0 : open[candidate.beam].score)
        }
        // The best continuations over all beams; among equals the lower beam, then the lower id.
        let best = candidates.sorted { a, b in
            let (left, right) = (score(a), score(b))
            if left != right { return left > right }
            return a.beam != b.beam ? a.beam < b.beam : a.token < b.token
        }.prefix(candidateCount)
        let isLast = newCount + 1 == maximumNewTokens
        let steps = try best.map { candidate in
            let tokens = isFirst ? [] : open[candidate.beam].tokens
            return (
                candidate: candidate, score: score(candidate), tokens: tokens + [candidate.token],
                ending: try ending(candidate.token, tokens) ?? (isLast ? .length : nil)
            )
        }
        finish(steps.prefix(search.beamCount).compactMap { step in step.ending.map { (step.tokens, step.score, $0) } })

        // Beams that ended stay behind all others, as fillers that are never chosen.
        let next = steps.map { ($0, $0.ending == nil ? $0.score : $0.score + Self.unlikely) }
        let order = next.indices.sorted { next[$0].1 != next[$1].1 ? next[$0].1 > next[$1].1 : $0 < $1 }
        open = order.prefix(search.beamCount).map { index in
            Open(tokens: next[index].0.tokens, score: next[index].1, parent: next[index].0.candidate.beam)
        }
        newCount += 1
        let canGoOn = steps.contains { $0.ending == nil }
        isDone = isDone || !canImprove() || !canGoOn || (search.earlyStopping == .whenFull && isFull)
    }

    /// Puts new endings among the best; each of them was among the best `beamCount` continuations.
    private mutating func finish(_ new: [(tokens: [Int], score: Float, ending: GeneratedSequence.Ending)]) {
        guard !isDone else { return }
        let penalty = Float(pow(Double(newCount + 1), search.lengthPenalty))
        let merged = ended + new.map { Ended(tokens: $0.tokens, score: $0.score / penalty, ending: $0.ending) }
        let order = merged.indices.sorted {
            merged[$0].score != merged[$1].score ? merged[$0].score > merged[$1].score : $0 < $1
        }
        ended = order.prefix(search.beamCount).map { merged[$0] }
    }

    /// Whether the best open beam can still overtake the worst that ended.
    private func canImprove() -> Bool {
        guard isFull else { return true }
        let length = search.earlyStopping == .never && search.lengthPenalty > 0 ? maximumNewTokens : newCount
        let possible = open[0].score / Float(pow(Double(length), search.lengthPenalty))
        return possible > ended.map(\.score).min()!
    }

    /// The sequences found, best first.
    var result: [GeneratedSequence] {
        ended.prefix(search.sequenceCount).compactMap { beam in
            beam.ending.map { GeneratedSequence(tokens: beam.tokens, ending: $0, score: beam.score) }
        }
    }
}

extension CausalLanguageModel {
    func generateBeams(
        _ prompts: [Prompt], _ settings: GenerationSettings, _ search: GenerationSettings.BeamSearch,
        stops: StopConditions
    ) throws -> [[GeneratedSequence]] {
        let longest = prompts.map(\.length).max()!
        let state = DecodingState(self, positions: longest + settings.maximumNewTokens - 1)
        let count = search.candidateCount(stopTokens: settings.stopTokens)
        var searches = prompts.map { _ in BeamSearchState(search, settings) }
        // Prompts run once; their beams share the result and separate at the first token.
        var logits = state.begin(prompts)
        var rows = prompts.indices.map { (prompt: $0, beam: 0) }
        for index in 0..<settings.maximumNewTokens {
            let excluded = index < settings.minimumNewTokens ? settings.stopTokens : []
            let best = logits.likeliest(count, excluding: excluded)
            var first = 0
            var next: [(source: Int, prompt: Int, beam: Int, token: Int)] = []
            while first < rows.count {
                let prompt = rows[first].prompt
                let end = rows[first...].firstIndex { $0.prompt != prompt } ?? rows.count
                if !searches[prompt].isDone {
                    let candidates = (first..<end).flatMap { row in
                        best[row].map {
                            BeamSearchState.Candidate(
                                beam: rows[row].beam, token: $0.id, logProbability: $0.logProbability)
                        }
                    }
                    try searches[prompt].advance(candidates) { token, tokens in
                        try stops.ending(token, after: prompts[prompt].tokens + tokens)
                    }
                    if !searches[prompt].isDone {
                        for (beam, open) in searches[prompt].open.enumerated() {
                            next.append((first + open.parent, prompt, beam, open.tokens.last!))
                        }
                    }
                }
                first = end
            }
            guard !next.isEmpty else { break }
            state.select(rows: next.map(\.source))
            rows = next.map { ($0.prompt, $0.beam) }
            logits = state.step(next.map(\.token))
        }
        return searches.map(\.result)
    }
}

extension Tensor {
    /// The `count` most likely tokens of each row of logits `[rows, V]`, in descending order, with their
    /// log-probabilities.
    ///
    /// Excluded tokens count in the normalisation, as with transformers' processors.
    fileprivate func likeliest(_ count: Int, excluding excluded: [Int]) -> [[(id: Int, logProbability: Float)]] {
        let (values, ids) = bestTokens(count, excluding: excluded)
        let numbers = values.array(of: Float.self)
        let tokens = ids.array(of: Int64.self)
        return (0..<size(0)).map { row in
            (row * count..<(row + 1) * count).map { (Int(tokens[$0]), numbers[$0]) }
        }
    }
}
