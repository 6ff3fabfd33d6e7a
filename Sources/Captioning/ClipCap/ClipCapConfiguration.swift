import Files
import Foundation
import Safetensors
import StrictJSON
import Training

// What a trained captioner must know of itself to be used as it was trained. The authors' `.pt` files carry none of it,
// and a wrong normalisation does not fail, it only loses (CLIP_prefix_caption#33); so it is written beside the weights.

/// Sizes and conventions of a ClipCap captioner (Mokady et al. 2021), kept in `captioner.json`.
public struct ClipCapConfiguration: Sendable, Hashable {
    /// What turns an image embedding into a prefix of the language model.
    public enum Mapper: String, Sendable, Codable, CaseIterable {
        /// Two linear layers with tanh between them.
        case mlp
        /// A transformer over the projected embedding and learned constants.
        case transformer
    }

    public var mapper = Mapper.mlp
    /// P: positions of the language model that the prefix takes.
    public var prefixLength = 10
    /// Positions that the image embedding becomes before the transformer; the MLP has none.
    public var clipLength = 10
    /// Of the transformer.
    public var layerCount = 8
    /// Of the transformer.
    public var headCount = 8
    /// d: length of an image embedding.
    public var featureSize = 512
    /// C: width of the language model.
    public var embeddingSize = 768
    /// V: of the language model that it was trained with.
    public var vocabularySize = 50257
    /// Whether embeddings are scaled to length one before the mapper.
    public var normalizesFeatures = true
    /// What ends a caption.
    public var ending = CaptionEnding.endOfText

    public init() {}

    /// Width between the layers of the MLP, the authors' `C·P / 2`.
    public var hiddenSize: Int { embeddingSize * prefixLength / 2 }
}

/// What a captioner was taught to end its captions with.
public enum CaptionEnding: String, Sendable, Codable, CaseIterable {
    /// The language model's end-of-text token, appended to every caption in training.
    case endOfText
    /// Nothing: generation stops at the first "." token, as the authors' does.
    case period
}

extension ClipCapConfiguration {
    /// - Throws: `SettingError`.
    public func validate() throws(SettingError) {
        for (name, value) in [
            ("mapper.prefixLength", prefixLength), ("mapper.clipLength", clipLength), ("mapper.layers", layerCount),
            ("mapper.heads", headCount),
        ] { try SettingError.require(value > 0, name, "a whole number above 0", value) }
        guard mapper == .transformer else { return }
        try SettingError.require(
            embeddingSize % headCount == 0, "mapper.heads", "a divisor of the language model's width \(embeddingSize)",
            headCount)
    }
}

// MARK: File

extension ClipCapConfiguration: Codable {
    /// Of the file's layout; another number is refused.
    static let formatVersion = 1
    public static let fileName = "captioner.json"

    enum CodingKeys: String, CodingKey, CaseIterable {
        case formatVersion = "format_version"
        case mapper = "mapping_type"
        case prefixLength = "prefix_length"
        case clipLength = "clip_length"
        case layerCount = "num_layers"
        case headCount = "num_heads"
        case featureSize = "prefix_size"
        case embeddingSize = "embedding_size"
        case vocabularySize = "vocab_size"
        case normalizesFeatures = "normalize_prefix"
        case ending = "ending"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        mapper = try container.decode(Mapper.self, forKey: .mapper)
        prefixLength = try container.decode(Int.self, forKey: .prefixLength)
        clipLength = try container.decode(Int.self, forKey: .clipLength)
        layerCount = try container.decode(Int.self, forKey: .layerCount)
        headCount = try container.decode(Int.self, forKey: .headCount)
        featureSize = try container.decode(Int.self, forKey: .featureSize)
        embeddingSize = try container.decode(Int.self, forKey: .embeddingSize)
        vocabularySize = try container.decode(Int.self, forKey: .vocabularySize)
        normalizesFeatures = try container.decode(Bool.self, forKey: .normalizesFeatures)
        ending = try container.decode(CaptionEnding.self, forKey: .ending)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(Self.formatVersion, forKey: .formatVersion)
        try container.encode(mapper, forKey: .mapper)
        try container.encode(prefixLength, forKey: .prefixLength)
        try container.encode(clipLength, forKey: .clipLength)
        try container.encode(layerCount, forKey: .layerCount)
        try container.encode(headCount, forKey: .headCount)
        try container.encode(featureSize, forKey: .featureSize)
        try container.encode(embeddingSize, forKey: .embeddingSize)
        try container.encode(vocabularySize, forKey: .vocabularySize)
        try container.encode(normalizesFeatures, forKey: .normalizesFeatures)
        try container.encode(ending, forKey: .ending)
    }

    /// Reads `captioner.json` in `folder`, strictly: every key, no other.
    /// - Throws: `CaptioningError.badFile`.
    public init(folder: String) throws {
        let path = "\(folder)/\(Self.fileName)"
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CaptioningError.badFile(
                path: path, reason: "cannot be read; is '\(folder)' a captioner's checkpoint?")
        }
        do {
            let value = try StrictJSON.parse([UInt8](data))
            let known = CodingKeys.allCases.map(\.rawValue)
            if let member = value.members?.first(where: { !known.contains($0.key) }) {
                throw CaptioningError.badFile(
                    path: path, reason: "unknown key '\(member.key)'; known are \(known.joined(separator: ", "))")
            }
            let version = value[CodingKeys.formatVersion.rawValue]?.integer
            guard version == Self.formatVersion else {
                throw CaptioningError.badFile(
                    path: path,
                    reason:
                        "format version \(version.map(String.init) ?? "none"), this program reads \(Self.formatVersion)"
                )
            }
            self = try JSONDecoder().decode(ClipCapConfiguration.self, from: data)
            try validate()
        } catch let error as DecodingError {
            throw CaptioningError.badFile(path: path, reason: Self.reason(error))
        } catch let error as JSONSyntaxError {
            throw CaptioningError.badFile(path: path, reason: "is no JSON: \(error)")
        }
    }

    /// Writes `captioner.json` into `folder`; atomic, and byte-identical for equal content.
    public func save(to folder: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let text = String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        try AtomicFile.write(text, to: "\(folder)/\(Self.fileName)")
    }

    private static func reason(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "'\(key.stringValue)' is missing"
        case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
            "'\(context.codingPath.map(\.stringValue).joined(separator: "."))' should be \(type)"
        case .dataCorrupted(let context):
            "'\(context.codingPath.map(\.stringValue).joined(separator: "."))': \(context.debugDescription)"
        @unknown default: "\(error)"
        }
    }
}
