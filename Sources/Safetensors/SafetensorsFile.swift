import Files

/// A memory-mapped, fully checked safetensors file.
///
/// Opening reads and checks the header only; the data is paged in when a view is read. Immutable and `Sendable`.
///
/// ```swift
/// let file = try SafetensorsFile(path: "model.safetensors")
/// for name in file.names {
///     let view = try file.tensor(named: name)
///     print(name, view.elementType.headerName, view.shape, view.bytes.count)
/// }
/// ```
public final class SafetensorsFile: Sendable {
    public let path: String
    /// Tensor names, sorted by their UTF-8 bytes.
    public let names: [String]
    /// The `__metadata__` strings; empty when the file has none.
    public let metadata: [String: String]
    /// Bytes of tensor data, without the header.
    public let dataByteCount: Int

    private let mapping: MappedFile
    private let dataStart: Int
    /// Sorted as `names`.
    private let entries: [SafetensorsHeader.Entry]

    /// - Throws: ``SafetensorsError``, with a case of its own for every way in which a file can be broken. `FileError`
    ///   when it cannot be opened, or stands in place of a file that was never fetched.
    public init(path: String) throws {
        let mapping = try MappedFile(path: path)
        defer { withExtendedLifetime(mapping) {} }
        let bytes = mapping.bytes
        try PlaceholderFile.refuse(bytes, path: path)
        guard bytes.count >= 8 else { throw SafetensorsError.fileTooShort(path: path, got: bytes.count) }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard length <= UInt64(SafetensorsHeader.byteLimit) else {
            throw SafetensorsError.headerTooLarge(path: path, got: length, limit: SafetensorsHeader.byteLimit)
        }
        let dataStart = 8 + Int(length)
        guard dataStart <= bytes.count else {
            throw SafetensorsError.headerTruncated(path: path, expected: Int(length), got: bytes.count - 8)
        }
        let header = try SafetensorsHeader(
            json: UnsafeRawBufferPointer(rebasing: bytes[8..<dataStart]), dataCount: bytes.count - dataStart, path: path
        )
        let entries = header.entries.sorted { utf8Less($0.name, $1.name) }
        self.path = path
        self.mapping = mapping
        self.dataStart = dataStart
        self.entries = entries
        names = entries.map(\.name)
        metadata = header.metadata
        dataByteCount = bytes.count - dataStart
    }

    /// The tensor under exactly this name (compared by bytes), or nil.
    public subscript(name: String) -> TensorView? {
        guard let index = index(of: name) else { return nil }
        let entry = entries[index]
        let range = dataStart + entry.offsets.lowerBound..<dataStart + entry.offsets.upperBound
        return TensorView(
            name: entry.name, elementType: entry.type, shape: entry.shape, byteRange: range, mapping: mapping)
    }

    /// The tensor under exactly this name.
    /// - Throws: ``SafetensorsError/tensorNotFound(path:tensor:nearest:)`` with the most similar name in the file.
    public func tensor(named name: String) throws(SafetensorsError) -> TensorView {
        guard let view = self[name] else {
            throw .tensorNotFound(path: path, tensor: name, nearest: NearestName.find(name, in: names))
        }
        return view
    }

    /// All tensors, sorted by name.
    public var tensors: [TensorView] { names.map { self[$0]! } }

    private func index(of name: String) -> Int? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if utf8Less(entries[middle].name, name) { low = middle + 1 } else { high = middle }
        }
        guard low < entries.count, entries[low].name.utf8.elementsEqual(name.utf8) else { return nil }
        return low
    }
}

/// One tensor of a mapped file: its description and its bytes, without a copy.
public struct TensorView: Sendable {
    public let name: String
    public let elementType: ElementType
    /// Row-major (C order) dimensions; empty for a scalar.
    public let shape: [Int]
    /// Where the bytes lie in the file, counted from its start.
    public let byteRange: Range<Int>

    private let mapping: MappedFile

    init(name: String, elementType: ElementType, shape: [Int], byteRange: Range<Int>, mapping: MappedFile) {
        self.name = name
        self.elementType = elementType
        self.shape = shape
        self.byteRange = byteRange
        self.mapping = mapping
    }

    /// Calls `body` with the little-endian elements, row-major: read-only memory that stays mapped until it returns.
    public func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { withExtendedLifetime(mapping) {} }
        return try body(bytes)
    }

    /// The little-endian elements, row-major; read-only memory.
    ///
    /// Valid while the file, this view or ``owner`` is alive. Swift may release an object right after its last use, and
    /// that may be the very call that returned this pointer: keep one of them alive with `withExtendedLifetime`, store
    /// it beside the pointer, or use ``withUnsafeBytes(_:)``.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: mapping.bytes[byteRange]) }

    /// The object to retain when the bytes are handed to code that outlives this view.
    public var owner: AnyObject { mapping }

    /// The file the bytes come from.
    public var path: String { mapping.path }

    public var elementCount: Int { byteRange.count / elementType.size }

    /// Whether the bytes start at a multiple of the element size, so that they can be used in place as elements.
    ///
    /// It is always true for headers padded to 8 bytes (ours, the reference's) with tensors sorted by width; the format
    /// itself does not promise it.
    public var isAligned: Bool { byteRange.lowerBound % elementType.size == 0 }

    /// This view, if it has the shape.
    /// - Throws: ``SafetensorsError/wrongShape(path:tensor:expected:got:)``.
    public func requiring(shape expected: [Int]) throws(SafetensorsError) -> TensorView {
        guard shape == expected else { throw .wrongShape(path: path, tensor: name, expected: expected, got: shape) }
        return self
    }

    /// This view, if it has the element type.
    /// - Throws: ``SafetensorsError/wrongElementType(path:tensor:expected:got:)``.
    public func requiring(_ expected: ElementType) throws(SafetensorsError) -> TensorView {
        guard elementType == expected else {
            throw .wrongElementType(path: path, tensor: name, expected: expected, got: elementType)
        }
        return self
    }
}

/// Order by UTF-8 bytes, as in the reference library; `String`'s own order is that of canonical equivalence.
func utf8Less(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
