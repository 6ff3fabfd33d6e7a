import Torch

/// How tokens are chosen and when a sequence ends; the meanings are those of transformers' `generate`.
public struct GenerationSettings: Sendable, Hashable {
    public var strategy: Strategy
    /// The most tokens that are generated, including the stop token (`max_new_tokens`).
    public var maximumNewTokens: Int
    /// Before this many tokens, stop tokens have probability 0 (`min_new_tokens`).
    public var minimumNewTokens: Int
    /// A sequence ends with any of these tokens (`eos_token_id`).
    public var stopTokens: [Int]
    /// A sequence ends with the token that completes any of these texts (`stop_strings`), compared as UTF-8 bytes.
    public var stopStrings: [String]

    public init(
        _ strategy: Strategy = .greedy, maximumNewTokens: Int, minimumNewTokens: Int = 0, stopTokens: [Int] = [],
        stopStrings: [String] = []
    ) {
        self.strategy = strategy
        self.maximumNewTokens = maximumNewTokens
        self.minimumNewTokens = minimumNewTokens
        self.stopTokens = stopTokens
        self.stopStrings = stopStrings
    }

    public enum Strategy: Sendable, Hashable {
        /// The most likely token at each step; the smaller id among equals.
        case greedy
        case sampling(Sampling)
        case beams(BeamSearch)
    }

    /// Random choice. Filters apply in this order: temperature, top-k, top-p.
    public struct Sampling: Sendable, Hashable {
        /// Divides the logits; above 0.
        public var temperature: Double
        /// Keeps the k most likely tokens, and those equal to the last of them; nil keeps all.
        public var topK: Int?
        /// Keeps the most likely tokens that together reach this probability; 1 keeps all.
        public var topP: Double
        /// Sequences drawn per prompt (`num_return_sequences`).
        public var sequenceCount: Int

        public init(temperature: Double = 1, topK: Int? = nil, topP: Double = 1, sequenceCount: Int = 1) {
            self.temperature = temperature
            self.topK = topK
            self.topP = topP
            self.sequenceCount = sequenceCount
        }
    }

    /// Beam search as transformers 5 defines it.
    public struct BeamSearch: Sendable, Hashable {
        /// `num_beams`.
        public var beamCount: Int
        /// Finished beams are ranked by log-probability / length^penalty, where length counts new tokens
        /// (`length_penalty`).
        public var lengthPenalty: Double
        public var earlyStopping: EarlyStopping
        /// Sequences returned per prompt, best first (`num_return_sequences`).
        public var sequenceCount: Int

        public init(
            beamCount: Int = 5, lengthPenalty: Double = 1, earlyStopping: EarlyStopping = .heuristic,
            sequenceCount: Int = 1
        ) {
            self.beamCount = beamCount
            self.lengthPenalty = lengthPenalty
            self.earlyStopping = earlyStopping
            self.sequenceCount = sequenceCount
        }
    }

    /// When a search ends before the maximum length (`early_stopping`).
    public enum EarlyStopping: Sendable, Hashable {
        /// As soon as the number of ended beams equals `beamCount` (`True`).
        case whenFull
        /// When the best open beam, at its present length, is no better than the worst ended one (`False`).
        case heuristic
        /// When no open beam can become better than the worst ended one at any allowed length (`"never"`).
        case never
    }
}

/// The start of a generation: embeddings that belong to no token (an image's), then tokens; either may be absent.
public struct Prompt {
    /// `[P, C]` on the model's device.
    public var prefix: Tensor?
    public var tokens: [Int]

    public init(prefix: Tensor? = nil, tokens: [Int] = []) {
        self.prefix = prefix
        self.tokens = tokens
    }
}

/// A generated sequence.
public struct GeneratedSequence: Sendable, Hashable {
    /// New tokens without the prompt; if a stop token ended the sequence, it is the last.
    public var tokens: [Int]
    public var ending: Ending
    /// For a beam: log-probability in nats / length^penalty. Nil for greedy and sampled sequences.
    public var score: Float?

    public enum Ending: Sendable, Hashable {
        case stopToken(Int)
        case stopString(String)
        /// `maximumNewTokens` were reached.
        case length
        /// The callback asked to stop.
        case cancelled
    }

    public init(tokens: [Int], ending: Ending, score: Float? = nil) {
        self.tokens = tokens
        self.ending = ending
        self.score = score
    }
}

/// One new token, as passed to a streaming callback.
public struct StreamedToken: Sendable, Hashable {
    /// Index of the prompt.
    public let prompt: Int
    /// Index among the prompt's sequences.
    public let sequence: Int
    /// Place among the sequence's new tokens, from 0.
    public let index: Int
    public let token: Int
    /// Not nil for a sequence's last token.
    public let ending: GeneratedSequence.Ending?
}

/// What a streaming callback asks for.
public enum StreamingDecision: Sendable, Hashable {
    case more
    /// Ends all sequences.
    case stop
}
