import Foundation
import LanguageModels
import Tokenizers
import Torch

/// How a caption is chosen among all that the language model could generate.
public struct CaptionDecoding: Sendable, Hashable, Codable {
    public enum Method: String, Sendable, Codable, CaseIterable {
        /// The most likely token at each step.
        case greedy
        /// Beam search as in transformers.
        case beam
        /// Beam search as ClipCap's authors wrote it: the mean log-probability decides at every step.
        case clipcapBeam
        /// Random choice.
        case sample
    }

    public var method = Method.beam
    /// Number of beams, for either beam search.
    public var beams = 5
    /// The most tokens of a caption, as far as the language model's context reaches.
    public var maximumTokens = 67
    /// For `beam`: scores are divided by length to this power.
    public var lengthPenalty = 1.0
    /// For `sample`.
    public var temperature = 1.0
    /// For `sample`; nil keeps all tokens.
    public var topK: Int?
    /// For `sample`; 1 keeps all tokens.
    public var topP = 1.0
    /// For `sample`. A caption depends on the seed and on the image's place in the list, not on how images are batched.
    public var seed: UInt64 = 0

    /// A search over more beams is refused, so that a typing mistake does not fill the memory.
    public static let mostBeams = 1000

    public init() {}

    /// The settings of a recipe.
    public init(_ generation: CaptionerRecipe.GenerationSettings) {
        method = generation.method
        beams = generation.beams
        maximumTokens = generation.maximumTokens
        lengthPenalty = generation.lengthPenalty
    }

    /// One line for logs and protocol tags: the settings that have an effect.
    public var summary: String {
        switch method {
        case .greedy: "greedy, at most \(maximumTokens) tokens"
        case .beam: "beam \(beams), length penalty \(lengthPenalty), at most \(maximumTokens) tokens"
        case .clipcapBeam: "clipcap beam \(beams), at most \(maximumTokens) tokens"
        case .sample:
            "sample, temperature \(temperature), top-k \(topK.map(String.init) ?? "all"), top-p \(topP), seed \(seed), "
                + "at most \(maximumTokens) tokens"
        }
    }
}

/// A generated caption.
public struct Caption: Sendable, Hashable {
    public let text: String
    /// For beams: log-probability in nats over length (to the length penalty); nil otherwise.
    public let score: Double?
    /// Number of generated tokens, including the one that ended the caption.
    public let tokenCount: Int
}

extension CausalLanguageModel {
    /// Generates captions after image prefixes.
    /// - Parameters:
    ///   - prefix: `[B, P, C]`, in the dtype of the weights.
    ///   - firstIndex: place of the first image in the list over which sampling is reproducible.
    /// - Throws: `LanguageModelError`, `TokenizerError`.
    public func captions(
        prefix: Tensor, _ decoding: CaptionDecoding, ending: CaptionEnding, tokenizer: any TextTokenizer,
        firstIndex: Int = 0
    ) throws -> [Caption] {
        let stop = ending.stopToken(tokenizer)
        let limit = min(decoding.maximumTokens, contextLength - prefix.size(1) + 1)
        func caption(_ tokens: [Int], _ score: Double?) -> Caption {
            // The period belongs to the caption, the end-of-text token does not.
            let content = ending == .endOfText && tokens.last == stop ? tokens.dropLast() : tokens[...]
            let text = tokenizer.decode(content, skippingSpecial: true)
            // A caption is one line, whatever white space the model puts into it.
            let words = text.split(whereSeparator: \.isWhitespace)
            return Caption(text: words.joined(separator: " "), score: score, tokenCount: tokens.count)
        }
        if decoding.method == .clipcapBeam {
            let search = ClipCapBeamSearch(beamCount: decoding.beams, maximumTokens: limit, stopToken: stop)
            return search(self, prefix: prefix).map { beams in caption(beams[0].tokens, beams[0].score) }
        }
        let settings = GenerationSettings(decoding.strategy, maximumNewTokens: limit, stopTokens: [stop])
        let sequences = try generate(
            prefixes: prefix, settings, draws: decoding.draws(rows: prefix.size(0), tokens: limit, first: firstIndex))
        return sequences.map { caption($0[0].tokens, $0[0].score.map(Double.init)) }
    }
}

extension CaptionEnding {
    /// The token that ends a caption.
    fileprivate func stopToken(_ tokenizer: any TextTokenizer) -> Int {
        switch self {
        case .endOfText: return tokenizer.endID
        case .period:
            // Every byte has a token, so there is always one.
            guard let period = tokenizer.encode(".").first else { return tokenizer.endID }
            return Int(period)
        }
    }
}

extension CaptionDecoding {
    fileprivate var strategy: GenerationSettings.Strategy {
        switch method {
        case .greedy: .greedy
        case .sample: .sampling(.init(temperature: temperature, topK: topK, topP: topP))
        case .beam, .clipcapBeam: .beams(.init(beamCount: beams, lengthPenalty: lengthPenalty))
        }
    }

    /// Uniform numbers that depend only on seed and place; nil if nothing is drawn.
    fileprivate func draws(rows: Int, tokens: Int, first: Int) -> UniformDraws? {
        guard method == .sample else { return nil }
        return UniformDraws(
            (first..<first + rows).map { index in
                // The starts are far apart for neighbouring images (the golden ratio), so that no two share a sequence.
                let generator = Generator(seed: seed &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15)
                return Tensor.rand([tokens], dtype: .float64, generator: generator).array(of: Double.self)
            })
    }
}
