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
        kind: "encoder", expecting: "config.json, open_clip_config.json, or an authors' checkpoint (.pt, .pth)",
        [.timm, .clip, .sigLIP, .checkpoints])

    /// Opens a model folder.
    /// - Parameters:
    ///   - dtype: of the weights in memory; nil keeps the file's.
    ///   - memory: `.mapped` to read the file's pages in place (inference), `.owned` to train.
    /// - Throws: `TorchError` without libtorch, `ModelFolderError`, `JSONFileError`, `FileError`, `ImageError`, and what is
    ///   wrong with the weights.
    public static func open(
        _ path: String, dtype: DType? = nil, device: Device = .cpu, memory: WeightMemory = .mapped,
        variant: String? = nil
    ) throws -> OpenEncoder {
        try TorchRuntime.load()
        let folder = try ModelFolder(path)
        let family = try families.family(of: folder)
        let weights = try family.weights(folder, variant)
        return try requiringMemory(for: "the model '\(path)'") {
            try family.open(folder, weights, WeightLoading(dtype: dtype, device: device, memory: memory))
        }
    }

    /// Whether a folder has a tokenizer, of whatever family.
    public static func hasTokenizer(_ path: String) throws -> Bool { TokenizerFolder.isThere(try ModelFolder(path)) }

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
    private let published: ([(key: String, tensor: Tensor)]) -> [(key: String, tensor: Tensor)]
    private let writeConfiguration: (String) throws -> Void

    /// - Parameters:
    ///   - weights: the files from which `image` and `text` were loaded.
    ///   - notes: lines for the user.
    ///   - tokenizer: asked when the first text comes: a folder for images alone needs none, whatever lies in it.
    ///   - published: tensors by the model's paths to tensors as the files beside the configuration name them.
    ///   - writeConfiguration: writes the files that describe the architecture, as Hugging Face names them, into a folder.
    public init(
        folder: ModelFolder, image: any ImageEncoder, text: (any TextEncoder)?, preprocessing: ImagePreprocessing,
        weights: WeightFiles, notes: [String] = [], tokenizer: @escaping () throws -> any TextTokenizer,
        published: @escaping ([(key: String, tensor: Tensor)]) -> [(key: String, tensor: Tensor)] = { $0 },
        writeConfiguration: @escaping (_ folder: String) throws -> Void
    ) throws {
        self.folder = folder
        self.image = image
        self.text = text
        self.preprocessing = preprocessing
        self.weights = weights
        self.notes = notes
        openTokenizer = tokenizer
        self.published = published
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
    /// - Parameter tokenizer: the folder whose tokenizer is copied; nil is the encoder's own.
    public func writeConfiguration(to out: String, tokenizer: String? = nil) throws {
        try FileSystem.createFolder(out)
        try writeConfiguration(out)
        guard text != nil || tokenizer != nil else { return }
        let source = try tokenizer.map { try ModelFolder($0) } ?? folder
        for name in ModelFingerprint.tokenizerFiles where source.has(name) {
            try AtomicFile.write(RegularFile.bytes(source.file(name)), to: "\(out)/\(name)")
        }
        if let length = text?.contextLength { try TokenizerFolder.widen(out, to: length) }
    }
}

extension OpenEncoder {
    /// Writes a model of this architecture as a folder: what `writeConfiguration` writes, and its weights.
    /// - Parameters:
    ///   - model: the encoder itself, or one with tuned weights.
    ///   - tokenizer: the folder whose tokenizer is copied; nil is the encoder's own.
    public func write(_ model: any ImageEncoder, to out: String, tokenizer: String? = nil) throws {
        try writeConfiguration(to: out, tokenizer: tokenizer)
        // Merged layers keep their A and B beside the weight; a model folder has no place for them.
        let tensors = model.namedTensors().filter { $0.kind != .derived && !$0.key.contains(".lora_") }
        try Weights.save(
            published(tensors.map { ($0.key, $0.tensor) }), metadata: ["format": "pt"], to: "\(out)/model.safetensors")
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
    /// - Throws: errors of the tokenizer, `EncoderError.noSuchToken`.
    public func tokens(_ texts: [String]) throws -> (ids: Tensor, truncatedRows: [Int]) {
        let rows = try tokenizer.encode(texts, contextLength: contextLength, truncation: .truncate)
        let size = encoder.textVocabularySize
        if let place = rows.ids.firstIndex(where: { $0 < 0 || $0 >= size }) {
            let text = String(texts[place / contextLength].prefix(60))
            throw EncoderError.noSuchToken(text: text, id: Int(rows.ids[place]), vocabularySize: size)
        }
        return (Tensor(rows.ids, shape: [texts.count, contextLength]), rows.truncatedRows)
    }

    /// Texts to embeddings `[N, E]`, not normalised, on the encoder's device.
    /// - Returns: the embeddings and the rows that were cut.
    /// - Throws: what ``tokens(_:)`` throws, `EncoderError.notFinite`.
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
