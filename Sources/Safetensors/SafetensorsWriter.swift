import Files
import StrictJSON

/// Writes safetensors files: atomically, without holding a copy of the data, the same bytes for the same content.
///
/// Tensors are stored by element type (wide first, see ``ElementType``), then by the UTF-8 bytes of their names, and
/// the header is padded with spaces to 8 bytes: the layout of the reference library. Files equal those of Python's
/// `safetensors` 0.8 byte for byte as long as there is at most one metadata entry. With several entries the reference's
/// order changes from run to run (a Rust `HashMap`); ours is sorted by key.
public enum SafetensorsWriter {
    /// Hands the bytes of one tensor to `emit`, in as many pieces as it likes.
    public typealias Producer = (_ emit: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

    /// One tensor to write.
    public struct Tensor {
        public let name: String
        public let elementType: ElementType
        /// Row-major dimensions; empty for a scalar.
        public let shape: [Int]
        let produce: Producer

        /// A tensor whose little-endian bytes lie in memory; the memory must stay until `write` returns.
        public init(name: String, elementType: ElementType, shape: [Int], bytes: UnsafeRawBufferPointer) {
            self.init(name: name, elementType: elementType, shape: shape) { emit in try emit(bytes) }
        }

        /// A tensor whose bytes are made when it is written.
        public init(name: String, elementType: ElementType, shape: [Int], produce: @escaping Producer) {
            self.name = name
            self.elementType = elementType
            self.shape = shape
            self.produce = produce
        }
    }

    /// Writes `tensors` and `metadata` to `path`, replacing an existing file.
    /// - Throws: ``SafetensorsError`` (duplicate or reserved names, a shape and its bytes that disagree, no space left,
    ///   any failure of the file system), or what a producer throws. On failure nothing under `path` changes.
    public static func write(tensors: [Tensor], metadata: [String: String] = [:], to path: String) throws {
        let sorted = tensors.sorted {
            $0.elementType != $1.elementType ? $0.elementType > $1.elementType : utf8Less($0.name, $1.name)
        }
        try checkNames(sorted, path: path)
        var sizes: [Int] = []
        var end = 0
        for tensor in sorted {
            guard let size = tensor.elementType.byteCount(shape: tensor.shape),
                case (let sum, let overflow) = end.addingReportingOverflow(size), !overflow
            else { throw SafetensorsError.shapeOverflow(path: path, tensor: tensor.name, shape: tensor.shape) }
            sizes.append(size)
            end = sum
        }
        let header = try headerBytes(sorted, sizes: sizes, metadata: metadata, path: path)
        let (total, overflow) = end.addingReportingOverflow(header.count)
        guard !overflow else { throw FileError.outOfSpace(path: path, needed: Int.max) }

        try AtomicFile.write(byteCount: total, to: path) { sink in
            try sink.append(header)
            for (tensor, size) in zip(sorted, sizes) {
                var got = 0
                try tensor.produce { piece in
                    got += piece.count
                    guard got <= size else {
                        throw SafetensorsError.sourceSize(path: path, tensor: tensor.name, expected: size, got: got)
                    }
                    try sink.append(piece)
                }
                guard got == size else {
                    throw SafetensorsError.sourceSize(path: path, tensor: tensor.name, expected: size, got: got)
                }
            }
        }
    }

    private static func checkNames(_ sorted: [Tensor], path: String) throws(SafetensorsError) {
        // They are sorted by type first, so equal names of different types are not neighbours.
        let names = sorted.map(\.name).sorted(by: utf8Less)
        for (name, next) in zip(names, names.dropFirst()) where name.utf8.elementsEqual(next.utf8) {
            throw .duplicateTensor(path: path, tensor: name)
        }
        if names.contains(where: { $0.utf8.elementsEqual(SafetensorsHeader.metadataKey.utf8) }) {
            throw .reservedName(path: path)
        }
    }

    /// Length, JSON and padding.
    private static func headerBytes(
        _ tensors: [Tensor], sizes: [Int], metadata: [String: String], path: String
    ) throws(SafetensorsError) -> [UInt8] {
        var json: [UInt8] = [UInt8(ascii: "{")]
        if !metadata.isEmpty {
            StrictJSON.append(string: SafetensorsHeader.metadataKey, to: &json)
            json.append(contentsOf: ":{".utf8)
            let pairs = metadata.sorted { utf8Less($0.key, $1.key) }
            for (i, pair) in pairs.enumerated() {
                if i > 0 { json.append(UInt8(ascii: ",")) }
                StrictJSON.append(string: pair.key, to: &json)
                json.append(UInt8(ascii: ":"))
                StrictJSON.append(string: pair.value, to: &json)
            }
            json.append(UInt8(ascii: "}"))
        }
        var begin = 0
        for (tensor, size) in zip(tensors, sizes) {
            if json.count > 1 { json.append(UInt8(ascii: ",")) }
            StrictJSON.append(string: tensor.name, to: &json)
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            json.append(
                contentsOf:
                    #":{"dtype":"\#(tensor.elementType.headerName)","shape":[\#(shape)],"data_offsets":[\#(begin),\#(begin + size)]}"#
                    .utf8)
            begin += size
        }
        json.append(UInt8(ascii: "}"))
        while json.count % 8 != 0 { json.append(UInt8(ascii: " ")) }
        guard json.count <= SafetensorsHeader.byteLimit else {
            throw .headerTooLarge(path: path, got: UInt64(json.count), limit: SafetensorsHeader.byteLimit)
        }
        return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) } + json
    }
}
