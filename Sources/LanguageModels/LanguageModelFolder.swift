import Files
import ModelFolders
import StrictJSON
import Tokenizers
import Torch
import TorchNN

/// What the `config.json` of a language model tells before any weight is read.
public protocol LanguageModelConfiguration: Sendable {
    /// Positions of a row, prompt and generated tokens together.
    var contextLength: Int { get }
    /// Width of the embeddings.
    var embeddingSize: Int { get }
    /// Rows of the table of embeddings, which may be more than the number of tokens.
    var vocabularySize: Int { get }

    /// A model of this architecture without weights.
    func makeModel() -> any CausalLanguageModel
}

/// A family of language models: how its folders are recognised, and how its configuration is read.
public struct LanguageModelFamily: ModelFamily {
    public let name: String
    private let recognisesFolder: @Sendable (ModelFolder) throws -> Bool
    let configuration: @Sendable (ModelFolder) throws -> any LanguageModelConfiguration

    public init(
        name: String, recognises: @escaping @Sendable (ModelFolder) throws -> Bool,
        configuration: @escaping @Sendable (ModelFolder) throws -> any LanguageModelConfiguration
    ) {
        self.name = name
        recognisesFolder = recognises
        self.configuration = configuration
    }

    public func recognises(_ folder: ModelFolder) throws -> Bool { try recognisesFolder(folder) }
}

/// The folder of a language model; its content is known, but its weights are not read yet.
///
/// ```swift
/// let folder = try LanguageModelFolder("gpt2")                // config.json alone is read
/// print(folder.contextLength, folder.embeddingSize)
/// let opened = try LanguageModelFolder.open("gpt2")           // everything
/// ```
public struct LanguageModelFolder: Sendable {
    /// The families that are read. A new one is added here.
    public static let families = FamilyList<LanguageModelFamily>(kind: "language model", [.gpt2])

    public let folder: ModelFolder
    /// Name of the family.
    public let family: String
    public let configuration: any LanguageModelConfiguration

    public var path: String { folder.path }
    public var contextLength: Int { configuration.contextLength }
    public var embeddingSize: Int { configuration.embeddingSize }
    public var vocabularySize: Int { configuration.vocabularySize }

    /// Reads the folder's configuration.
    /// - Throws: `ModelFolderError`, `JSONFileError`, `FileError`.
    public init(_ path: String) throws {
        folder = try ModelFolder(path)
        let family = try Self.families.family(of: folder)
        self.family = family.name
        configuration = try family.configuration(folder)
    }

    /// The tokenizer in the folder.
    /// - Throws: `TokenizerError`; ``LanguageModelError/vocabularyMismatch(tokenizer:model:)`` if it has ids for which
    ///   the model has no embedding.
    public func tokenizer() throws -> any TextTokenizer {
        let tokenizer = try TokenizerFolder.open(folder)
        guard tokenizer.vocabularySize <= vocabularySize else {
            throw LanguageModelError.vocabularyMismatch(
                tokenizer: tokenizer.vocabularySize, model: vocabularySize)
        }
        return tokenizer
    }

    /// The identity of everything that decides the model's outputs: all weight files, configuration, tokenizer.
    /// `generation_config.json` is not part of it, because nothing here reads it.
    /// - Throws: `ModelFolderError`, `FileError`.
    public func fingerprint(_ hashes: FileHashes = FileHashes()) throws -> ModelFingerprint {
        try ModelFingerprint(
            folder, weights: [folder.weights()],
            names: ModelFingerprint.configurationFiles + ModelFingerprint.tokenizerFiles, hashes: hashes)
    }

    /// The identity of the tokenizer alone, for models whose weights come from elsewhere.
    public func tokenizerFingerprint(_ hashes: FileHashes = FileHashes()) throws -> ModelFingerprint {
        try ModelFingerprint(folder, weights: [], names: ModelFingerprint.tokenizerFiles, hashes: hashes)
    }

    /// The model with the folder's weights, without gradients.
    /// - Parameters:
    ///   - dtype: of the weights in memory; nil keeps the file's.
    ///   - memory: `.mapped` to read the file's pages in place (inference), `.owned` to train.
    /// - Throws: `ModelFolderError`, `SafetensorsError`, `StateMismatch` (missing, unused and misshapen keys at once).
    public func model(
        dtype: DType? = nil, device: Device = .cpu, memory: WeightMemory = .mapped
    ) throws -> any CausalLanguageModel {
        let files = try folder.weights()
        try TorchRuntime.load()
        return try model(Weights(files), dtype: dtype, device: device, memory: memory)
    }

    /// A model of the folder's architecture with weights from elsewhere, such as a fine-tuned checkpoint.
    /// - Throws: as above; `WeightsError.notFinite`.
    public func model(
        _ weights: Weights, dtype: DType? = nil, device: Device = .cpu, memory: WeightMemory = .mapped
    ) throws -> any CausalLanguageModel {
        try TorchRuntime.load()
        let model = configuration.makeModel()
        try model.loadCheckpoint(weights, dtype: dtype, device: device, memory: memory)
        // Generation reads every weight anyway; a NaN would become captions of the first token without a word.
        try model.requireFinite(source: weights.source)
        model.setRequiresGrad(false)
        return model
    }

    /// Opens a folder with all of its content.
    /// - Parameter hashes: remembers hashes of files, for the fingerprint.
    /// - Throws: what ``init(_:)``, ``tokenizer()``, ``fingerprint(_:)`` and ``model(dtype:device:memory:)`` throw;
    ///   what does not fit is found before weights are read.
    public static func open(
        _ path: String, dtype: DType? = nil, device: Device = .cpu, memory: WeightMemory = .mapped,
        hashes: FileHashes = FileHashes()
    ) throws -> LanguageModel {
        let folder = try LanguageModelFolder(path)
        let tokenizer = try folder.tokenizer()
        return LanguageModel(
            model: try folder.model(dtype: dtype, device: device, memory: memory), tokenizer: tokenizer,
            fingerprint: try folder.fingerprint(hashes), folder: folder)
    }
}

/// A language model that is ready for use, and the folder from which it was opened.
public struct LanguageModel {
    public let model: any CausalLanguageModel
    public let tokenizer: any TextTokenizer
    public let fingerprint: ModelFingerprint
    public let folder: LanguageModelFolder
}
