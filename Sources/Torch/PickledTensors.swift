import CTorch
import Files
import Foundation

/// The tensors of a file written by Python's `torch.save`: a state dict, or a checkpoint that holds one beside other
/// things.
///
/// libtorch reads the zip container and makes the tensors; the pickle in it is interpreted by the shim, which knows
/// containers, numbers and tensors and runs nothing. Tensors that share memory in the file share it here.
public struct PickledTensors {
    /// The tensors of the dictionary, in the file's order.
    public private(set) var tensors: [(name: String, tensor: Tensor)] = []
    /// What else is in the dictionary: its name and its kind ("a whole number", "a list").
    public private(set) var others: [(name: String, kind: String)] = []
    /// Dictionaries directly within the file's own that have names as keys; they are not searched further.
    public private(set) var dictionaries: [(name: String, contents: PickledTensors)] = []

    private init() {}

    /// - Throws: `TorchError` naming the file: none, the format before PyTorch 1.6 (with the line that converts it), or
    ///   something that is no dictionary with names for keys. `FileError` for what is no regular file.
    public init(path: String) throws {
        try Self.checkFormat(path)
        do {
            try read(path)
        } catch var error as TorchError where error.kind == .operation {
            error.kind = .argument
            error.message = "'\(path)': \(error.message)"
            throw error
        }
    }

    private mutating func read(_ path: String) throws {
        var pickle: CTPickle?
        try throwing(ct_pickle_read(path, &pickle))
        defer { check(ct_pickle_free(pickle), "PickledTensors", #fileID, #line) }
        var count: Int64 = 0
        try throwing(ct_pickle_count(pickle, &count))
        for index in 0..<count {
            var dictionary: UnsafePointer<CChar>?
            var name: UnsafePointer<CChar>?
            var kind: UnsafePointer<CChar>?
            var tensor: CTTensor?
            try throwing(ct_pickle_entry(pickle, index, &dictionary, &name, &kind, &tensor))
            let owned = tensor.map(Tensor.init(owning:))
            let (outer, inner, what) = (try text(dictionary), try text(name), try text(kind))
            // Entries of a dictionary follow its own.
            if outer.isEmpty {
                add(inner, owned, what)
                if what == "a dictionary" { dictionaries.append((inner, PickledTensors())) }
            } else if let last = dictionaries.indices.last {
                dictionaries[last].contents.add(inner, owned, what)
            }
        }
    }

    private mutating func add(_ name: String, _ tensor: Tensor?, _ kind: String) {
        if let tensor {
            tensors.append((name, tensor))
        } else {
            others.append((name, kind))
        }
    }

    private func text(_ pointer: UnsafePointer<CChar>?) throws -> String {
        guard let pointer, let text = String(validatingCString: pointer) else {
            throw TorchError(kind: .operation, message: "the file holds a name that is no UTF-8")
        }
        return text
    }

    /// The bytes before the pickle tell the formats apart.
    private static func checkFormat(_ path: String) throws {
        let (descriptor, _) = try RegularFile.open(path)
        defer { close(descriptor) }
        let head = [UInt8](unsafeUninitializedCapacity: 512) { buffer, count in
            count = max(0, Glibc.read(descriptor, buffer.baseAddress, 512))
        }
        if head.starts(with: Array("PK".utf8)) { return }
        // PyTorch's own magic number as a pickle, which every file before 1.6 begins with.
        let legacy: [UInt8] = [0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
        if head.starts(with: legacy) {
            throw TorchError(
                kind: .argument,
                message: "'\(path)' is in the format of torch.save before PyTorch 1.6, which has no zip container; "
                    + "convert it once with: python -c \"import torch; torch.save(torch.load('\(path)', "
                    + "map_location='cpu'), 'converted.pt')\"")
        }
        try PlaceholderFile.refuse(head, path: path)
        throw TorchError(
            kind: .argument,
            message: "'\(path)' is no file of torch.save: expected a zip container of PyTorch 1.6 or later"
        )
    }
}
