import Files
import ModelFolders
import StrictJSON
import Torch

/// What a user asks of a generator; the model decides what is nil.
public struct GeneratorOptions: Sendable, Hashable {
    /// Denoising steps.
    public var steps: Int?
    /// Classifier-free guidance scale; 1 or less is no guidance.
    public var guidance: Double?
    /// What the images should not show.
    public var negativePrompt = ""
    /// Pixels; both or none.
    public var width: Int?
    public var height: Int?
    /// A sampling method of the family's list.
    public var scheduler: String?
    /// The variant of the weight files, such as `fp16`.
    public var variant: String?
    public var dtype = DType.float32
    public var device = Device.cpu
    /// Whether weights are laid out for speed where that is possible; it costs memory, and images differ in the last
    /// digits.
    public var isPrepared = true

    public init() {}
}

/// A family of image generators: how its folders are recognised and opened.
///
/// A new family is a folder of its own in this target and an entry in ``GeneratorFolder/families``. It brings an
/// ``ImageGenerator`` that settles the options: default steps, guidance and size from the model, the multiple that
/// sizes must have, the token limit, the dtype of a second try. The command and the runs know nothing else.
public struct GeneratorFamily: ModelFamily {
    /// Makes a generator from a folder that belongs to the family.
    /// - Throws: what is wrong with the folder, and ``DiffusionError`` for options that the family does not support.
    ///   Options are checked before weights are read.
    public typealias Opening = @Sendable (DiffusersFolder, GeneratorOptions, FileHashes) throws -> any ImageGenerator

    public let name: String
    /// `_class_name` in `model_index.json`.
    public let pipelines: Set<String>
    /// Words for ``GeneratorOptions/scheduler``, in the order in which messages list them.
    public let schedulers: [String]
    public let open: Opening

    public init(name: String, pipelines: Set<String>, schedulers: [String], open: @escaping Opening) {
        self.name = name
        self.pipelines = pipelines
        self.schedulers = schedulers
        self.open = open
    }

    public func recognises(_ folder: ModelFolder) throws -> Bool {
        guard let name = try folder.json(DiffusersFolder.indexName)?.string("_class_name") else { return false }
        return pipelines.contains(name)
    }
}

/// Opens the folders of image generators.
public enum GeneratorFolder {
    /// All families that are read here.
    public static let families = FamilyList<GeneratorFamily>(
        kind: "image generator",
        [
            .stableDiffusion
        ])

    /// A generator, ready to draw.
    /// - Parameters:
    ///   - path: a folder in diffusers' layout.
    ///   - hashes: the memory of file hashes.
    /// - Throws: `ModelFolderError` for another kind of folder; what is wrong with its files; ``DiffusionError`` for
    ///   options that are not possible.
    public static func open(
        _ path: String, options: GeneratorOptions = GeneratorOptions(), hashes: FileHashes = FileHashes()
    ) throws -> any ImageGenerator {
        let folder = try ModelFolder(path)
        guard folder.has(DiffusersFolder.indexName) else {
            throw ModelFolderError.missing(path: path, expected: DiffusersFolder.indexName)
        }
        let family = try families.family(of: folder)
        return try family.open(DiffusersFolder(folder, variant: options.variant), options, hashes)
    }
}
