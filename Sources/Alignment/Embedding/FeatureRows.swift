import Files
import Foundation
import Safetensors
import Torch
import TorchNN

/// Collects the rows of a feature matrix for a safetensors file.
///
/// The number of rows is known only at the end, because files may be skipped. So rows go first to a file beside the
/// target, and memory does not grow with their number. That file disappears with the object.
public final class FeatureRows {
    public let dimension: Int
    public private(set) var count = 0
    private let path: String
    private let handle: FileHandle

    /// - Throws: `EmbeddingError.cannotWrite`.
    public init(beside target: String, name: String, dimension: Int) throws {
        self.dimension = dimension
        path = "\(target).\(name).\(ProcessInfo.processInfo.processIdentifier).rows"
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let handle = FileHandle(forUpdatingAtPath: path)
        else {
            throw EmbeddingError.cannotWrite(beside: target, reason: errorText(errno))
        }
        // The file has no name, so it is gone when the process ends, however it ends.
        unlink(path)
        self.handle = handle
    }

    /// Appends float32 rows `[n, dimension]`.
    public func append(_ rows: Tensor) throws {
        let dense = rows.to(.cpu).to(.float32).contiguous()
        try dense.withUnsafeBytes {
            try handle.write(
                contentsOf: Data(
                    bytesNoCopy: UnsafeMutableRawPointer(mutating: $0.baseAddress!), count: $0.count, deallocator: .none
                ))
        }
        count += rows.size(0)
    }

    /// The matrix `[count, dimension]` in memory.
    public func tensor() throws -> Tensor {
        let matrix = Tensor.empty([count, dimension])
        try handle.seek(toOffset: 0)
        try matrix.withUnsafeMutableBytes { target in
            var offset = 0
            while offset < target.count, let piece = try handle.read(upToCount: min(4 << 20, target.count - offset)),
                !piece.isEmpty
            {
                piece.copyBytes(to: UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + piece.count]))
                offset += piece.count
            }
        }
        return matrix
    }

    /// The matrix `[count, dimension]` as an entry of a safetensors file.
    public func entry(_ name: String) throws -> SafetensorsWriter.Tensor {
        SafetensorsWriter.Tensor(
            name: name, elementType: DType.float32.elementType, shape: [count, dimension]
        ) { [handle] emit in
            try handle.seek(toOffset: 0)
            while let piece = try handle.read(upToCount: 4 << 20), !piece.isEmpty {
                try piece.withUnsafeBytes { try emit($0) }
            }
        }
    }
}
