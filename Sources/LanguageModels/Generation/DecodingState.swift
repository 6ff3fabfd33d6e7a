import Torch

/// The rows of one generation in progress: cache, paddings and positions.
///
/// Prompts of different lengths are padded on the left, so that all rows grow at the same place. Padding is masked and
/// takes no position.
final class DecodingState {
    private let model: any CausalLanguageModel
    private let cache: KeyValueCache
    private var paddings: [Int] = []

    /// - Parameter positions: the largest length of a row, including the prompt.
    init(_ model: any CausalLanguageModel, positions: Int) {
        self.model = model
        cache = model.makeCache()
        cache.reserve(positions)
    }

    /// Runs the prompts, one row each.
    /// - Returns: logits after the last position, float32 `[B, V]`.
    func begin(_ prompts: [Prompt]) -> Tensor {
        let lengths = prompts.map(\.length)
        let longest = lengths.max()!
        paddings = lengths.map { longest - $0 }
        let embeddings = embed(prompts, longest: longest)  // [B, T, C]
        var positions: Tensor?
        if paddings.contains(where: { $0 > 0 }) {
            positions = Tensor(
                paddings.flatMap { padding in (0..<longest).map { Int64(max(0, $0 - padding)) } },
                shape: [prompts.count, longest]
            ).to(model.device)
        }
        let states = model.hiddenStates(
            embeddings: embeddings, attentionMask: mask(longest), positions: positions, cache: cache)
        return model.logits(states.select(1, longest - 1).contiguous()).to(.float32)
    }

    /// Runs one more token per row.
    func step(_ tokens: [Int]) -> Tensor {
        let column = Tensor(tokens.map(Int64.init), shape: [tokens.count, 1]).to(model.device)
        var positions: Tensor?
        if paddings.contains(where: { $0 > 0 }) {
            positions = Tensor(paddings.map { Int64(cache.length - $0) }, shape: [tokens.count, 1]).to(model.device)
        }
        let states = model.hiddenStates(
            embeddings: model.embed(column), attentionMask: mask(cache.length + 1), positions: positions, cache: cache)
        return model.logits(states.select(1, 0)).to(.float32)
    }

    /// Row i becomes a copy of row `rows[i]`.
    func select(rows: [Int]) {
        cache.select(rows: rows)
        paddings = rows.map { paddings[$0] }
    }

    /// `[rows, length]`; nil if nothing is padded.
    private func mask(_ length: Int) -> Tensor? {
        guard paddings.contains(where: { $0 > 0 }) else { return nil }
        return Tensor(
            paddings.flatMap { padding in (0..<length).map { $0 >= padding } }, shape: [paddings.count, length]
        ).to(model.device)
    }

    private func embed(_ prompts: [Prompt], longest: Int) -> Tensor {
        let device = model.device
        if prompts.allSatisfy({ $0.prefix == nil }) {
            let ids = prompts.flatMap { prompt in
                Array(repeating: Int64(0), count: longest - prompt.tokens.count) + prompt.tokens.map(Int64.init)
            }
            return model.embed(Tensor(ids, shape: [prompts.count, longest]).to(device))
        }
        let nothing = model.embed(Tensor([Int64(0)]).to(device))  // [1, C], for padding and for its dtype
        return .stack(
            prompts.map { prompt in
                var parts: [Tensor] = []
                if prompt.length < longest {
                    parts.append(nothing.expanded(longest - prompt.length, -1))
                }
                if let prefix = prompt.prefix { parts.append(prefix.to(nothing.dtype)) }
                if !prompt.tokens.isEmpty {
                    parts.append(model.embed(Tensor(prompt.tokens.map(Int64.init)).to(device)))
                }
                return parts.count == 1 ? parts[0] : .cat(parts)
            })
    }
}

extension Prompt {
    /// Positions that the prompt takes.
    var length: Int { (prefix?.size(0) ?? 0) + tokens.count }
}
