import CTorch
import Foundation

/// The tensors of a file that Python's `torch.save(model.state_dict(), path)` wrote, by name, in the file's order.
///
/// libtorch reads the zip container and makes the tensors; the pickle in it is interpreted by the shim, which knows
/// containers, numbers and tensors and runs nothing. Tensors that share memory in the file share it here.
public struct PickledTensors {
    public let entries: [(name: String, tensor: Tensor)]

    /// - Throws: `TorchError` naming the file: none, the format before PyTorch 1.6 (with the line that converts it), or
    ///   something that is no dictionary of tensors.
    public init(path: String) throws {
        try Self.checkFormat(path)
        func named<Result>(_ body: () throws -> Result) throws -> Result {
            do {
                return try body()
            } catch var error as TorchError where error.kind == .operation {
                error.kind = .argument
                error.message = "'\(path)': \(error.message)"
                throw error
            }
        }
        entries = try named {
            var pickle: CTPickle?
            try throwing(ct_pickle_read(path, &pickle))
            defer { check(ct_pickle_free(pickle), "PickledTensors", #fileID, #line) }
            var count: Int64 = 0
            try throwing(ct_pickle_count(pickle, &count))
            return try (0..<count).map { index in
                var name: UnsafePointer<CChar>?
                var tensor: CTTensor?
                try throwing(ct_pickle_entry(pickle, index, &name, &tensor))
                guard let name, let tensor else {
                    throw TorchError(kind: .operation, message: "entry \(index) is empty")
                }
                return (String(cString: name), Tensor(owning: tensor))
            }
        }
    }

    /// What stands before the pickle tells the formats apart.
    private static func checkFormat(_ path: String) throws {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw TorchError(kind: .argument, message: "'\(path)' cannot be read; expected a file of torch.save")
        }
        let head = [UInt8](try file.read(upToCount: 16) ?? Data())
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
        throw TorchError(
            kind: .argument,
            message: "'\(path)' is no file of torch.save: expected a zip container of PyTorch 1.6 or later"
        )
    }
}
