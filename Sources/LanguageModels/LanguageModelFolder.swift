import Files
import ModelFolders
import Torch
import TorchNN

/// The door to every language model: a folder becomes a decoder and its identity.
public enum LanguageModelFolder {
    /// The families that are read, in the order in which they are asked. A new one is a folder in LanguageModels and a line
    /// here.
    public static let families = FamilyList<LanguageModelFamily>(kind: "language model", [.gpt2])

    /// Opens a model folder.
    /// - Parameters:
    ///   - weights: of the folder's architecture, from elsewhere, such as a fine-tuned checkpoint; nil takes the folder's own.
    ///   - dtype: of the weights in memory; nil keeps the file's.
    ///   - memory: `.mapped` to read the file's pages in place (inference), `.owned` to train.
    /// - Throws: `ModelFolderError`, `JSONFileError`, `FileError`, and what is wrong with the weights.
    public static func open(
        _ path: String, weights: Weights? = nil, dtype: DType? = nil, device: Device = .cpu,
        memory: WeightMemory = .mapped, variant: String? = nil
    ) throws -> any CausalLanguageModel {
        let folder = try ModelFolder(path)
        let family = try families.family(of: folder)
        try TorchRuntime.load()
        return try family.open(
            folder, weights ?? Weights(family.weights(folder, variant)),
            WeightLoading(dtype: dtype, device: device, memory: memory))
    }

    /// The sizes of the model in a folder, without opening its weights.
    /// - Throws: as `open`.
    public static func describe(_ path: String) throws -> LanguageModelDescription {
        let folder = try ModelFolder(path)
        return try families.family(of: folder).describe(folder)
    }

    /// The identity of the model in a folder, without opening it.
    /// - Throws: as `open`.
    public static func fingerprint(
        _ path: String, variant: String? = nil, hashes: FileHashes = FileHashes()
    ) throws -> ModelFingerprint {
        let folder = try ModelFolder(path)
        return try ModelFingerprint(
            folder, weights: [families.family(of: folder).weights(folder, variant)],
            names: ModelFingerprint.configurationFiles + ModelFingerprint.tokenizerFiles, hashes: hashes)
    }

    /// The identity of the folder without its weights: what stays of it where they are replaced by trained ones.
    /// - Throws: `ModelFolderError`, `FileError`.
    public static func vocabularyFingerprint(
        _ path: String, hashes: FileHashes = FileHashes()
    ) throws -> ModelFingerprint {
        try ModelFingerprint(
            ModelFolder(path), weights: [],
            names: ModelFingerprint.configurationFiles + ModelFingerprint.tokenizerFiles, hashes: hashes)
    }
}

/// What is known of a language model before its weights are read.
public struct LanguageModelDescription: Sendable, Hashable {
    /// V.
    public let vocabularySize: Int
    /// Positions that a row may have.
    public let contextLength: Int
    /// C.
    public let embeddingSize: Int

    public init(vocabularySize: Int, contextLength: Int, embeddingSize: Int) {
        self.vocabularySize = vocabularySize
        self.contextLength = contextLength
        self.embeddingSize = embeddingSize
    }
}

/// A family of language models: what recognises its folders and opens them.
public struct LanguageModelFamily: ModelFamily {
    public let name: String
    private let recognise: @Sendable (ModelFolder) throws -> Bool
    let describe: @Sendable (ModelFolder) throws -> LanguageModelDescription
    let weights: @Sendable (ModelFolder, _ variant: String?) throws -> WeightFiles
    let open: @Sendable (ModelFolder, Weights, WeightLoading) throws -> any CausalLanguageModel

    /// - Parameters:
    ///   - recognises: told by `model_type` and names of files.
    ///   - describe: from the configuration alone.
    ///   - weights: the files of the weights, found and not opened.
    ///   - open: with the folder's configuration, and weights that may lie elsewhere.
    public init(
        name: String, recognises: @escaping @Sendable (ModelFolder) throws -> Bool,
        describe: @escaping @Sendable (ModelFolder) throws -> LanguageModelDescription,
        weights: @escaping @Sendable (ModelFolder, _ variant: String?) throws -> WeightFiles,
        open: @escaping @Sendable (ModelFolder, Weights, WeightLoading) throws -> any CausalLanguageModel
    ) {
        self.name = name
        recognise = recognises
        self.describe = describe
        self.weights = weights
        self.open = open
    }

    public func recognises(_ folder: ModelFolder) throws -> Bool { try recognise(folder) }
}
