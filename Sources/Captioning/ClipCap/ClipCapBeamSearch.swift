import LanguageModels
import Torch

// The beam search of ClipCap's authors (CLIP_prefix_caption, `generate_beam`). It differs from transformers': ended
// beams keep their place and compete with open ones at every step by mean log-probability, and no finished ones are set
// aside.

/// The authors' beam search over several prefixes at once.
struct ClipCapBeamSearch {
    let beamCount: Int
    /// The authors' `entry_length`.
    let maximumTokens: Int
    /// The token that ends a caption and belongs to it.
    let stopToken: Int

    struct Beam {
        var tokens: [Int]
        /// Mean log-probability of its tokens, in nats.
        var score: Double
    }

    /// The beams of one image during the search.
    private struct Search {
        let image: Int
        var tokens: [[Int]]
        /// Sums of log-probabilities.
        var scores: [Float]
        /// Tokens up to and including the stop token.
        var lengths: [Int]
        var isStopped: [Bool]

        var isDone: Bool { isStopped.allSatisfy { $0 } }

        var beams: [Beam] {
            tokens.indices.map { beam in
                Beam(
                    tokens: Array(tokens[beam].prefix(lengths[beam])),
                    score: Double(scores[beam]) / Double(lengths[beam]))
            }.enumerated().sorted { ($0.element.score, -$0.offset) > ($1.element.score, -$1.offset) }.map(\.element)
        }
    }

    /// - Parameter prefix: `[B, P, C]`.
    /// - Returns: for every prefix its beams, best first.
    func callAsFunction(_ model: some CausalLanguageModel, prefix: Tensor) -> [[Beam]] {
        inferenceMode {
            let imageCount = prefix.size(0)
            let limit = min(maximumTokens, model.contextLength - prefix.size(1) + 1)
            let cache = model.makeCache()
            cache.reserve(prefix.size(1) + limit)
            var results = [[Beam]](repeating: [], count: imageCount)
            let first = logProbabilities(model, prefix, cache)  // [B, V]
            let width = min(beamCount, first.size(1))
            let (values, indices) = first.topK(width)
            let (scores, tokens) = (values.array(of: Float.self), indices.array(of: Int.self))
            var searches = (0..<imageCount).map { image in
                let own = image * width..<(image + 1) * width
                return Search(
                    image: image, tokens: tokens[own].map { [$0] }, scores: Array(scores[own]),
                    lengths: Array(repeating: 1, count: width), isStopped: tokens[own].map { $0 == stopToken })
            }
            cache.select(rows: (0..<imageCount).flatMap { Array(repeating: $0, count: width) })
            for _ in 1..<max(1, limit) {
                retire(&searches, cache, width, &results)
                if searches.isEmpty { break }
                advance(&searches, model, cache, width)
            }
            for search in searches { results[search.image] = search.beams }
            return results
        }
    }

    /// Removes the images whose beams have all ended, and closes the gaps in the cache.
    private func retire(
        _ searches: inout [Search], _ cache: KeyValueCache, _ width: Int, _ results: inout [[Beam]]
    ) {
        guard searches.contains(where: \.isDone) else { return }
        let open = searches.indices.filter { !searches[$0].isDone }
        for search in searches where search.isDone { results[search.image] = search.beams }
        if !open.isEmpty { cache.select(rows: open.flatMap { $0 * width..<($0 + 1) * width }) }
        searches = open.map { searches[$0] }
    }

    /// One token for every beam.
    private func advance(
        _ searches: inout [Search], _ model: some CausalLanguageModel, _ cache: KeyValueCache, _ width: Int
    ) {
        let device = model.device
        let last = searches.flatMap { $0.tokens.map { $0[$0.count - 1] } }
        let next = logProbabilities(model, model.embed(Tensor(last, shape: [last.count, 1]).to(device)), cache)
        let vocabulary = next.size(1)
        // An ended beam continues with token 0 at no cost; the tokens after its end are cut off.
        let stopped = Tensor(searches.flatMap(\.isStopped)).to(device).unsqueezed(1)  // [B·K, 1]
        let onlyZero = Tensor.full([1, vocabulary], -.infinity, device: device)
        onlyZero.slice(1, 0..<1).fillInPlace(0)
        let sums =
            Tensor(searches.flatMap(\.scores)).to(device).unsqueezed(1)
            + onlyZero.whereTrue(stopped, else: next)  // [B·K, V]
        for index in searches.indices {
            for beam in 0..<width where !searches[index].isStopped[beam] { searches[index].lengths[beam] += 1 }
        }
        let lengths = Tensor(searches.flatMap { $0.lengths.map(Float.init) }).to(device).unsqueezed(1)
        let (values, indices) = (sums / lengths).reshaped(searches.count, width * vocabulary).topK(width)
        let (averages, chosen) = (values.array(of: Float.self), indices.array(of: Int.self))
        var rows: [Int] = []
        for index in searches.indices {
            let old = searches[index]
            for beam in 0..<width {
                let place = index * width + beam
                let (source, token) = (chosen[place] / vocabulary, chosen[place] % vocabulary)
                rows.append(index * width + source)
                searches[index].tokens[beam] = old.tokens[source] + [token]
                searches[index].lengths[beam] = old.lengths[source]
                searches[index].scores[beam] = averages[place] * Float(old.lengths[source])
                searches[index].isStopped[beam] = old.isStopped[source] || token == stopToken
            }
        }
        cache.select(rows: rows)
    }

    /// Log-probabilities of the token after the last position: `[B, V]` float32.
    private func logProbabilities(_ model: some CausalLanguageModel, _ embeddings: Tensor, _ cache: KeyValueCache)
        -> Tensor
    {
        let states = model.hiddenStates(embeddings: embeddings, attentionMask: nil, positions: nil, cache: cache)
        return model.logits(states.select(1, states.size(1) - 1)).to(.float32).logSoftmax(-1)
    }
}
