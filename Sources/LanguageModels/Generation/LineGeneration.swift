import Torch

// Generation of single sequences: the next token is chosen and never revised.

/// Chooses the next token of every row.
protocol TokenChooser {
    /// - Parameters:
    ///   - logits: float32 `[rows, V]`.
    ///   - excluded: ids that may not be chosen.
    ///   - sequences: to which sequence each row belongs, over all prompts.
    ///   - index: how many new tokens each sequence already has.
    func choose(_ logits: Tensor, excluding excluded: [Int], sequences: [Int], index: Int) -> [Int]
}

/// The most likely token; the smaller id among equals.
struct GreedyChooser: TokenChooser {
    func choose(_ logits: Tensor, excluding excluded: [Int], sequences: [Int], index: Int) -> [Int] {
        logits.excluding(excluded).argmax(1).array(of: Int64.self).map { Int($0) }
    }
}

extension Tensor {
    /// Logits `[rows, V]` with some columns at -∞.
    func excluding(_ ids: [Int]) -> Tensor {
        guard !ids.isEmpty else { return self }
        var isExcluded = [Bool](repeating: false, count: size(1))
        for id in ids { isExcluded[id] = true }
        return maskedFill(Tensor(isExcluded).to(device), -.infinity)
    }
}

extension CausalLanguageModel {
    func generateLine(
        _ prompts: [Prompt], _ settings: GenerationSettings, sequenceCount: Int, stops: StopConditions,
        chooser: some TokenChooser, onToken: ((StreamedToken) -> StreamingDecision)?
    ) throws -> [[GeneratedSequence]] {
        let longest = prompts.map(\.length).max()!
        let state = DecodingState(self, positions: longest + settings.maximumNewTokens - 1)
        var logits = state.begin(prompts)
        if sequenceCount > 1 {
            let rows = prompts.indices.flatMap { Array(repeating: $0, count: sequenceCount) }
            state.select(rows: rows)
            logits = logits.indexSelect(0, Tensor(rows.map(Int64.init)).to(device))
        }
        var sequences = Array(
            repeating: GeneratedSequence(tokens: [], ending: .length), count: prompts.count * sequenceCount)
        var hasEnded = Array(repeating: false, count: sequences.count)
        var rows = Array(sequences.indices)  // the sequence that each row is
        generation: for index in 0..<settings.maximumNewTokens {
            let excluded = index < settings.minimumNewTokens ? settings.stopTokens : []
            let chosen = chooser.choose(logits, excluding: excluded, sequences: rows, index: index)
            for (row, sequence) in rows.enumerated() where !hasEnded[sequence] {
                let token = chosen[row]
                let prompt = sequence / sequenceCount
                var ending = try stops.ending(token, after: prompts[prompt].tokens + sequences[sequence].tokens)
                if ending == nil, index + 1 == settings.maximumNewTokens { ending = .length }
                sequences[sequence].tokens.append(token)
                if let ending {
                    sequences[sequence].ending = ending
                    hasEnded[sequence] = true
                }
                let streamed = StreamedToken(
                    prompt: prompt, sequence: sequence % sequenceCount, index: index, token: token, ending: ending)
                if onToken?(streamed) == .stop {
                    for open in sequences.indices where !hasEnded[open] { sequences[open].ending = .cancelled }
                    break generation
                }
            }
            let open = rows.indices.filter { !hasEnded[rows[$0]] }
            if open.isEmpty { break }
            var tokens = chosen
            // Rows that ended keep running until dropping them saves more than moving the others costs.
            if open.count <= rows.count * 3 / 4 {
                state.select(rows: open)
                rows = open.map { rows[$0] }
                tokens = open.map { chosen[$0] }
            }
            logits = state.step(tokens)
        }
        return prompts.indices.map { Array(sequences[$0 * sequenceCount..<($0 + 1) * sequenceCount]) }
    }
}
