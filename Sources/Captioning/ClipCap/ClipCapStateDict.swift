import Alignment
import Encoders
import LanguageModels
import Tokenizers
import Torch
import TorchNN
import Training

// The authors publish `torch.save(model.state_dict())`: the mapper below `clip_project.`, the fine-tuned GPT-2 below
// `gpt.`. Sizes follow from shapes; what shapes do not tell (heads, normalisation, the end of captions) must be given.

/// A ClipCap state dict in the authors' format.
public struct ClipCapStateDict {
    public let path: String
    /// The mapper, below `clip_project.`.
    let mapper: Weights
    /// The language model, below `gpt.`, in transformers' keys; nil if the file holds only the mapper.
    let languageModel: Weights?
    /// What the shapes tell; `normalizesFeatures` comes from the caller.
    public let configuration: ClipCapConfiguration

    /// The authors' code has 8 heads whatever the width.
    public static let headCount = 8

    /// - Parameters:
    ///   - normalizesFeatures: whether the mapper was trained on embeddings of length one; nil if it is not known.
    ///   - model: the language model, whose width splits the MLP's output into positions.
    /// - Throws: `TorchError` for another kind of file, `CaptioningError.unknownStateDict` for other contents,
    ///   `.normalizationUnknown`, `WeightsError`.
    public init(path: String, normalizesFeatures: Bool?, languageModel model: any LanguageModelConfiguration) throws {
        let weights = try Weights(stateDict: path)
        guard let normalizesFeatures else { throw CaptioningError.normalizationUnknown(path: path) }
        self.path = path
        mapper = weights.below("clip_project.")
        let inner = weights.below("gpt.")
        languageModel = inner.entries.isEmpty ? nil : inner
        if let stranger = weights.entries.keys.sorted().first(where: {
            !$0.hasPrefix("clip_project.") && !$0.hasPrefix("gpt.")
        }) {
            throw CaptioningError.unknownStateDict(
                path: path, reason: "key '\(stranger)' begins with neither clip_project. nor gpt.")
        }
        var configuration = try Self.shapes(of: mapper, width: model.embeddingSize, path: path)
        configuration.vocabularySize = inner["transformer.wte.weight"]?.shape.first ?? model.vocabularySize
        configuration.normalizesFeatures = normalizesFeatures
        configuration.ending = .period
        self.configuration = configuration
    }

    private static func shapes(of mapper: Weights, width: Int, path: String) throws -> ClipCapConfiguration {
        func fail(_ reason: String) -> CaptioningError { .unknownStateDict(path: path, reason: reason) }
        func matrix(_ key: String) -> (rows: Int, columns: Int)? {
            guard let shape = mapper[key]?.shape, shape.count == 2 else { return nil }
            return (shape[0], shape[1])
        }
        var configuration = ClipCapConfiguration()
        if let constants = matrix("prefix_const"), let linear = matrix("linear.weight") {
            configuration.mapper = .transformer
            configuration.embeddingSize = constants.columns
            configuration.prefixLength = constants.rows
            guard linear.rows % constants.columns == 0 else {
                throw fail(
                    "clip_project.linear.weight has \(linear.rows) rows, no multiple of the width \(constants.columns)")
            }
            configuration.clipLength = linear.rows / constants.columns
            configuration.featureSize = linear.columns
            configuration.layerCount =
                Set(
                    mapper.entries.keys.filter { $0.hasPrefix("transformer.layers.") }.map {
                        $0.split(separator: ".")[2]
                    }
                ).count
            configuration.headCount = headCount
        } else if let first = matrix("model.0.weight"), let last = matrix("model.2.weight") {
            configuration.mapper = .mlp
            configuration.embeddingSize = width
            guard last.rows % width == 0, first.rows == last.rows / 2 else {
                throw fail(
                    "clip_project.model has \(first.rows) and \(last.rows) rows; expected C·P/2 and C·P for the width C = "
                        + "\(width) of the language model. Is it the language model that the captioner was trained with?"
                )
            }
            configuration.prefixLength = last.rows / width
            configuration.featureSize = first.columns
        } else {
            throw fail("it has neither clip_project.prefix_const nor clip_project.model.0.weight and model.2.weight")
        }
        return configuration
    }

    /// The captioner: mapper and, if the file has it, language model from the file, the rest from `folder`.
    /// - Throws: `CaptioningError`, `LanguageModelError`, `StateMismatch`.
    public func model(languageModel folder: String, dtype: DType?, device: Device) throws -> ClipCapModel {
        let language = try LanguageModelFolder(folder)
        try configuration.check(language.configuration, folder: folder, source: "'\(path)'")
        let mapper = PrefixMapper.make(configuration)
        try mapper.load(self.mapper, dtype: dtype, device: device)
        try mapper.requireFinite(source: self.mapper.source)
        mapper.setRequiresGrad(false)
        let decoder =
            try languageModel.map { try language.model($0, dtype: dtype, device: device) }
            ?? language.model(dtype: dtype, device: device)
        return ClipCapModel(mapper: mapper, languageModel: decoder)
    }
}

extension Captioner {
    /// The authors' checkpoint with the CLIP model with which it was trained.
    /// - Parameters:
    ///   - normalizesFeatures: nil is an error that says how to find out.
    ///   - languageModel: its folder, for configuration and tokenizer, and for weights that the file lacks.
    public convenience init(
        stateDict path: String, normalizesFeatures: Bool?, model: String, languageModel: String, dtype: DType,
        device: Device
    ) throws {
        let language = try LanguageModelFolder(languageModel)
        let weights = try ClipCapStateDict(
            path: path, normalizesFeatures: normalizesFeatures,
            languageModel: language.configuration)
        let encoder = try EncoderFolder.open(model, dtype: .float32, device: device)
        var decoding = CaptionDecoding()
        decoding.method = .clipcapBeam
        try self.init(
            model: weights.model(languageModel: languageModel, dtype: dtype, device: device),
            reader: ImageReader(
                encoder: encoder, aligned: nil, dtype: dtype == .bfloat16 ? .bfloat16 : .float32),
            tokenizer: language.tokenizer(), source: .real, decoding: decoding, name: "'\(path)'")
    }
}

extension Weights {
    /// The entries whose keys begin with `prefix`, without it.
    func below(_ prefix: String) -> Weights {
        var found: [String: Entry] = [:]
        for (key, entry) in entries where key.hasPrefix(prefix) { found[String(key.dropFirst(prefix.count))] = entry }
        return Weights(source: source, entries: found)
    }
}
