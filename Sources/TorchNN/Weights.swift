import ModelFolders
import Safetensors
import Torch

/// Named tensors from a file or from memory, not yet in a model: shapes and dtypes are known, and data is read when
/// used.
///
/// Checkpoint layouts are converted here (renamed, split, transposed) before `Module.load` compares keys strictly.
public struct Weights {
    public struct Entry {
        public let shape: [Int]
        public let dtype: DType
        /// Makes the tensor: over the mapped file where possible.
        public let tensor: () -> Tensor

        public init(shape: [Int], dtype: DType, tensor: @escaping () -> Tensor) {
            self.shape = shape
            self.dtype = dtype
            self.tensor = tensor
        }

        public init(_ tensor: Tensor) {
            self.init(shape: tensor.shape, dtype: tensor.dtype) { tensor }
        }
    }

    /// The name of the source in error messages: a path.
    public let source: String
    public var entries: [String: Entry]

    public init(source: String, entries: [String: Entry]) {
        self.source = source
        self.entries = entries
    }

    /// The tensors of a safetensors file, sharded checkpoint or folder; the files stay mapped while tensors use them.
    /// - Throws: `SafetensorsError` for a damaged file, `WeightsError` for an element type that libtorch does not have.
    public init(path: String) throws {
        let checkpoint = try SafetensorsCheckpoint(path: path)
        var entries: [String: Entry] = [:]
        entries.reserveCapacity(checkpoint.names.count)
        for view in checkpoint.tensors {
            guard let dtype = DType(view.elementType) else {
                throw WeightsError.unsupportedElementType(
                    source: view.path, key: view.name, got: "\(view.elementType.headerName)")
            }
            entries[view.name] = Entry(shape: view.shape, dtype: dtype) {
                view.isAligned
                    ? .borrowing(view.bytes, shape: view.shape, dtype: dtype, owner: view.owner)
                    : .copying(view.bytes, shape: view.shape, dtype: dtype)
            }
        }
        self.init(source: path, entries: entries)
    }

    /// The tensors of a model's weight files, whatever their format.
    /// - Throws: `SafetensorsError`, `TorchError`, `WeightsError`.
    public init(_ files: WeightFiles) throws {
        switch files.format {
        case .safetensors: try self.init(path: files.path)
        case .pickle:
            let folder = files.path.lastIndex(of: "/").map { String(files.path[..<$0]) } ?? "."
            let parts = files.names.filter { !$0.hasSuffix(".json") }
            var entries: [String: Entry] = [:]
            for part in parts {
                for (key, entry) in try Weights(stateDict: "\(folder)/\(part)").entries {
                    guard entries.updateValue(entry, forKey: key) == nil else {
                        throw WeightsError.repeatedKey(source: files.path, key: key)
                    }
                }
            }
            self.init(source: files.path, entries: entries)
        }
    }

    public subscript(key: String) -> Entry? { entries[key] }

    /// Renames keys; `nil` from `rename` keeps a key.
    public mutating func renameKeys(_ rename: (String) -> String?) {
        var renamed: [String: Entry] = [:]
        renamed.reserveCapacity(entries.count)
        for (key, entry) in entries { renamed[rename(key) ?? key] = entry }
        entries = renamed
    }

    /// Replaces `key` by equal parts of its first dimension (a fused `in_proj` becomes q, k and v).
    /// - Throws: `WeightsError.indivisible` when the first dimension does not divide.
    public mutating func split(_ key: String, into names: [String]) throws {
        guard let entry = entries.removeValue(forKey: key) else { return }
        guard let rows = entry.shape.first, rows % names.count == 0 else {
            throw WeightsError.indivisible(source: source, key: key, shape: entry.shape, parts: names.count)
        }
        let part = rows / names.count
        for (index, name) in names.enumerated() {
            entries[name] = Entry(shape: [part] + entry.shape.dropFirst(), dtype: entry.dtype) {
                entry.tensor().slice(0, index * part..<(index + 1) * part)
            }
        }
    }

    /// Replaces a matrix by its transpose (a projection stored as `x · W` becomes `[out, in]`).
    public mutating func transpose(_ key: String) {
        guard let entry = entries[key], entry.shape.count == 2 else { return }
        entries[key] = Entry(shape: entry.shape.reversed(), dtype: entry.dtype) {
            entry.tensor().transposed().contiguous()
        }
    }
}

/// A tensor file that cannot become weights.
public enum WeightsError: Error, CustomStringConvertible, Equatable {
    case unsupportedElementType(source: String, key: String, got: String)
    case indivisible(source: String, key: String, shape: [Int], parts: Int)
    case repeatedKey(source: String, key: String)
    /// A file of torch.save that holds things other than tensors, and no state dict where one is expected.
    case noStateDict(source: String, key: String, kind: String, dictionaries: [String])
    case twoStateDicts(source: String, names: [String])
    case notFinite(source: String, key: String)

    public var description: String {
        switch self {
        case .unsupportedElementType(let source, let key, let got):
            "\(source): tensor '\(key)' has element type \(got), which libtorch does not compute with; convert the file first"
        case .indivisible(let source, let key, let shape, let parts):
            "\(source): tensor '\(key)' of shape \(shape) does not split into \(parts) equal parts along its first dimension"
        case .repeatedKey(let source, let key):
            "\(source): the key '\(key)' stands twice; which of the two is meant?"
        case .noStateDict(let source, let key, let kind, let dictionaries):
            "\(source) holds \(kind) under '\(key)', expected a state dict: names and tensors alone, or one under 'state_dict' "
                + "or 'model'"
                + (dictionaries.isEmpty
                    ? "" : " (dictionaries in the file: \(dictionaries.prefix(20).joined(separator: ", ")))")
        case .notFinite(let source, let key):
            "\(source): tensor '\(key)' holds a NaN or an infinity, so every result would be one; the file is damaged, or its "
                + "training had diverged when it was saved"
        case .twoStateDicts(let source, let names):
            "\(source) holds state dicts under \(names.map { "'\($0)'" }.joined(separator: " and ")); save the one that is "
                + "meant by itself"
        }
    }
}

extension DType {
    /// The dtype of a safetensors element type; nil if libtorch's shim has none.
    public init?(_ type: ElementType) {
        switch type.headerName {
        case "BOOL": self = .bool
        case "U8": self = .uint8
        case "I8": self = .int8
        case "I16": self = .int16
        case "I32": self = .int32
        case "I64": self = .int64
        case "F16": self = .float16
        case "BF16": self = .bfloat16
        case "F32": self = .float32
        case "F64": self = .float64
        default: return nil
        }
    }

    /// The element type of the same layout in a safetensors file.
    public var elementType: ElementType {
        let name =
            switch self {
            case .bool: "BOOL"
            case .uint8: "U8"
            case .int8: "I8"
            case .int16: "I16"
            case .int32: "I32"
            case .int64: "I64"
            case .float16: "F16"
            case .bfloat16: "BF16"
            case .float32: "F32"
            case .float64: "F64"
            }
        guard let type = ElementType(rawValue: name) else {
            preconditionFailure("safetensors has no element type \(name)")
        }
        return type
    }
}
