import Files
import Images
import ModelFolders
import Tokenizers
import Torch
import TorchNN

/// Opens every encoder: a folder becomes encoder, preprocessing, tokenizer and identity.
public enum EncoderFolder {
    /// The families that are read, in the order in which they are asked. A new one is a folder in Encoders and an entry
    /// here.
    public static let families = FamilyList<EncoderFamily>(
        kind: "encoder", expecting: "config.json or open_clip_config.json", [.clip])

    /// Opens a model folder.
    /// - Parameters:
    ///   - dtype: of the weights in memory; nil keeps the file's.
    ///   - memory: `.mapped` to read the file's pages in place (inference), `.owned` to train.
    /// - Throws: `ModelFolderError`, `JSONFileError`, `FileError`, `ImageError`, and what is wrong with the weights.
    public static func open(
        _ path: String, dtype: DType? = nil, device: Device = .cpu, memory: WeightMemory = .mapped,
        variant: String? = nil
    ) throws -> OpenEncoder {
        let folder = try ModelFolder(path)
        let family = try families.family(of: folder)
        return try family.open(
            folder, family.weights(folder, variant), WeightLoading(dtype: dtype, device: device, memory: memory))
    }

    /// The identity of the model in a folder, without opening it.
    /// - Throws: as `open`.
    public static func fingerprint(
        _ path: String, variant: String? = nil, hashes: FileHashes = FileHashes()
    ) throws -> ModelFingerprint {
        let folder = try ModelFolder(path)
        return try fingerprint(folder, weights: families.family(of: folder).weights(folder, variant), hashes)
    }

    static func fingerprint(
        _ folder: ModelFolder, weights: WeightFiles, _ hashes: FileHashes
    ) throws -> ModelFingerprint {
        try ModelFingerprint(
            folder, weights: [weights],
            names: ModelFingerprint.configurationFiles + ModelFingerprint.preprocessingFiles
                + ModelFingerprint.tokenizerFiles, hashes: hashes)
    }
}

/// A family of encoders: how its folders are recognised and opened.
public struct EncoderFamily: ModelFamily {
    public let name: String
    private let recognise: @Sendable (ModelFolder) throws -> Bool
    let weights: @Sendable (ModelFolder, _ variant: String?) throws -> WeightFiles
    let open: @Sendable (ModelFolder, WeightFiles, WeightLoading) throws -> OpenEncoder

    /// - Parameters:
    ///   - recognises: judges by `model_type` and file names.
    ///   - weights: finds the files of the weights without opening them.
    ///   - open: makes what ``EncoderFolder/open(_:dtype:device:memory:variant:)`` returns.
    public init(
        name: String, recognises: @escaping @Sendable (ModelFolder) throws -> Bool,
        weights: @escaping @Sendable (ModelFolder, _ variant: String?) throws -> WeightFiles,
        open: @escaping @Sendable (ModelFolder, WeightFiles, WeightLoading) throws -> OpenEncoder
    ) {
        self.name = name
        recognise = recognises
        self.weights = weights
        self.open = open
    }

    public func recognises(_ folder: ModelFolder) throws -> Bool { try recognise(folder) }
}

/// An encoder with its preprocessing and tokenizer.
public struct OpenEncoder {
    public let folder: ModelFolder
    public let image: any ImageEncoder
    /// nil if the model reads only images.
    public let text: (any TextEncoder)?
    public let preprocessing: ImagePreprocessing
    /// What the user should know about the model: settings that have no effect here.
    public let notes: [String]

    private let weights: WeightFiles
    private let openTokenizer: () throws -> any TextTokenizer
    private let writeConfiguration: (String) throws -> Void

