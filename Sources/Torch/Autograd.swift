import CTorch

extension Tensor {
    /// Whether operations on it record gradients.
    public var requiresGrad: Bool {
        get {
            var out = false
            check(ct_requires_grad(handle, &out), "requiresGrad", #fileID, #line)
            return out
        }
        set { check(ct_set_requires_grad(handle, newValue), "requiresGrad", #fileID, #line) }
    }

    /// The gradient that `backward` has accumulated; nil before the first.
    public var grad: Tensor? {
        get {
            var out: CTTensor?
            check(ct_grad(handle, &out), "grad", #fileID, #line)
            return out.map(Tensor.init(owning:))
        }
        set { check(ct_set_grad(handle, newValue?.handle), "grad", #fileID, #line) }
    }

    /// The same values cut off from the graph.
    public func detached(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("detached", file, line) { ct_detach(handle, $0) }
    }

    /// Adds the gradient of this tensor to every leaf that requires one.
    /// - Parameters:
    ///   - gradient: of this tensor's shape; nil for a scalar, where it is 1.
    ///   - retainGraph: keeps the graph for a second pass.
    public func backward(
        gradient: Tensor? = nil, retainGraph: Bool = false, file: StaticString = #fileID, line: UInt = #line
    ) {
        check(ct_backward(handle, gradient?.handle, retainGraph), "backward", file, line)
    }
}

/// Runs `body` without recording gradients on this thread.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
    try withGradients(false, body)
}

/// Runs `body` with recording switched on or off on this thread, and restores what was set before.
public func withGradients<Result>(_ enabled: Bool, _ body: () throws -> Result) rethrows -> Result {
    var previous = true
    check(ct_set_grad_enabled(enabled, &previous), "withGradients", #fileID, #line)
    defer {
        var ignored = true
        check(ct_set_grad_enabled(previous, &ignored), "withGradients", #fileID, #line)
    }
    return try body()
}

/// Runs `body` in libtorch's inference mode: no gradients, no version counters; the tensors made inside can never be
/// trained through afterwards.
public func inferenceMode<Result>(_ body: () throws -> Result) rethrows -> Result {
    var guardHandle: CTGuard?
    check(ct_inference_guard_new(&guardHandle), "inferenceMode", #fileID, #line)
    defer { check(ct_inference_guard_free(guardHandle), "inferenceMode", #fileID, #line) }
    return try body()
}

/// Runs `body` with matrix products in `dtype` and sensitive operations in float32, as `torch.autocast` chooses them.
/// - Parameter dtype: `.bfloat16` or `.float16`; nil switches autocast off inside an enabled region.
public func autocast<Result>(_ dtype: DType?, device: Device, _ body: () throws -> Result) rethrows -> Result {
    var guardHandle: CTGuard?
    check(
        ct_autocast_enter(device.code, (dtype ?? .bfloat16).rawValue, dtype != nil, &guardHandle), "autocast", #fileID,
        #line)
    defer { check(ct_autocast_exit(guardHandle), "autocast", #fileID, #line) }
    return try body()
}

/// Runs `body` with the frozen weights of linear layers packed once, for the CPU's products of forward and backward
/// passes, and kept as long as the weights stay unchanged. It is meant for training steps through a model that is
/// frozen almost entirely.
///
/// The packed copies take twice the memory of the weights. The numbers differ from those of unpacked products by
/// rounding. Where packed products are not known to be the fastest, nothing changes.
public func packingFrozenWeights<Result>(_ body: () throws -> Result) rethrows -> Result {
    var guardHandle: CTGuard?
    check(ct_packing_enter(&guardHandle), "packingFrozenWeights", #fileID, #line)
    defer { check(ct_packing_exit(guardHandle), "packingFrozenWeights", #fileID, #line) }
    return try body()
}
