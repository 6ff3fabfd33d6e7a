/// The number format in which a model computes.
///
/// Trained weights stay float32. A narrower format means autocast, which casts the operands of products and keeps sums,
/// norms and losses wide.
public enum Precision: String, Sendable, Codable, CaseIterable {
    /// bfloat16 where the device multiplies it natively, else float32.
    case auto
    case float32
    case bfloat16
    /// Only for generators: it overflows where bfloat16 does not.
    case float16

    /// The dtype that this means on a device.
    /// - Throws: `TorchError` when libtorch cannot be asked whether the CPU multiplies bfloat16.
    public func dtype(on device: Device) throws -> DType {
        switch self {
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .float16: .float16
        case .auto: try device != .cpu || TorchRuntime.cpuMultipliesBFloat16() ? .bfloat16 : .float32
        }
    }
}

/// Runs `body` in a number format: under autocast, or unchanged in float32.
public func computing<Result>(in dtype: DType, on device: Device, _ body: () throws -> Result) rethrows -> Result {
    dtype == .float32 ? try body() : try autocast(dtype, device: device, body)
}
