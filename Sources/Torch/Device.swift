import CTorch

/// Where a tensor lives.
public enum Device: Hashable, Sendable {
    case cpu
    case cuda(Int)

    init(code: Int32) {
        self = code == 0 ? .cpu : .cuda(Int(code) - 0x100)
    }

    var code: Int32 {
        switch self {
        case .cpu: 0
        case .cuda(let index): 0x100 + Int32(index)
        }
    }

    /// Reads `cpu`, `cuda`, `cuda:1`, or `auto` (the first CUDA device when there is one, else the CPU).
    /// - Throws: `TorchError` naming the accepted words, or the number of devices when the index is beyond it.
    public init(parsing text: String) throws {
        let count = try Device.cudaDeviceCount()
        switch text {
        case "auto":
            self = count > 0 ? .cuda(0) : .cpu
        case "cpu":
            self = .cpu
        default:
            let index = text == "cuda" ? 0 : text.hasPrefix("cuda:") ? Int(text.dropFirst(5)) ?? -1 : -1
            guard index >= 0 else {
                throw TorchError(
                    kind: .argument, message: "unknown device '\(text)': expected auto, cpu, cuda or cuda:N")
            }
            guard index < count else {
                throw TorchError(
                    kind: .argument,
                    message: "device '\(text)' asked for, but libtorch sees \(count) CUDA devices; "
                        + (count == 0
                            ? "use cpu, or build the shim against a CUDA libtorch (docs/cuda.md)"
                            : "use cuda:0 to cuda:\(count - 1)"))
            }
            self = .cuda(index)
        }
    }

    /// CUDA devices that the loaded libtorch can use; 0 for a CPU build or without a driver.
    public static func cudaDeviceCount() throws -> Int {
        var count: Int32 = 0
        try throwing(ct_cuda_device_count(&count))
        return Int(count)
    }

    /// Waits until the device has finished everything queued; returns at once on the CPU. Call it before reading a clock.
    public func synchronize(file: StaticString = #fileID, line: UInt = #line) {
        check(ct_synchronize(code), "synchronize", file, line)
    }

    /// Bytes that libtorch's caching allocator holds in tensors now and held at most; nil on the CPU.
    public func memory() throws -> (allocated: Int, peak: Int)? {
        guard self != .cpu else { return nil }
        var allocated: Int64 = 0
        var peak: Int64 = 0
        try throwing(ct_device_memory(code, &allocated, &peak))
        return (Int(allocated), Int(peak))
    }
}

extension Device: CustomStringConvertible {
    public var description: String {
        switch self {
        case .cpu: "cpu"
        case .cuda(let index): "cuda:\(index)"
        }
    }
}