    /// - Parameters:
    ///   - weights: the files from which `image` and `text` were loaded.
    ///   - notes: lines for the user.
    ///   - tokenizer: is called when the first text comes, because a folder used only for images needs none.
    ///   - writeConfiguration: writes the files that describe the architecture, under Hugging Face's names, into a
    ///     folder.
    public init(
        folder: ModelFolder, image: any ImageEncoder, text: (any TextEncoder)?, preprocessing: ImagePreprocessing,
        weights: WeightFiles, notes: [String] = [], tokenizer: @escaping () throws -> any TextTokenizer,
        writeConfiguration: @escaping (_ folder: String) throws -> Void
    ) throws {
        self.folder = folder
        self.image = image
        self.text = text
        self.preprocessing = preprocessing
        self.weights = weights
        self.notes = notes
        openTokenizer = tokenizer
        self.writeConfiguration = writeConfiguration
        let side = image.imageSize
        guard preprocessing.outputSize == ImageSize(width: side, height: side) else {
            throw EncoderError.anotherImageSize(
                folder: folder.path, expected: side, got: preprocessing.outputSize.map { "\($0)" } ?? "no fixed size")
        }
    }

    /// The model's identity: weights, configuration, preprocessing, tokenizer.
    public func fingerprint(_ hashes: FileHashes = FileHashes()) throws -> ModelFingerprint {
        try EncoderFolder.fingerprint(folder, weights: weights, hashes)
    }

    /// The text encoder with its tokenizer.
    /// - Throws: ``EncoderError/noText(folder:)``, and what is wrong with the tokenizer's files.
    public func textReader() throws -> TextReader {
        guard let text else { throw EncoderError.noText(folder: folder.path) }
        return TextReader(encoder: text, tokenizer: try openTokenizer())
    }

    /// Writes the files that describe the architecture (`config.json`, `preprocessor_config.json`) and copies those of the
    /// tokenizer, so that weights written beside them make a folder that opens here and in transformers.
    public func writeConfiguration(to out: String) throws {
        try FileSystem.createFolder(out)
        try writeConfiguration(out)
        for name in ModelFingerprint.tokenizerFiles where folder.has(name) {
            try AtomicFile.write(RegularFile.bytes(folder.file(name)), to: "\(out)/\(name)")
        }
    }
}

/// Turns texts into embeddings: the frozen side `h` of an alignment.
public struct TextReader {
    public let encoder: any TextEncoder
    private let tokenizer: any TextTokenizer

    public init(encoder: any TextEncoder, tokenizer: any TextTokenizer) {
        self.encoder = encoder
        self.tokenizer = tokenizer
    }

    public var contextLength: Int { encoder.contextLength }

    /// Texts as int64 token ids `[N, T]`, cut to the context if they are longer.
    /// - Returns: the ids and the rows that were cut.
    public func tokens(_ texts: [String]) throws -> (ids: Tensor, truncatedRows: [Int]) {
        let rows = try tokenizer.encode(texts, contextLength: contextLength, truncation: .truncate)
        return (Tensor(rows.ids, shape: [texts.count, contextLength]), rows.truncatedRows)
    }

    /// Texts to embeddings `[N, E]`, not normalised, on the encoder's device.
    /// - Returns: the embeddings and the rows that were cut.
    /// - Throws: errors of the tokenizer, `EncoderError.notFinite`.
    public func features(_ texts: [String]) throws -> (features: Tensor, truncatedRows: [Int]) {
        let (ids, truncated) = try tokens(texts)
        let device = encoder.namedParameters().first?.tensor.device ?? .cpu
        let features = encoder.textFeatures(ids.to(device))
        guard features.to(.float32).sum().item().isFinite else {
            throw EncoderError.notFinite(
                source: "texts", reason: encoder.brokenWeights ?? "the numbers overflow; compute in float32")
        }
        return (features, truncated)
    }
}

extension Module {
    /// Which weights hold NaN or infinity, in the words of an error; nil if all are finite.
    public var brokenWeights: String? {
        let broken = namedTensors().first {
            $0.tensor.dtype.isFloatingPoint && !$0.tensor.to(.float32).sum().item().isFinite
        }
        return broken.map { "the weights hold NaN or infinity, the first in '\($0.key)'; get the model again" }
    }
}
