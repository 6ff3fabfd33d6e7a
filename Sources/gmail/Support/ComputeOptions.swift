import ArgumentParser
import Torch

/// On which device and in which precision a model runs, for commands that only use models.
struct ComputeOptions: ParsableArguments {
    @Option(help: "Precision of the model; auto is bfloat16 where the device multiplies it natively, else float32.")
    var dtype = Precision.auto

    @OptionGroup var device: DeviceOptions

    func validate() throws {
        guard dtype != .float16 else {
            throw ValidationError(
                "--dtype is float16, expected auto, float32 or bfloat16: float16 is for gmail generate")
        }
    }

    /// Loads libtorch and resolves `auto` on this machine.
    func resolve() throws -> (device: Device, dtype: DType) {
        let device = try device.resolve()
        return (device, try dtype.dtype(on: device))
    }
}

extension Precision: ExpressibleByArgument {}
