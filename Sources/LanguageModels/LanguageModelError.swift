import Foundation

/// A tokenizer that does not fit the model, or a request to generate that cannot be met.
public enum LanguageModelError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
    /// A tokenizer with ids for which the model has no embedding.
    case vocabularyMismatch(tokenizer: Int, model: Int)
    /// A prompt and the requested tokens do not fit into the context.
    case contextExceeded(prompt: Int, length: Int, newTokens: Int, contextLength: Int)
    case emptyPrompt(prompt: Int)
    case tokenOutOfVocabulary(prompt: Int, position: Int, id: Int, vocabularySize: Int)
    case prefixShape(prompt: Int, expected: String, got: [Int])
    case invalidSetting(name: String, expected: String, got: String)
    /// Stop strings are compared as bytes, and the bytes of the tokens are not known.
    case stopStringsNeedBytes(strings: [String])
    /// The tokens of a beam search are not known before it ends.
    case streamingBeams(beamCount: Int)
    /// Fewer uniform numbers than the sequences and tokens need.
    case tooFewDraws(sequence: Int, needed: Int, got: Int)

    public var description: String {
        switch self {
        case .vocabularyMismatch(let tokenizer, let model):
            "the tokenizer has \(tokenizer) tokens, the language model embeds \(model); use the tokenizer files that belong to the model"
        case .contextExceeded(let prompt, let length, let newTokens, let contextLength):
            "prompt \(prompt) has \(length) positions and \(newTokens) new tokens were asked for, the model's context holds \(contextLength); shorten the prompt or ask for at most \(max(0, contextLength - length + 1)) tokens"
        case .emptyPrompt(let prompt):
            "prompt \(prompt) has neither prefix embeddings nor tokens; begin with the end-of-text token to generate from nothing"
        case .tokenOutOfVocabulary(let prompt, let position, let id, let vocabularySize):
            "prompt \(prompt): token \(position) has id \(id), the model's vocabulary has ids 0 to \(vocabularySize - 1); use the tokenizer files that belong to the model"
        case .prefixShape(let prompt, let expected, let got):
            "prompt \(prompt): the prefix embeddings have shape \(got), expected \(expected)"
        case .invalidSetting(let name, let expected, let got):
            "generation setting '\(name)' is \(got), expected \(expected)"
        case .stopStringsNeedBytes(let strings):
            "stop strings \(strings) were given without a tokenizer; pass the bytes of its tokens (TextTokenizer.bytes(of:))"
        case .streamingBeams(let beamCount):
            "tokens cannot be streamed from a search over \(beamCount) beams, which knows them only at its end; stream with greedy or sampled generation"
        case .tooFewDraws(let sequence, let needed, let got):
            "sequence \(sequence) needs up to \(needed) uniform numbers, \(got) were given"
        }
    }

    public var errorDescription: String? { description }
}
