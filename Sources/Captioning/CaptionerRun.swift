import Alignment
import Encoders
import Files
import Foundation
import Images
import LanguageModels
import Safetensors
import Tokenizers
import Torch
import TorchNN
import Training

/// A captioner's run folder, opened to be used: what it was trained with, and its newest checkpoint.
public struct CaptionerRun {
    /// Names of the manifest's sources that captioning needs again.
    public enum Role {
        public static let model = "model"
        public static let languageModel = "language model"
        public static let tokenizer = "tokenizer"
        public static let alignment = "alignment run"
        public static let adapter = "adapter"
    }

    public let folder: RunFolder
    public let recipe: CaptionerRecipe
    public let manifest: RunManifest
    public let checkpoint: Checkpoint
    public let configuration: ClipCapConfiguration

    /// - Throws: `TrainingError` for a folder that is no captioner's run, `CaptioningError.noCheckpoint`, `.badFile`.
    public init(_ path: String) throws {
        do {
            folder = try RunFolder.open(path)
            recipe = try folder.recipe(of: CaptionerRecipe.self)
        } catch TrainingError.noRun {
            throw CaptioningError.notARun(path: path, reason: "it has no recipe.yaml")
        } catch TrainingError.unknownRecipeKey(_, let key, _) {
            throw CaptioningError.notARun(path: path, reason: "its recipe is of another kind, with the key '\(key)'")
        }
        guard let latest = try folder.checkpoints.latest() else { throw CaptioningError.noCheckpoint(run: path) }
        checkpoint = latest
        manifest = try folder.manifest()
        configuration = try ClipCapConfiguration(folder: latest.folder)
    }

    public func source(_ role: String) -> RunManifest.Source? { manifest.sources.first { $0.role == role } }

    /// Where the parts that a run does not hold itself are; nil takes what the manifest says.
    public struct Paths {
        public var model: String?
        public var alignment: String?
        public var adapter: String?
        public var languageModel: String?

        public init(
            model: String? = nil, alignment: String? = nil, adapter: String? = nil, languageModel: String? = nil
        ) {
            self.model = model
            self.alignment = alignment
            self.adapter = adapter
            self.languageModel = languageModel
        }
    }

    /// The captioner with its encoders; every part is checked to be the one that it was trained with.
    /// - Parameter dtype: of the language model's weights; `.bfloat16` also runs the encoders under autocast.
    /// - Throws: `CaptioningError.anotherModel` and `.anotherVocabulary`, `AlignmentError`, and errors of the files.
    public func captioner(
        _ paths: Paths = Paths(), dtype: DType, device: Device, hashes: FileHashes = FileHashes()
    ) throws -> Captioner {
        func path(_ given: String?, _ role: String) throws -> String {
            guard let path = given ?? source(role)?.path else {
                throw CaptioningError.badFile(path: folder.manifestPath, reason: "names no \(role)")
            }
            return path
        }
        func check(_ role: String, _ path: String, _ got: String) throws {
            guard let expected = source(role), expected.sha256 != got else { return }
            throw CaptioningError.anotherModel(
                role: role, expected: "'\(expected.path)' (\(expected.sha256.prefix(12)))",
                got: "'\(path)' (\(got.prefix(12)))", run: folder.path)
        }
        let language = try path(paths.languageModel, Role.languageModel)
        let languageConfiguration = try GPT2Configuration(folder: language)
        try ClipCapModel.check(
            configuration, languageConfiguration, folder: language, source: "run '\(folder.path)'")
        try check(Role.tokenizer, language, TokenizerFingerprint.hash(folder: language))
        if recipe.languageModel.frozen {
            try check(Role.languageModel, language, LanguageModelFiles.hash(folder: language, hashes.sha256))
        }

        let model = try path(paths.model, Role.model)
        let encoder = try EncoderFolder.open(model, dtype: .float32, device: device)
        let fingerprint = try encoder.fingerprint(hashes)
        try check(Role.model, model, fingerprint.sha256)
        var aligned: AlignedModel?
        if let alignment = paths.alignment ?? source(Role.alignment)?.path {
            let run = try AlignedModel(run: alignment, encoder: encoder.image, fingerprint: fingerprint)
            try check(Role.alignment, alignment, run.identity)
            aligned = run
        } else if let adapter = paths.adapter ?? source(Role.adapter)?.path {
            let made = try AlignedModel(adapter: adapter, encoder: encoder.image)
            try check(Role.adapter, adapter, made.identity)
            aligned = made
        }
        let reader = ImageReader(
            encoder: encoder, aligned: aligned, dtype: dtype == .bfloat16 ? .bfloat16 : .float32)

        let mapper = PrefixMapper.make(configuration)
        try mapper.load(
            Weights(path: "\(checkpoint.folder)/\(ClipCapTask.Files.mapper)"), prefix: ClipCapModel.mapperKey,
            device: device)
        let decoder: GPT2LanguageModel
        if recipe.languageModel.frozen {
            decoder = try GPT2LanguageModel(folder: language, dtype: dtype, device: device)
        } else {
            decoder = GPT2LanguageModel(languageConfiguration)
            try decoder.loadGPT2(
                Weights(path: "\(checkpoint.folder)/\(ClipCapTask.Files.languageModel)"), dtype: dtype, device: device)
        }
        return try Captioner(
            model: ClipCapModel(mapper: mapper, languageModel: decoder, folder: language), reader: reader,
            tokenizer: GPT2Tokenizer(folder: language), source: recipe.data.source,
            decoding: CaptionDecoding(recipe.generation), name: "run '\(folder.path)'")
    }
}

