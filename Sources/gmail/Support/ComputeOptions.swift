import ArgumentParser
import Torch

/// Where and in which precision a model runs; shared by the commands that only read with one.
struct ComputeOptions: ParsableArguments {
    enum Precision: String, ExpressibleByArgument, CaseIterable {
        case auto, float32, bfloat16
    }

    @Option(help: "Precision of the model; auto is bfloat16 where the device multiplies it natively, else float32.")
    var dtype = Precision.auto

    @OptionGroup var device: DeviceOptions

    /// Loads libtorch and settles what `auto` means on this machine.
    func resolve() throws -> (device: Device, dtype: DType) {
        let device = try device.resolve()
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
