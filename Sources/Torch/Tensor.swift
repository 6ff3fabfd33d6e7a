import CTorch

/// An n-dimensional array of libtorch: one handle, freed with the last Swift reference.
///
/// The layout is PyTorch's: row-major strides, images `[B, C, H, W]`, linear weights `[out, in]`. Operations return new
/// tensors (views share memory, as in PyTorch). Operations that end in `InPlace`, and `copy(from:)`, write into
/// existing memory and record no gradient. An operation that libtorch refuses traps with its message and the Swift call
/// site, unless it runs inside `catchingTorchErrors`.
///
/// It is deliberately not `Sendable`: pass numbers or bytes between threads and make tensors where they are used.
public final class Tensor {
    let handle: CTTensor

    /// Takes over the reference that a shim call returned.
    init(owning handle: CTTensor) {
        self.handle = handle
    }

    deinit {
        ct_tensor_free(handle)
    }

    /// Calls a shim function that returns one tensor.
    @inline(__always)
    static func make(
        _ operation: String, _ file: StaticString, _ line: UInt, _ call: (UnsafeMutablePointer<CTTensor?>) -> CTStatus
    ) -> Tensor {
        if ct_scope_failed() { return .poisoned() }
        var out: CTTensor?
        if check(call(&out), operation, file, line), let out { return Tensor(owning: out) }
        return .poisoned()
    }

    /// What an operation returns after a failure inside `catchingTorchErrors`: NaN of rank 0.
    static func poisoned() -> Tensor {
        var out: CTTensor?
        guard ct_full(nil, 0, .nan, DType.float32.rawValue, 0, &out) == CT_OK, let out else {
            fatalError(
                "libtorch has no memory left for a single number: \(TorchError.current(CTStatus(CT_OUT_OF_MEMORY)))")
        }
        return Tensor(owning: out)
    }

    // MARK: Properties

    /// Number of dimensions.
    public var rank: Int {
        var out: Int32 = 0
        check(ct_rank(handle, &out), "rank", #fileID, #line)
        return Int(out)
    }

    /// Length of every dimension.
    public var shape: [Int] {
        let rank = rank
        let sizes = withUnsafeTemporaryAllocation(of: Int64.self, capacity: Swift.max(rank, 1)) { buffer -> [Int] in
            check(ct_shape(handle, buffer.baseAddress), "shape", #fileID, #line)
            return (0..<rank).map { Int(buffer[$0]) }
        }
        // A poisoned tensor answers as if it had dimensions, so that code that reads them reaches its end.
        return rank == 0 && ct_scope_failed() ? Array(repeating: 1, count: 8) : sizes
    }

    /// Length of one dimension; negative indices count from the end.
    public func size(_ dim: Int, file: StaticString = #fileID, line: UInt = #line) -> Int {
        let shape = shape
        let index = dim < 0 ? dim + shape.count : dim
        precondition(
            shape.indices.contains(index), "dimension \(dim) of a tensor of shape \(shape)", file: file, line: line)
        return shape[index]
    }

    /// Steps between neighbours of every dimension, in elements.
    public var strides: [Int] {
        let rank = rank
        return withUnsafeTemporaryAllocation(of: Int64.self, capacity: Swift.max(rank, 1)) { buffer in
            check(ct_strides(handle, buffer.baseAddress), "strides", #fileID, #line)
            return (0..<rank).map { Int(buffer[$0]) }
        }
    }

    /// Number of elements.
    public var count: Int { shape.reduce(1, *) }

    public var dtype: DType {
        var out: Int32 = 0
        check(ct_dtype(handle, &out), "dtype", #fileID, #line)
        guard let dtype = DType(rawValue: out) else {
            fatalError("libtorch gave a tensor of scalar type \(out), which has no DType")
        }
        return dtype
    }

    public var device: Device {
        var out: CTDevice = 0
        check(ct_device(handle, &out), "device", #fileID, #line)
        return Device(code: out)
    }

    public var isContiguous: Bool {
        var out = false
        check(ct_is_contiguous(handle, &out), "isContiguous", #fileID, #line)
        return out
    }

    // MARK: Reading

    /// The one element as a number (synchronises with the device). Every NaN becomes the same NaN: its sign depends on
    /// the kernel that made it, and would appear in messages.
    public func item(file: StaticString = #fileID, line: UInt = #line) -> Double {
        var out = Double.nan
        check(ct_item_double(handle, &out), "item", file, line)
        return out.isNaN ? .nan : out
    }

    /// The one element of an integer tensor, exact.
    public func integer(file: StaticString = #fileID, line: UInt = #line) -> Int {
        var out: Int64 = 0
        check(ct_item_int64(handle, &out), "integer", file, line)
        return Int(out)
    }

    /// All elements in row-major order, converted to `Element`'s dtype if they have another.
    public func array<Element: TensorElement>(
        of type: Element.Type = Element.self, file: StaticString = #fileID, line: UInt = #line
    ) -> [Element] {
        let source = dtype == Element.dtype ? self : to(Element.dtype, file: file, line: line)
        let count = source.count
        return [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
            let raw = UnsafeMutableRawPointer(buffer.baseAddress)
            let done = check(
                ct_copy_out(source.handle, raw, Int64(count * MemoryLayout<Element>.stride)), "array", file, line)
            initialized = done ? count : 0
        }
    }

    /// The elements' bytes, in place: a contiguous CPU tensor.
    public func withUnsafeBytes<Result>(
        file: StaticString = #fileID, line: UInt = #line, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        var pointer: UnsafeMutableRawPointer?
        check(ct_data_pointer(handle, &pointer), "withUnsafeBytes", file, line)
        defer { withExtendedLifetime(self) {} }
        return try body(UnsafeRawBufferPointer(start: pointer, count: pointer == nil ? 0 : count * dtype.size))
    }

    /// The elements' bytes, in place and writable: a contiguous CPU tensor.
    public func withUnsafeMutableBytes<Result>(
        file: StaticString = #fileID, line: UInt = #line, _ body: (UnsafeMutableRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        var pointer: UnsafeMutableRawPointer?
        check(ct_data_pointer(handle, &pointer), "withUnsafeMutableBytes", file, line)
        defer { withExtendedLifetime(self) {} }
        return try body(UnsafeMutableRawBufferPointer(start: pointer, count: pointer == nil ? 0 : count * dtype.size))
    }
}

extension Tensor: CustomStringConvertible {
    /// Dtype, shape, device, and the values when there are few.
    public var description: String {
        let head = "Tensor<\(dtype)>\(shape)" + (device == .cpu ? "" : " on \(device)")
        guard count <= 16 else { return head }
        return head + " \(array(of: Double.self))"
    }
}
