import CTorch

// Views, joins and indexing. Views share memory with their source, as in PyTorch.

extension Tensor {
    /// The same elements under another shape; one length may be -1.
    public func reshaped(_ shape: Int..., file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        reshaped(shape, file: file, line: line)
    }

    public func reshaped(_ shape: [Int], file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        let shape = shape.map(Int64.init)
        return Tensor.make("reshaped", file, line) { ct_reshape(handle, shape, Int32(shape.count), $0) }
    }

    /// Repeats dimensions of length 1 without a copy; -1 keeps a length.
    public func expanded(_ shape: Int..., file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        let shape = shape.map(Int64.init)
        return Tensor.make("expanded", file, line) { ct_expand(handle, shape, Int32(shape.count), $0) }
    }

    public func permuted(_ dims: Int..., file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        let dims = dims.map(Int64.init)
        return Tensor.make("permuted", file, line) { ct_permute(handle, dims, Int32(dims.count), $0) }
    }

    public func transposed(_ a: Int = -2, _ b: Int = -1, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("transposed", file, line) { ct_transpose(handle, Int64(a), Int64(b), $0) }
    }

    public func squeezed(_ dim: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("squeezed", file, line) { ct_squeeze(handle, Int64(dim), $0) }
    }

    public func unsqueezed(_ dim: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("unsqueezed", file, line) { ct_unsqueeze(handle, Int64(dim), $0) }
    }

    /// The tensor itself if its memory is dense and in order, otherwise a dense copy.
    public func contiguous(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("contiguous", file, line) { ct_contiguous(handle, $0) }
    }

    /// Elements `range` (every `step`-th) along `dim`; a view.
    public func slice(
        _ dim: Int, _ range: Range<Int>, step: Int = 1, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("slice", file, line) {
            ct_slice(handle, Int64(dim), Int64(range.lowerBound), Int64(range.upperBound), Int64(step), $0)
        }
    }

    /// One index along `dim`; the dimension disappears. A view.
    public func select(_ dim: Int, _ index: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("select", file, line) { ct_select(handle, Int64(dim), Int64(index), $0) }
    }

    /// Row `index` of the first dimension; a view.
    public subscript(index: Int) -> Tensor { select(0, index) }

    /// Rows `range` of the first dimension; a view.
    public subscript(range: Range<Int>) -> Tensor { slice(0, range) }

    /// Copies the entries at `indices` (int64, rank 1) along `dim`.
    public func indexSelect(_ dim: Int, _ indices: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("indexSelect", file, line) { ct_index_select(handle, Int64(dim), indices.handle, $0) }
    }

    /// For each line along `dim`, the elements at `indices`, which is int64 and has the result's shape.
    public func gather(_ dim: Int, _ indices: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("gather", file, line) { ct_gather(handle, Int64(dim), indices.handle, $0) }
    }

    /// A copy in which, along `dim`, the elements at `indices` are those of `source`.
    public func scatter(
        _ dim: Int, _ indices: Tensor, _ source: Tensor, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("scatter", file, line) { ct_scatter(handle, Int64(dim), indices.handle, source.handle, $0) }
    }

