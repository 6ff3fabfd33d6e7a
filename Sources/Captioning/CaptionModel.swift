import Alignment
import LanguageModels
import Tokenizers
import Torch
import TorchNN

// What the trainer, the commands and the reports know of a captioner. A family of captioners is a folder beside this
// file and an entry in `CaptionerFamily.all`.
//
// Shapes: B captions, d image embedding, P prefix length, T tokens of the longest caption, C width, V vocabulary.

/// A captioner: what it reads of an image, how the loss of a caption is computed, and how captions are made.
public protocol CaptionModel: AnyObject {
    /// Sizes and conventions, which are stored beside the weights.
    var architecture: any CaptionerArchitecture { get }
    var languageModel: any CausalLanguageModel { get }
    /// The modules that are trained beside the language model, each with the file of its weights.
    var parts: [CaptionModelPart] { get }

    /// Sets fresh weights of `parts`.
    func initialize(generator: Generator)

    /// Mean cross entropy in nats over the captions' tokens.
    /// - Parameter features: features of images; row i belongs to caption i: `[B, d]`, or `[B, T, D]` for the states of
    ///   a layer.
    /// - Returns: the loss (float32); nil if no token counts.
    func loss(features: Tensor, captions: CaptionTokens) -> Tensor?

    /// Captions of images.
    /// - Parameters:
    ///   - features: as for `loss`.
    ///   - firstIndex: place of the first image in the list over which sampling is reproducible.
    /// - Throws: `CaptioningError.anotherFeatureSize`, `LanguageModelError`.
    func captions(
        _ features: Tensor, _ decoding: CaptionDecoding, tokenizer: any TextTokenizer, firstIndex: Int
    ) throws -> [Caption]
}

/// A module of a captioner, with the names that its parameters have in optimizers and files.
public struct CaptionModelPart {
    /// The name of the optimizer's group.
    public let name: String
    public let module: Module
    /// The prefix of the keys of the module's tensors.
    public let keyPrefix: String
    /// The name of the file in a checkpoint.
    public let file: String

    public init(name: String, module: Module, keyPrefix: String, file: String) {
        self.name = name
        self.module = module
        self.keyPrefix = keyPrefix
        self.file = file
    }
}

extension CaptionModel {
    public var device: Device { languageModel.device }
}

/// A captioner whose language model reads an image as positions before the caption. Loss and captions follow from the
/// prefix.
public protocol PrefixCaptionModel: CaptionModel {
    /// Prefixes `[B, P, C]` from features of images.
    func prefix(_ features: Tensor) -> Tensor
}

extension PrefixCaptionModel {
    /// Each token is predicted from the prefix and the tokens before it. Only what the loss reads is computed: the last
    /// token is never an input, and the output layer sees only the positions that predict a counted token.
    public func loss(features: Tensor, captions: CaptionTokens) -> Tensor? {
        guard captions.countedTokens > 0 else { return nil }
        let prefix = prefix(features)  // [B, P, C]
        let embedded = languageModel.embed(captions.inputs.to(device))  // [B, T - 1, C]
        // Under autocast the prefix is bfloat16; the residual stream starts in the dtype of the embedding table,
        // float32.
        return languageModel.loss(
            embeddings: Tensor.cat([prefix.to(embedded.dtype), embedded], dim: 1),  // [B, P + T - 1, C]
            targets: captions.targets, from: prefix.size(1) - 1, ignoring: CaptionTokens.uncounted)
    }

    public func captions(
        _ features: Tensor, _ decoding: CaptionDecoding, tokenizer: any TextTokenizer, firstIndex: Int = 0
    ) throws -> [Caption] {
        let size = features.size(features.shape.count - 1)
        guard size == architecture.featureSize else {
            throw CaptioningError.anotherFeatureSize(
                expected: architecture.featureSize, got: size, source: "the captioner")
        }
        let prefix = inferenceMode {
            self.prefix(features.to(.float32)).to(languageModel.dtype)
        }
        return try languageModel.captions(
            prefix: prefix, decoding, ending: architecture.ending, tokenizer: tokenizer, firstIndex: firstIndex)
    }
}
