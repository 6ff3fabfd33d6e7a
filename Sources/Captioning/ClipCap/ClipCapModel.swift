import LanguageModels
import Torch
import TorchNN

// ClipCap: a caption is what a language model says after a prefix made of an image's embedding.
//
// Shapes: B captions, d image embedding, P prefix length, T tokens of the longest caption, C width, V vocabulary.

/// Mapper and language model together.
public final class ClipCapModel {
    public let configuration: ClipCapConfiguration
    public let mapper: PrefixMapper
    public let languageModel: GPT2LanguageModel

    /// The key under which the authors' state dicts hold the mapper; ours too.
    public static let mapperKey = "clip_project"

    /// - Parameters:
    ///   - mapper: with weights set, on the language model's device.
    ///   - folder: where the language model comes from, for messages.
    ///   - source: where the configuration comes from, for messages.
    /// - Throws: `CaptioningError`: a language model of another width or vocabulary, or without room for a caption.
    public init(
        mapper: PrefixMapper, languageModel: GPT2LanguageModel, folder: String, source: String = "the captioner"
    ) throws {
        try Self.check(mapper.configuration, languageModel.configuration, folder: folder, source: source)
        configuration = mapper.configuration
        self.mapper = mapper
        self.languageModel = languageModel
    }

    /// Whether a captioner fits a language model; asked before anything is read.
    static func check(
        _ configuration: ClipCapConfiguration, _ model: GPT2Configuration, folder: String, source: String
    ) throws {
        try configuration.validate()
        guard model.hiddenSize == configuration.embeddingSize else {
            throw CaptioningError.anotherWidth(
                folder: folder, expected: configuration.embeddingSize, got: model.hiddenSize, source: source)
        }
        guard model.vocabularySize == configuration.vocabularySize else {
            throw CaptioningError.anotherVocabulary(
                folder: folder, expected: configuration.vocabularySize, got: model.vocabularySize, source: source)
        }
        guard configuration.prefixLength < model.contextLength else {
            throw CaptioningError.prefixTooLong(
                prefixLength: configuration.prefixLength, contextLength: model.contextLength, folder: folder)
        }
    }

    public var device: Device { languageModel.device }

    /// Image embeddings `[B, d]` to prefixes `[B, P, C]`.
    public func prefix(_ features: Tensor) -> Tensor { mapper(features) }

    /// Mean cross entropy in nats over the captions' tokens, each predicted from the prefix and the tokens before it.
    ///
    /// Only what the loss reads is computed: the last token is never an input, and the output layer sees the positions
    /// that predict a counted token and no others.
    /// - Parameter features: `[B, d]`, row i is the image of caption i.
    /// - Returns: the loss (float32); nil when no token counts.
    public func loss(features: Tensor, captions: CaptionTokens) -> Tensor? {
        guard captions.countedTokens > 0 else { return nil }
        let prefix = prefix(features)  // [B, P, C]
        let embedded = languageModel.embed(captions.inputs.to(device))  // [B, T - 1, C]
        // Under autocast the prefix is bfloat16; the residual stream begins as the table is, in float32.
        return languageModel.loss(
            embeddings: Tensor.cat([prefix.to(embedded.dtype), embedded], dim: 1),  // [B, P + T - 1, C]
            targets: captions.targets, from: configuration.prefixLength - 1, ignoring: CaptionTokens.uncounted)
    }
}

/// Captions as token ids, and which of them count in the loss.
public struct CaptionTokens {
    /// Stands for a target that does not count.
    static let uncounted = -100

    /// Tokens that count in the loss.
    public let countedTokens: Int
    /// `[B, T - 1]` int64: every row without its last token, filled up with 0. What fills up is never seen by a counted
    /// token, which attends only to what stands before it; so no mask is needed.
    let inputs: Tensor
    /// `[B, T]` int64: the ids that count, ``uncounted`` elsewhere; target k is predicted by position `P - 1 + k`.
    let targets: Tensor

    /// - Parameters:
    ///   - rows: ids of every caption, its end token included.
    ///   - ignored: an id that never counts.
    public init(_ rows: [[Int]], ignoring ignored: Int? = nil) {
        let length = max(1, rows.map(\.count).max() ?? 0)
        var inputs = [Int](repeating: 0, count: rows.count * (length - 1))
        var targets = [Int](repeating: Self.uncounted, count: rows.count * length)
        var counted = 0
        for (row, ids) in rows.enumerated() {
            for (column, id) in ids.enumerated() {
                if column < ids.count - 1 { inputs[row * (length - 1) + column] = id }
                guard id != ignored else { continue }
                targets[row * length + column] = id
                counted += 1
            }
        }
        self.inputs = Tensor(inputs, shape: [rows.count, length - 1])
        self.targets = Tensor(targets, shape: [rows.count, length])
        countedTokens = counted
    }
}