    /// Joins along an existing dimension.
    public static func cat(_ tensors: [Tensor], dim: Int = 0, file: StaticString = #fileID, line: UInt = #line)
        -> Tensor
    {
        let handles: [CTTensor?] = tensors.map(\.handle)
        return withExtendedLifetime(tensors) {
            make("cat", file, line) { ct_cat(handles, Int32(handles.count), Int64(dim), false, $0) }
        }
    }

    /// Joins along a new dimension.
    public static func stack(_ tensors: [Tensor], dim: Int = 0, file: StaticString = #fileID, line: UInt = #line)
        -> Tensor
    {
        let handles: [CTTensor?] = tensors.map(\.handle)
        return withExtendedLifetime(tensors) {
            make("stack", file, line) { ct_cat(handles, Int32(handles.count), Int64(dim), true, $0) }
        }
    }

    /// Each entry along `dim` repeated `times` in place: a, a, b, b, …
    public func repeatInterleaved(_ times: Int, dim: Int = 0, file: StaticString = #fileID, line: UInt = #line)
        -> Tensor
    {
        Tensor.make("repeatInterleaved", file, line) { ct_repeat_interleave(handle, Int64(times), Int64(dim), $0) }
    }

    /// The part on and above the `diagonal`; zeros below.
    public func upperTriangle(diagonal: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("upperTriangle", file, line) { ct_tri(handle, Int64(diagonal), true, $0) }
    }

    /// The part on and below the `diagonal`; zeros above.
    public func lowerTriangle(diagonal: Int = 0, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("lowerTriangle", file, line) { ct_tri(handle, Int64(diagonal), false, $0) }
    }

    public func flipped(_ dim: Int, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("flipped", file, line) { ct_flip(handle, Int64(dim), $0) }
    }

    /// Constant padding, last dimension first: `[left, right, top, bottom, …]`, as `torch.nn.functional.pad`.
    public func padded(_ padding: [Int], value: Double = 0, file: StaticString = #fileID, line: UInt = #line) -> Tensor
    {
        let padding = padding.map(Int64.init)
        return Tensor.make("padded", file, line) { ct_pad(handle, padding, Int32(padding.count), value, $0) }
    }

    // MARK: Conversion

    /// The same values in another dtype; the tensor itself if it has that dtype already.
    public func to(_ dtype: DType, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("to", file, line) { ct_to(handle, dtype.rawValue, device.code, false, $0) }
    }

    /// The same values on another device; the tensor itself if it is there already.
    public func to(_ device: Device, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("to", file, line) { ct_to(handle, dtype.rawValue, device.code, false, $0) }
    }

    /// A copy in memory of its own, through which gradients flow.
    public func clone(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("clone", file, line) { ct_to(handle, dtype.rawValue, device.code, true, $0) }
    }

    // MARK: In place

    /// Overwrites the elements with those of `source` (broadcast and converted as needed); records no gradient.
    public func copy(from source: Tensor, file: StaticString = #fileID, line: UInt = #line) {
        check(ct_copy_(handle, source.handle), "copy(from:)", file, line)
    }

    public func fillInPlace(_ value: Double, file: StaticString = #fileID, line: UInt = #line) {
        check(ct_fill_(handle, value), "fillInPlace", file, line)
    }

    /// `self += alpha · other`
    public func addInPlace(_ other: Tensor, alpha: Double = 1, file: StaticString = #fileID, line: UInt = #line) {
        check(ct_add_(handle, other.handle, alpha), "addInPlace", file, line)
    }

    public func scaleInPlace(_ factor: Double, file: StaticString = #fileID, line: UInt = #line) {
        check(ct_mul_(handle, factor), "scaleInPlace", file, line)
    }

    /// Uniform numbers in [low, high) from `generator`.
    public func uniformInPlace(
        _ low: Double, _ high: Double, generator: Generator, file: StaticString = #fileID, line: UInt = #line
    ) {
        check(ct_uniform_(handle, low, high, generator.handle), "uniformInPlace", file, line)
    }

    /// Normal numbers from `generator`.
    public func normalInPlace(
        mean: Double = 0, std: Double = 1, generator: Generator, file: StaticString = #fileID, line: UInt = #line
    ) {
        check(ct_normal_(handle, mean, std, generator.handle), "normalInPlace", file, line)
    }

    /// Applies an activation in the tensor's own memory: inference only, no gradient passes through it.
    package func applyInPlace(_ activation: InPlaceActivation, file: StaticString = #fileID, line: UInt = #line) {
        check(ct_activation_(Int32(activation.operation.rawValue), handle), "applyInPlace", file, line)
    }

    /// Puts the memory of another tensor under this handle, so that optimizers and modules that hold it see the new
    /// values; shapes must agree.
    package func replaceData(with source: Tensor, file: StaticString = #fileID, line: UInt = #line) {
        check(ct_set_data(handle, source.handle), "replaceData", file, line)
    }
}

/// Activations that can overwrite their input.
package enum InPlaceActivation {
    case quickGELU, gelu, geluTanh, relu, silu

    var operation: CTUnary {
        switch self {
        case .quickGELU: CT_QUICK_GELU
        case .gelu: CT_GELU
        case .geluTanh: CT_GELU_TANH
        case .relu: CT_RELU
        case .silu: CT_SILU
        }
    }
}
