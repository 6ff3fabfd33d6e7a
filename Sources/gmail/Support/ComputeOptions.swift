import ArgumentParser
import Torch

/// Where and in which precision a model runs; shared by every command that runs one.
struct ComputeOptions: ParsableArguments {
    enum Precision: String, ExpressibleByArgument, CaseIterable {
        case auto, float32, bfloat16
    }

    @Option(help: "Precision of the model; auto is bfloat16 where the device multiplies it natively, else float32.")
    var dtype = Precision.auto

    @Option(help: "auto, cpu, cuda or cuda:N; auto is the first CUDA device when there is one.")
    var device = "auto"

    @Option(help: "CPU threads of one operation; 0 is one per core.")
    var threads = 0

    func validate() throws {
        guard threads >= 0 else { throw ValidationError("--threads is \(threads), expected 0 or more") }
    }

    /// Loads libtorch and settles what `auto` means on this machine.
    func resolve() throws -> (device: Device, dtype: DType) {
        try TorchRuntime.load()
        if threads > 0 { TorchRuntime.threadCount = threads }
        let device = try Device(parsing: device)
        if device == .cpu { try TorchRuntime.keepFreedMemory() }
        switch dtype {
        case .float32: return (device, .float32)
        case .bfloat16: return (device, .bfloat16)
        case .auto: return (device, try Self.preferredDType(device))
        }
    }

    static func preferredDType(_ device: Device) throws -> DType {
        try device != .cpu || TorchRuntime.cpuMultipliesBFloat16() ? .bfloat16 : .float32
    }
}
