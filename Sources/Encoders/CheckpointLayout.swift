import Files
import ModelFolders
import StrictJSON
import TorchNN

/// A way in which authors publish an encoder: one file of `torch.save` without any configuration. Names and shapes of its
/// tensors say what it is, and what they cannot say is in the layout's code.
struct CheckpointLayout: Sendable {
    /// As messages call it.
    let name: String
    /// Told by the names of tensors.
    let recognises: @Sendable (Weights) -> Bool
    let open: @Sendable (_ folder: ModelFolder, WeightFiles, Weights, WeightLoading) throws -> OpenEncoder

    /// Where a new layout is named.
    static let all: [CheckpointLayout] = [.openAI, .synCLR]

    static func open(
        _ folder: ModelFolder, _ files: WeightFiles, _ loading: WeightLoading
    ) throws -> OpenEncoder {
        let weights = try Weights(files)
        guard let layout = all.first(where: { $0.recognises(weights) }) else {
            throw ModelFolderError.unknownLayout(
                file: files.path, expected: all.map(\.name).joined(separator: "; or "))
        }
        return try layout.open(folder, files, weights, loading)
    }
}

extension EncoderFamily {
    /// Folders that hold an authors' checkpoint and nothing that describes it.
    static let checkpoints = EncoderFamily(
        name: "checkpoints of Long-CLIP and SynCLR (.pt, .pth)",
        recognises: { try $0.loneCheckpoint() != nil },
        weights: { folder, _ in
            guard let files = try folder.loneCheckpoint() else {
                throw ModelFolderError.missing(path: folder.path, expected: "a .pt or .pth file")
            }
            return files
        },
        open: { try CheckpointLayout.open($0, $1, $2) })
}

extension EncoderFolder {
    /// Opens an authors' checkpoint by its path; a tokenizer is looked for in its folder.
    /// - Throws: as ``open(_:dtype:device:memory:variant:)``.
    public static func open(checkpoint path: String) throws -> OpenEncoder {
        try CheckpointLayout.open(
            ModelFolder(FileSystem.folder(of: path)), WeightFiles(file: path, format: .pickle), WeightLoading())
    }
}

extension ModelFolder {
    /// The one `.pt` or `.pth` of a folder without configuration; nil where there is none, or a configuration.
    /// - Throws: `ModelFolderError.unknownLayout` for several, since nothing says which is meant.
    func loneCheckpoint() throws -> WeightFiles? {
        guard !ModelFingerprint.configurationFiles.contains(where: has), !has("model_index.json") else { return nil }
        let found = try names().filter { $0.hasSuffix(".pt") || $0.hasSuffix(".pth") }
        guard found.count <= 1 else {
            throw ModelFolderError.unknownLayout(
                file: path, expected: "one checkpoint without configuration, got \(found.joined(separator: ", "))")
        }
        return found.first.map { WeightFiles(file: file($0), format: .pickle) }
    }
}

extension Weights {
    /// The shape of a tensor that must be there.
    /// - Throws: `ModelFolderError.unknownLayout`.
    func shape(of key: String, rank: Int) throws -> [Int] {
        guard let shape = self[key]?.shape, shape.count == rank else {
            throw ModelFolderError.unknownLayout(
                file: source,
                expected: "'\(key)' with \(rank) dimensions, got \(self[key].map { "\($0.shape)" } ?? "none")")
        }
        return shape
    }

    /// How many blocks there are below a prefix: `prefix.0.…`, `prefix.1.…`.
    func blockCount(below prefix: String) -> Int {
        let numbers = entries.keys.compactMap { key -> Int? in
            guard key.hasPrefix(prefix) else { return nil }
            return Int(key.dropFirst(prefix.count).prefix { $0 != "." })
        }
        return (numbers.max() ?? -1) + 1
    }
}
