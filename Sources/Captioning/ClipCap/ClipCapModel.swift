import LanguageModels
import Torch
import TorchNN

// ClipCap: a caption is what a language model generates after a prefix that is made from an image's embedding.

/// Mapper and language model together.
public final class ClipCapModel: PrefixCaptionModel {
    public let mapper: PrefixMapper
    public let languageModel: any CausalLanguageModel

    /// The key under which the authors' state dicts, and our files, hold the mapper.
    public static let mapperKey = "clip_project"

    /// - Parameters:
    ///   - mapper: for the language model's width.
    ///   - languageModel: on the mapper's device.
    public init(mapper: PrefixMapper, languageModel: any CausalLanguageModel) {
        self.mapper = mapper
        self.languageModel = languageModel
    }

    public var configuration: ClipCapConfiguration { mapper.configuration }
    public var architecture: any CaptionerArchitecture { mapper.configuration }

    public var parts: [CaptionModelPart] {
        [.init(name: "mapper", module: mapper, keyPrefix: Self.mapperKey, file: "mapper.safetensors")]
    }

    public func initialize(generator: Generator) { mapper.initialize(generator: generator) }

    /// Image embeddings `[B, d]` to prefixes `[B, P, C]`.
    public func prefix(_ features: Tensor) -> Tensor { mapper(features) }
}
