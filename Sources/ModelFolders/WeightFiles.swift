import Files
import StrictJSON

/// The files that hold a model's weights: one, or an index and its shards.
public struct WeightFiles: Sendable, Hashable {
    public enum Format: Sendable {
        case safetensors
        /// Written by `torch.save`; read without running anything in it.
        case pickle
    }

    /// The file to open: the weights, or their index.
    public let path: String
    /// All files that make up the weights, by name in the folder: the index and all its shards. A shard that the index
    /// names is in the list even if the file is missing.
    public let names: [String]
    public let format: Format

    /// A file outside of any folder.
    public init(file path: String, format: Format) {
        self.path = path
        names = [FileSystem.name(of: path)]
        self.format = format
    }

    fileprivate init(_ folder: ModelFolder, _ name: String) throws {
        path = folder.file(name)
        let isIndex = name.hasSuffix(".json")
        format = name.contains(".safetensors") ? .safetensors : .pickle
        guard isIndex else {
            names = [name]
            return
        }
        let file = try JSONFile(path)
        guard let map = try file.object("weight_map"), !map.keys.isEmpty else {
            throw ModelFolderError.badIndex(file: path, reason: "it has no 'weight_map'")
        }
        var shards: Set<ExactString> = []
        for key in map.keys {
            guard let shard = try map.string(key) else {
                throw ModelFolderError.badIndex(file: path, reason: "'weight_map' gives '\(key)' no file")
            }
            guard !shard.isEmpty, !shard.utf8.contains(UInt8(ascii: "/")), shard != "..", !shard.utf8.contains(0) else {
                throw ModelFolderError.badIndex(
                    file: path, reason: "'weight_map' puts '\(key)' into '\(shard)', which is no file of this folder")
            }
            shards.insert(ExactString(shard))
        }
        names = [name] + shards.sorted().map(\.string)
    }
}

extension ModelFolder {
    /// The folder's weights, found as transformers and diffusers find them: safetensors before pickles, one file before
    /// shards, in the order of the stems.
    /// - Parameters:
    ///   - stems: names without endings, such as `model` and `open_clip_model` for safetensors.
    ///   - pickleStems: the same for `.bin` files.
    ///   - variant: such as `fp16` in `model.fp16.safetensors`; nil takes the files without one, or the only variant
    ///     there is. `non_ema` is a variant that is taken only on request.
    /// - Throws: ``ModelFolderError/missing(path:expected:)``, ``ModelFolderError/severalVariants(path:variants:)``, and what
    ///   is wrong with an index.
    public func weights(
        stems: [String] = ["model"], pickleStems: [String] = ["pytorch_model"], variant: String? = nil
    ) throws -> WeightFiles {
        if let variant { return try weights(stems, pickleStems, variant) ?? missing(stems, pickleStems, variant) }
        if let found = try weights(stems, pickleStems, nil) { return found }
        let variants = try self.variants(of: stems + pickleStems).filter { $0 != "non_ema" }
        if variants.count > 1 { throw ModelFolderError.severalVariants(path: path, variants: variants) }
        if let only = variants.first, let found = try weights(stems, pickleStems, only) { return found }
        return try missing(stems, pickleStems, nil)
    }

    private func weights(_ stems: [String], _ pickleStems: [String], _ variant: String?) throws -> WeightFiles? {
        let candidates =
            stems.flatMap { Self.fileNames($0, "safetensors", variant) }
            + pickleStems.flatMap { Self.fileNames($0, "bin", variant) }
        return try candidates.first(where: has).map { try WeightFiles(self, $0) }
    }

    /// A single file and the names of its index: the variant stands before the last ending, as transformers and diffusers
    /// write it today, or after the stem, as diffusers wrote it before 0.30.
    private static func fileNames(_ stem: String, _ ending: String, _ variant: String?) -> [String] {
        guard let variant else { return ["\(stem).\(ending)", "\(stem).\(ending).index.json"] }
        return [
            "\(stem).\(variant).\(ending)", "\(stem).\(ending).index.\(variant).json",
            "\(stem).\(variant).\(ending).index.json",
        ]
    }

    private func variants(of stems: [String]) throws -> [String] {
        var found: Set<ExactString> = []
        for name in try names() {
            for stem in stems {
                for ending in ["safetensors", "bin"] {
                    for (prefix, suffix) in [
                        ("\(stem).", ".\(ending)"), ("\(stem).\(ending).index.", ".json"),
                        ("\(stem).", ".\(ending).index.json"),
                    ] where name.hasPrefix(prefix) && name.hasSuffix(suffix) {
                        guard name.utf8.count > prefix.utf8.count + suffix.utf8.count else { continue }
                        let middle = name.dropFirst(prefix.count).dropLast(suffix.count)
                        if !middle.contains("-of-"), !middle.contains(".") { found.insert(ExactString(String(middle))) }
                    }
                }
            }
        }
        return found.sorted().map(\.string)
    }

    private func missing(_ stems: [String], _ pickleStems: [String], _ variant: String?) throws -> WeightFiles {
        let names =
            stems.map { Self.fileNames($0, "safetensors", variant)[0] }
            + pickleStems.map { Self.fileNames($0, "bin", variant)[0] }
        let variants = try self.variants(of: stems + pickleStems)
        throw ModelFolderError.missing(
            path: path,
            expected: "\(names.joined(separator: " or ")), or an index of its shards"
                + (variants.isEmpty ? "" : " (variants there: \(variants.joined(separator: ", ")))"))
    }
}