/// A captioner ready to be shown images.
public final class Captioner {
    public let model: ClipCapModel
    public let reader: ImageReader
    public let tokenizer: GPT2Tokenizer
    public let source: CaptionSource
    /// What its recipe says; commands may choose otherwise.
    public let decoding: CaptionDecoding

    /// - Throws: `CaptioningError.anotherFeatureSize`, `LanguageModelError.vocabularyMismatch`.
    public init(
        model: ClipCapModel, reader: ImageReader, tokenizer: GPT2Tokenizer, source: CaptionSource,
        decoding: CaptionDecoding, name: String
    ) throws {
        guard reader.featureSize == model.configuration.featureSize else {
            throw CaptioningError.anotherFeatureSize(
                expected: model.configuration.featureSize, got: reader.featureSize, source: name)
        }
        guard tokenizer.vocabularySize <= model.configuration.vocabularySize else {
            throw LanguageModelError.vocabularyMismatch(
                tokenizer: tokenizer.vocabularySize, model: model.configuration.vocabularySize)
        }
        self.model = model
        self.reader = reader
        self.tokenizer = tokenizer
        self.source = source
        self.decoding = decoding
    }

    /// The authors' checkpoint with the CLIP model it was trained on.
    /// - Parameters:
    ///   - normalizesFeatures: nil is an error that says how to find out.
    ///   - languageModel: GPT-2's folder, for its configuration and tokenizer, and for weights that the file lacks.
    public convenience init(
        stateDict path: String, normalizesFeatures: Bool?, model: String, languageModel: String, dtype: DType,
        device: Device
    ) throws {
        let weights = try ClipCapStateDict(
            path: path, normalizesFeatures: normalizesFeatures, languageModel: GPT2Configuration(folder: languageModel))
        let encoder = try EncoderFolder.open(model, dtype: .float32, device: device)
        var decoding = CaptionDecoding()
        decoding.method = .clipcapBeam
        try self.init(
            model: weights.model(languageModel: languageModel, dtype: dtype, device: device),
            reader: ImageReader(
                encoder: encoder, aligned: nil, dtype: dtype == .bfloat16 ? .bfloat16 : .float32),
            tokenizer: GPT2Tokenizer(folder: languageModel), source: .real, decoding: decoding, name: "'\(path)'")
    }

    /// The encoder that reads images of `modality`.
    /// - Throws: `CaptioningError.noGeneratedEncoder`.
    public func route(of modality: Modality) throws -> ImageRoute {
        try source.route(of: modality, isAligned: reader.aligned != nil)
    }

    /// Captions of preprocessed images `[B, 3, S, S]`.
    /// - Parameter firstIndex: place of the first image in the list that sampling is reproducible over.
    public func captions(
        _ pixels: Tensor, modality: Modality, _ decoding: CaptionDecoding, firstIndex: Int = 0
    ) throws -> [Caption] {
        let features = try reader.features(pixels, route(of: modality))
        return try model.captions(features, decoding, tokenizer: tokenizer, firstIndex: firstIndex)
    }
}

/// Names the tokenizer of a folder: a captioner's ids mean nothing under another one.
public enum TokenizerFingerprint {
    /// SHA-256 over the files that make the ids, `tokenizer.json`, or `vocab.json` with `merges.txt`.
    public static func hash(folder: String) throws -> String {
        let names =
            FileManager.default.fileExists(atPath: "\(folder)/tokenizer.json")
            ? ["tokenizer.json"] : ["vocab.json", "merges.txt"]
        return ContentHash.sha256(
            of: try names.map { "\($0) \(try ContentHash.sha256(ofFile: "\(folder)/\($0)"))" }.joined(separator: "\n"))
    }
}

/// Names the weights of a language model's folder.
public enum LanguageModelFiles {
    /// SHA-256 of `model.safetensors`, or over the index and its shards.
    /// - Parameter hash: of one file, which a caller may remember.
    /// - Throws: `LanguageModelError` for a folder that holds no language model.
    public static func hash(folder: String, _ hash: (String) throws -> String) throws -> String {
        _ = try GPT2Configuration(folder: folder)
        let single = "\(folder)/model.safetensors"
        if FileManager.default.fileExists(atPath: single) { return try hash(single) }
        let shards = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".safetensors") }
        guard !shards.isEmpty else {
            throw LanguageModelError.notAModelFolder(path: folder, expected: "model.safetensors or its shards")
        }
        return ContentHash.sha256(
            of: try shards.sorted().map { "\($0) \(try hash("\(folder)/\($0)"))" }.joined(separator: "\n"))
    }
}
