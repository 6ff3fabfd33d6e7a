import Files
import Foundation
import StrictJSON

/// The weights of a Hugging Face model folder: one `model.safetensors`, or shards under `model.safetensors.index.json`.
///
/// When both are there the single file is used, as `transformers` does. Every shard must exist, hold exactly the
/// tensors that the index puts there, and nothing else.
public final class SafetensorsCheckpoint: Sendable {
    /// The file or index that was opened.
    public let path: String
    /// The files, in order of their names.
    public let files: [SafetensorsFile]
    /// All tensor names, sorted by their UTF-8 bytes.
    public let names: [String]
    /// `metadata.total_size` of the index when it differs from the bytes that are there. Writers disagree on what it
    /// counts (tied weights, element counts), so it is reported and not an error.
    public let totalSizeMismatch: TotalSizeMismatch?

    public struct TotalSizeMismatch: Sendable, Equatable {
        public let declared: Double
        public let actual: Int
    }

    /// Which file holds each name of `names`.
    private let fileIndices: [Int]

    /// Opens a folder, a `.safetensors` file, or an index file.
    public convenience init(path: String) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw FileError.cannotOpen(path: path, reason: errorText(ENOENT))
        }
        if isFolder.boolValue {
            try self.init(folder: path)
        } else if path.hasSuffix(".json") {
            try self.init(index: path)
        } else {
            try self.init(file: path)
        }
    }

    /// Opens the weights of a model folder.
    /// - Parameter name: the stem of the files; `"diffusion_pytorch_model"` for diffusers.
    public convenience init(folder: String, name: String = "model") throws {
        let single = folder + "/\(name).safetensors"
        let index = folder + "/\(name).safetensors.index.json"
        if FileManager.default.fileExists(atPath: single) {
            try self.init(file: single)
        } else if FileManager.default.fileExists(atPath: index) {
            try self.init(index: index)
        } else {
            throw SafetensorsError.noCheckpoint(folder: folder)
        }
    }

    private init(file path: String) throws {
        let file = try SafetensorsFile(path: path)
        self.path = path
        files = [file]
        names = file.names
        fileIndices = Array(repeating: 0, count: file.names.count)
        totalSizeMismatch = nil
    }

    private init(index path: String) throws {
        let index = try ShardIndex(path: path)
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        var files: [SafetensorsFile] = []
        var found: [(name: String, file: Int)] = []
        for shard in index.shards {
            let shardPath = folder + "/" + shard.file
            guard access(shardPath, F_OK) == 0 else {
                throw SafetensorsError.missingShard(index: path, shard: shard.file)
            }
            let file = try SafetensorsFile(path: shardPath)
            if let tensor = shard.tensors.first(where: { file[$0] == nil }) {
                throw SafetensorsError.tensorNotInShard(index: path, tensor: tensor, shard: shard.file)
            }
            // All listed names are there, so a difference in number is a name the index lacks.
            if file.names.count != shard.tensors.count {
                let listed = Set(shard.tensors.map { Array($0.utf8) })
                let extra = file.names.first { !listed.contains(Array($0.utf8)) }!
                throw SafetensorsError.tensorNotInIndex(index: path, tensor: extra, shard: shard.file)
            }
            found.append(contentsOf: file.names.map { ($0, files.count) })
            files.append(file)
        }
        found.sort { utf8Less($0.name, $1.name) }
        self.path = path
        self.files = files
        names = found.map(\.name)
        fileIndices = found.map(\.file)
        let actual = files.reduce(0) { $0 + $1.dataByteCount }
        totalSizeMismatch = index.totalSize.flatMap {
            $0 == Double(actual) ? nil : TotalSizeMismatch(declared: $0, actual: actual)
        }
    }

    /// The tensor under exactly this name, or nil.
    public subscript(name: String) -> TensorView? {
        var low = 0
        var high = names.count
        while low < high {
            let middle = (low + high) / 2
            if utf8Less(names[middle], name) { low = middle + 1 } else { high = middle }
        }
        guard low < names.count, names[low].utf8.elementsEqual(name.utf8) else { return nil }
        return files[fileIndices[low]][name]
    }

    /// The tensor under exactly this name.
    /// - Throws: ``SafetensorsError/tensorNotFound(path:tensor:nearest:)`` with the most similar name.
    public func tensor(named name: String) throws(SafetensorsError) -> TensorView {
        guard let view = self[name] else {
            throw .tensorNotFound(path: path, tensor: name, nearest: NearestName.find(name, in: names))
        }
        return view
    }

    /// All tensors, sorted by name.
    public var tensors: [TensorView] { names.map { self[$0]! } }

    /// Bytes of tensor data in all files.
    public var dataByteCount: Int { files.reduce(0) { $0 + $1.dataByteCount } }
}

/// `model.safetensors.index.json`: `{"metadata": {"total_size": n}, "weight_map": {"tensor": "file"}}`.
private struct ShardIndex {
    struct Shard {
        let file: String
        var tensors: [String]
    }

    let shards: [Shard]
    let totalSize: Double?

    init(path: String) throws {
        let mapping = try MappedFile(path: path)
        let document: JSONValue
        do throws(JSONSyntaxError) {
            document = try mapping.withUnsafeBytes { bytes throws(JSONSyntaxError) in try StrictJSON.parse(bytes) }
        } catch {
            try mapping.withUnsafeBytes { try PlaceholderFile.refuse($0, path: path) }
            throw SafetensorsError.badIndex(path: path, reason: error.description)
        }
        guard let map = document["weight_map"] else {
            throw SafetensorsError.badIndex(path: path, reason: "it has no 'weight_map'")
        }
        guard let members = map.members else {
            throw SafetensorsError.badIndex(path: path, reason: "'weight_map' should be an object, got \(map.kind)")
        }
        guard !members.isEmpty else { throw SafetensorsError.badIndex(path: path, reason: "'weight_map' is empty") }
        var byFile: [[UInt8]: Shard] = [:]
        for member in members {
            guard let file = member.value.string else {
                throw SafetensorsError.badIndex(
                    path: path,
                    reason: "'weight_map' entry '\(member.key)' should be a file name, got \(member.value.kind)")
            }
            guard !file.isEmpty, !file.utf8.contains(UInt8(ascii: "/")), !file.utf8.contains(0), file != "..",
                file != "."
            else { throw SafetensorsError.unsafeShardName(path: path, tensor: member.key, shard: file) }
            byFile[Array(file.utf8), default: Shard(file: file, tensors: [])].tensors.append(member.key)
        }
        shards = byFile.values.sorted { utf8Less($0.file, $1.file) }
        if let declared = document["metadata"]?["total_size"] {
            guard let number = declared.double else {
                throw SafetensorsError.badIndex(
                    path: path, reason: "'metadata.total_size' should be a number, got \(declared.kind)")
            }
            totalSize = number
        } else {
            totalSize = nil
        }
    }
}
