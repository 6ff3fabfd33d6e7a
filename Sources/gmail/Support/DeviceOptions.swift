import ArgumentParser
import Torch

/// How many CPU threads an operation of libtorch uses.
struct ThreadOptions: ParsableArguments {
    /// Far beyond any machine, because a typing mistake should not start a million threads.
    static let maximum = 1024

    @Option(help: "CPU threads of one operation; 0 is one per core.")
    var threads = 0

    func validate() throws {
        guard (0...Self.maximum).contains(threads) else {
            throw ValidationError("--threads is \(threads), expected 0 (one per core) to \(Self.maximum)")
        }
    }

    /// Loads libtorch and sets the number of its threads.
    func apply() throws {
        try TorchRuntime.load()
        if threads > 0 { TorchRuntime.threadCount = threads }
    }
}

/// On which device a model runs, for every command that runs one.
struct DeviceOptions: ParsableArguments {
    @Option(help: "auto, cpu, cuda or cuda:N; auto is the first CUDA device when there is one.")
    var device = "auto"

    @OptionGroup var threads: ThreadOptions

    /// Loads libtorch and resolves `auto` on this machine.
    func resolve() throws -> Device {
        try threads.apply()
        let device = try Device(parsing: device)
        if device == .cpu { try TorchRuntime.keepFreedMemory() }
        return device
    }
}
