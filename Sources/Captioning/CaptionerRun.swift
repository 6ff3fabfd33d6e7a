import Alignment
import Encoders
import Files
import LanguageModels
import ModelFolders
import Tokenizers
import Torch
import TorchNN
import Training

/// A captioner's run folder, opened for use: the records of its training, and its newest checkpoint, or its
/// best one if it looked for it.
public struct CaptionerRun {
    /// Roles of the manifest's sources that captioning needs again.
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
    public let architecture: any CaptionerArchitecture

    /// - Throws: `TrainingError` for a folder that is not a captioner's run, `CaptioningError.noCheckpoint`,
    ///   `.badFile`.
    public init(_ path: String) throws {
        do {
            folder = try RunFolder.open(path)
            recipe = try folder.recipe(of: CaptionerRecipe.self)
        } catch TrainingError.noRun {
            throw CaptioningError.notARun(path: path, reason: "it has no recipe.yaml")
        } catch TrainingError.unknownRecipeKey(_, let key, _) {
            throw CaptioningError.notARun(path: path, reason: "its recipe is of another kind, with the key '\(key)'")
        }
        guard let latest = try folder.checkpoints.chosen() else {
            if let damage = try folder.checkpoints.damage() { throw damage }
            throw CaptioningError.noCheckpoint(run: path)
        }
        checkpoint = latest
        manifest = try folder.manifest()
        architecture = try CaptionerFile.read(latest.folder)
    }

    public func source(_ role: String) -> RunManifest.Source? { manifest.sources.first { $0.role == role } }

    /// Where the parts are that a run does not hold itself; nil takes the place in the manifest.
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

    /// The captioner with its encoders; every part is checked to be the one with which it was trained.
    /// - Parameter dtype: of the language model's weights; `.bfloat16` also runs the encoders under autocast.
    /// - Throws: `CaptioningError.anotherModel` and `.anotherVocabulary`, `AlignmentError`, and errors of the files.
    public func captioner(
        _ paths: Paths = Paths(), dtype: DType, device: Device, hashes: FileHashes = FileHashes()
    ) throws -> Captioner {
        func path(_ given: String?, _ role: String) throws -> String {
            guard let path = given ?? source(role)?.path else {
                throw CaptioningError.badFile(path: folder.manifestPath, reason: "names no \(role)")
            }
            // A relative place is one below the folder that the run was begun from.
            guard given != nil || FileSystem.exists(path) else {
                let option = role == Role.model ? "--model" : "--language-model"
                throw CaptioningError.badFile(
                    path: folder.manifestPath,
                    reason: "the \(role) '\(path)' is not there; give its place with \(option)")
            }
            return path
        }
        func check(_ role: String, _ path: String, _ got: String) throws {
            guard let expected = source(role), expected.sha256 != got else { return }
            throw CaptioningError.anotherModel(
                role: role, expected: "'\(expected.path)' (\(expected.sha256.prefix(12)))",
                got: "'\(path)' (\(got.prefix(12)))", run: folder.path)
        }
        try TorchRuntime.load()
        _ = try folder.checkpoints.state(
            of: checkpoint, except: [CaptionerTask.Files.optimizer], hash: { try hashes.sha256(of: $0) })
        // Both places are asked for at once, before anything is read.
        let model = try path(paths.model, Role.model)
        let language = try LanguageModelFolder(path(paths.languageModel, Role.languageModel))
        try architecture.check(language.configuration, folder: language.path, source: "run '\(folder.path)'")
        try check(Role.tokenizer, language.path, language.tokenizerFingerprint(hashes).sha256)
        if recipe.languageModel.frozen {
            try check(Role.languageModel, language.path, language.fingerprint(hashes).sha256)
        }

        let encoder = try EncoderFolder.open(model, dtype: .float32, device: device)
        let fingerprint = try encoder.fingerprint(hashes)
        try check(Role.model, model, fingerprint.sha256)
        var aligned: AlignedModel?
        if let alignment = paths.alignment ?? source(Role.alignment)?.path {
            guard paths.alignment != nil || FileSystem.exists(alignment) else {
                throw CaptioningError.badFile(
                    path: folder.manifestPath,
                    reason: "the \(Role.alignment) '\(alignment)' is not there; give its place with --alignment")
            }
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

        let trained = "\(checkpoint.folder)/\(CaptionerTask.Files.languageModel)"
        let captions = architecture.model(
            try recipe.languageModel.frozen
                ? language.model(dtype: dtype, device: device)
                : language.model(Weights(path: trained), dtype: dtype, device: device))
        for part in captions.parts {
            let weights = try Weights(path: "\(checkpoint.folder)/\(part.file)")
            try part.module.load(weights, prefix: part.keyPrefix, device: device)
            try part.module.requireFinite(source: weights.source)
            part.module.setRequiresGrad(false)
        }
        return try Captioner(
            model: captions, reader: reader, tokenizer: language.tokenizer(), source: recipe.data.source,
            decoding: CaptionDecoding(recipe.generation), name: "run '\(folder.path)'")
    }
}
