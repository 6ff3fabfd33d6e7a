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
    private let target: String
    private let descriptor: Int32

    /// - Throws: `FileError.cannotWrite`.
    public init(beside target: String, name: String, dimension: Int) throws {
        self.dimension = dimension
        self.target = target
        let path = "\(target).\(name).\(ProcessInfo.processInfo.processIdentifier).rows"
        descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileError.cannotWrite(path: target, reason: errorText(errno)) }
        // The file has no name, so it is gone when the process ends, however it ends.
        unlink(path)
    }

    deinit { close(descriptor) }

    /// Appends float32 rows `[n, dimension]`.
    /// - Throws: `FileError`, when the disk is full.
    public func append(_ rows: Tensor) throws {
        let dense = rows.to(.cpu).to(.float32).contiguous()
        guard dense.withUnsafeBytes({ Output.write($0, to: descriptor) }) else {
            throw FileError.system(target, "writing rows beside it")
        }
        count += rows.size(0)
    }

    /// The matrix `[count, dimension]` in memory.
    public func tensor() throws -> Tensor {
        let matrix = Tensor.empty([count, dimension])
        try matrix.withUnsafeMutableBytes { target in
            var offset = 0
            while offset < target.count {
                offset += try read(into: UnsafeMutableRawBufferPointer(rebasing: target[offset...]), at: offset)
            }
        }
        return matrix
    }

    /// The matrix `[count, dimension]` as an entry of a safetensors file.
    public func entry(_ name: String) throws -> SafetensorsWriter.Tensor {
        SafetensorsWriter.Tensor(
            name: name, elementType: DType.float32.elementType, shape: [count, dimension]
        ) { [self] emit in
            let total = count * dimension * MemoryLayout<Float>.size
            let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: min(total, 4 << 20), alignment: 64)
            defer { piece.deallocate() }
            var offset = 0
            while offset < total {
                let got = try read(
                    into: UnsafeMutableRawBufferPointer(rebasing: piece[..<min(piece.count, total - offset)]),
                    at: offset)
                try emit(UnsafeRawBufferPointer(rebasing: piece[..<got]))
                offset += got
            }
        }
    }

    /// - Returns: how many bytes were read, at least one.
    private func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
        while true {
            let got = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
            if got > 0 { return got }
            if got < 0, errno == EINTR { continue }
            throw FileError.failed(
                path: target, operation: "reading its rows back",
                reason: got < 0 ? errorText(errno) : "they are cut short")
        }
    }
}
