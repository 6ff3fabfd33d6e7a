import CTorch
import Foundation

/// The loaded libtorch: what it is, and its process-wide settings.
public enum TorchRuntime {
    /// Opens libtorch now, so that its absence is a thrown error that names the command to run, and not a trap later.
    ///
    /// Everything that throws and makes a tensor (above all, opening a model) calls this first. Once libtorch is loaded
    /// it costs nothing.
    /// - Throws: `TorchError` of kind `.notLoaded`, which names the places that were searched.
    public static func load() throws {
        try throwing(ct_load())
    }

    /// Where the shim was loaded from.
    public static var path: String { String(cString: ct_loaded_path()) }

    /// libtorch's version, such as `2.13.0`.
    public static func version() throws -> String { try text(ct_torch_version) }

    /// The instruction set that libtorch's own kernels use: `DEFAULT`, `AVX2`, `AVX512`.
    public static func cpuCapability() throws -> String { try text(ct_cpu_capability) }

    /// libtorch's build description, several lines.
    public static func buildConfiguration() throws -> String { try text(ct_build_configuration) }

    /// Whether the CPU multiplies bfloat16 natively (avx512_bf16); without that, float32 is at least as fast.
    public static func cpuMultipliesBFloat16() throws -> Bool {
        var out = false
        try throwing(ct_cpu_bf16_is_native(&out))
        return out
    }

    /// Threads that one operation may use.
    public static var threadCount: Int {
        get {
            var out: Int32 = 0
            check(ct_get_num_threads(&out), "threadCount", #fileID, #line)
            return Int(out)
        }
        set { check(ct_set_num_threads(Int32(newValue)), "threadCount", #fileID, #line) }
    }

    /// Keeps the memory of freed tensors in the process for the next ones instead of returning it to the kernel each
    /// time.
    ///
    /// It is for programs that run a model over many batches: otherwise every activation of some tens of MiB costs page
    /// faults. The process then keeps its peak memory until it ends.
    public static func keepFreedMemory() throws {
        try throwing(ct_keep_freed_memory())
    }

    /// Refuses or replaces algorithms whose result may differ from run to run.
    public static func setDeterministic(_ on: Bool) throws {
        try throwing(ct_set_deterministic(on))
    }

    private static func text(_ call: (UnsafeMutablePointer<CChar>?, Int64) -> CTStatus) throws -> String {
        var buffer = [CChar](repeating: 0, count: 16384)
        try throwing(call(&buffer, Int64(buffer.count)))
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
