import CTorch

extension Tensor {
    /// A tensor with memory that is not set; write it before reading it.
    public static func empty(
        _ shape: [Int], dtype: DType = .float32, device: Device = .cpu, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        let shape = shape.map(Int64.init)
        return make("empty", file, line) { ct_empty(shape, Int32(shape.count), dtype.rawValue, device.code, $0) }
    }

    public static func full(
        _ shape: [Int], _ value: Double, dtype: DType = .float32, device: Device = .cpu, file: StaticString = #fileID,
        line: UInt = #line
    ) -> Tensor {
        let shape = shape.map(Int64.init)
        return make("full", file, line) { ct_full(shape, Int32(shape.count), value, dtype.rawValue, device.code, $0) }
    }

    public static func zeros(
        _ shape: [Int], dtype: DType = .float32, device: Device = .cpu, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        full(shape, 0, dtype: dtype, device: device, file: file, line: line)
    }

    public static func ones(
        _ shape: [Int], dtype: DType = .float32, device: Device = .cpu, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        full(shape, 1, dtype: dtype, device: device, file: file, line: line)
    }

    /// A number as a tensor of rank 0.
    public static func scalar(_ value: Double, dtype: DType = .float32, device: Device = .cpu) -> Tensor {
        full([], value, dtype: dtype, device: device)
    }

    /// `start, start + step, …` up to but not including `end`.
    public static func arange(
        _ start: Int = 0, _ end: Int, step: Int = 1, dtype: DType = .int64, device: Device = .cpu,
        file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        make("arange", file, line) {
            ct_arange(Double(start), Double(end), Double(step), dtype.rawValue, device.code, $0)
        }
    }

    /// Standard normal numbers, drawn from `generator` and from nowhere else.
    public static func randn(
        _ shape: [Int], dtype: DType = .float32, generator: Generator, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        let shape = shape.map(Int64.init)
        return make("randn", file, line) {
            ct_randn(shape, Int32(shape.count), dtype.rawValue, generator.device.code, generator.handle, $0)
        }
    }

    /// Uniform numbers in [0, 1), drawn from `generator`.
    public static func rand(
        _ shape: [Int], dtype: DType = .float32, generator: Generator, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        let shape = shape.map(Int64.init)
        return make("rand", file, line) {
            ct_rand(shape, Int32(shape.count), dtype.rawValue, generator.device.code, generator.handle, $0)
        }
    }

    /// A random order of `0..<n`, int64, drawn from `generator` (a CPU generator).
    public static func randperm(_ n: Int, generator: Generator, file: StaticString = #fileID, line: UInt = #line)
        -> Tensor
    {
        make("randperm", file, line) { ct_randperm(Int64(n), generator.handle, $0) }
    }

    /// Copies numbers into a new CPU tensor.
    public convenience init<Element: TensorElement>(
        _ values: [Element], shape: [Int]? = nil, file: StaticString = #fileID, line: UInt = #line
    ) {
        let shape = shape ?? [values.count]
        precondition(
            shape.reduce(1, *) == values.count, "\(values.count) values for a tensor of shape \(shape)", file: file,
            line: line)
        let made = values.withUnsafeBytes {
            Tensor.copying($0, shape: shape, dtype: Element.dtype, file: file, line: line)
        }
        self.init(sharing: made)
    }

    /// Copies raw bytes into a new CPU tensor; `bytes` must hold exactly the elements of `shape`.
    public static func copying(
        _ bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        precondition(
            bytes.count == shape.reduce(1, *) * dtype.size,
            "\(bytes.count) bytes for a \(dtype) tensor of shape \(shape)", file: file, line: line)
        let shape = shape.map(Int64.init)
        return make("copying", file, line) {
            ct_from_bytes(bytes.baseAddress, shape, Int32(shape.count), dtype.rawValue, $0)
        }
    }

    /// A CPU tensor over memory that `owner` keeps alive (a mapped file), without a copy.
    /// - Parameter bytes: must stay valid and unmoved while `owner` lives; the tensor holds `owner` until it is freed
    ///   itself.
    public static func borrowing(
        _ bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType, owner: AnyObject, file: StaticString = #fileID,
        line: UInt = #line
    ) -> Tensor {
        precondition(
            bytes.count == shape.reduce(1, *) * dtype.size,
            "\(bytes.count) bytes for a \(dtype) tensor of shape \(shape)", file: file, line: line)
        guard bytes.count > 0 else { return empty(shape, dtype: dtype, file: file, line: line) }
        let shape = shape.map(Int64.init)
        let context = Unmanaged.passRetained(owner)
        return make("borrowing", file, line) {
            let status = ct_from_borrowed(
                UnsafeMutableRawPointer(mutating: bytes.baseAddress), shape, Int32(shape.count), dtype.rawValue,
                { Unmanaged<AnyObject>.fromOpaque($0!).release() }, context.toOpaque(), $0)
            if status != CT_OK { context.release() }
            return status
        }
    }

    /// A second handle on the same tensor.
    convenience init(sharing other: Tensor) {
        var out: CTTensor?
        let status = ct_share(other.handle, &out)
        guard status == CT_OK, let out else { fatalError("libtorch: \(TorchError.current(status))") }
        self.init(owning: out)
    }
}
