import Files
import ModelFolders
import StrictJSON

/// The files of a model in diffusers' layout: `model_index.json`, which names a pipeline and its parts, and a folder
/// for each part. Every family of generators opens its files through this.
public struct DiffusersFolder: Sendable {
    /// Where a part's class comes from, which decides the names of its weight files.
    private enum Library: String {
        case diffusers, transformers
    }

    public static let indexName = "model_index.json"

    public let folder: ModelFolder
    /// `_class_name` of the index, such as `StableDiffusionPipeline`.
    public let pipeline: String
    /// The variant of the weight files, such as `fp16` in `diffusion_pytorch_model.fp16.safetensors`; nil takes the
    /// files without one, or the only variant there is.
    public let variant: String?
    private let index: JSONFile

    public var path: String { folder.path }

    /// - Throws: `ModelFolderError` if there is no index, and what is wrong with the index.
    public init(_ path: String, variant: String? = nil) throws { try self.init(ModelFolder(path), variant: variant) }

    public init(_ folder: ModelFolder, variant: String? = nil) throws {
        guard let index = try folder.json(Self.indexName) else {
            throw ModelFolderError.missing(path: folder.path, expected: Self.indexName)
        }
        guard let pipeline = try index.string("_class_name") else {
            throw index.invalid("_class_name", expected: "the name of a pipeline")
        }
        self.folder = folder
        self.pipeline = pipeline
        self.variant = variant
        self.index = index
        if let variant { try check(variant) }
    }

    /// Parts that the index names, in its order. Entries such as `["stable_diffusion", null]` stand for parts that are
    /// left out.
    var parts: [String] { index.keys.filter { className(of: $0) != nil } }

    /// The class of a part; nil if the model has no such part.
    func className(of part: String) -> String? {
        guard let pair = index.value[part]?.array, pair.count == 2 else { return nil }
        return pair[1].string
    }

    /// Refuses a part of a class other than those that are built here.
    /// - Throws: `JSONFileError`.
    func require(_ part: String, _ classes: String...) throws {
        if let name = className(of: part), classes.contains(name) { return }
        throw JSONFileError.invalidValue(
            file: index.path, key: part, expected: classes.map { "\"\($0)\"" }.joined(separator: " or "),
            got: className(of: part).map { "\"\($0)\"" } ?? "absent")
    }

    /// The file `name` of a part.
    func file(_ part: String, _ name: String) -> String { folder.file("\(part)/\(name)") }

    func configurationFile(of part: String) -> String { file(part, "config.json") }

    /// The weight files of a part.
    /// - Throws: `ModelFolderError` if there are none, or several variants to choose from.
    func weights(of part: String) throws -> WeightFiles {
        try weights(of: part, variant: try hasVariant(part) ? variant : nil)
    }

    private func weights(of part: String, variant: String?) throws -> WeightFiles {
        let files = try folder.folder(part)
        switch index.value[part]?.array?.first?.string.flatMap(Library.init(rawValue:)) {
        case .transformers: return try files.weights(variant: variant)
        case .diffusers, nil:
            let stems = [Self.weightStem]
            return try files.weights(stems: stems, pickleStems: stems, variant: variant)
        }
    }

    static let weightStem = "diffusion_pytorch_model"

    /// Whether a part has weights of the requested variant. As in diffusers, a part without them uses its plain files,
    /// because not every part is published in half precision.
    private func hasVariant(_ part: String) throws -> Bool {
        guard let variant else { return false }
        return try folder.folder(part).names().contains { Self.isWeights($0, of: variant) }
    }

    /// Whether a file is weights of a variant: `model.fp16.safetensors`, `model.safetensors.index.fp16.json`, a shard.
    private static func isWeights(_ name: String, of variant: String) -> Bool {
        (name.contains(".safetensors") || name.contains(".bin"))
            && name.split(separator: ".").dropFirst().contains { $0 == variant || $0.hasPrefix("\(variant)-") }
    }

    /// A variant that no part has is an error.
    private func check(_ variant: String) throws {
        for part in parts where folder.has(part) {
            if try folder.folder(part).names().contains(where: { Self.isWeights($0, of: variant) }) { return }
        }
        throw ModelFolderError.missing(path: path, expected: "weights of the variant '\(variant)' in one of its parts")
    }

    /// The identity of the model: the index, and the files of the parts that are run.
    /// - Parameters:
    ///   - weighted: parts with weights and a `config.json`.
    ///   - tokenizers: parts that turn prompts into ids.
    ///   - others: further files.
    /// - Throws: `FileError`, `ModelFolderError`.
    public func fingerprint(
        weighted: [String], tokenizers: [String], others: [String], hashes: FileHashes
    ) throws -> ModelFingerprint {
        try ModelFingerprint(
            folder, weights: weighted.map(weights(of:)),
            names: [Self.indexName] + weighted.map { "\($0)/config.json" } + others
                + tokenizers.flatMap { part in ModelFingerprint.tokenizerFiles.map { "\(part)/\($0)" } },
            hashes: hashes)
    }
}
