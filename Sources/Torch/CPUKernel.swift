import CTorch

/// A kernel of our own for CPUs: whether this process uses it, and how often it has run.
///
/// The kind of CPU and `GMAIL_CPU_KERNELS` decide which are used, never a measurement, so that equal commands on equal
/// machines with equal threads give equal bits. docs/cpu.md lists the kernels with the reason for each.
public struct CPUKernel: Sendable, Equatable {
    public let name: String
    /// Whether it runs where it applies. False where the CPU lacks its instructions, where its rule prefers libtorch's
    /// operation, or where `GMAIL_CPU_KERNELS` switches it off.
    public let isUsed: Bool
    /// How often it has run since the process began.
    public let runCount: Int

    /// All of them, in a fixed order.
    /// - Throws: `TorchError` when libtorch cannot be loaded, or when `GMAIL_CPU_KERNELS` names an unknown kernel.
    public static func all() throws -> [CPUKernel] {
        var kernels: [CPUKernel] = []
        while true {
            var name: UnsafePointer<CChar>?
            var isUsed = false
            var count: Int64 = 0
            try throwing(ct_cpu_kernel(Int32(kernels.count), &name, &isUsed, &count))
            guard let name else { return kernels }
            kernels.append(CPUKernel(name: String(cString: name), isUsed: isUsed, runCount: Int(count)))
        }
    }

    /// The kind of CPU and the kernels used on it, in one line for sidecars and manifests: two runs with different
    /// lines may round differently.
    /// - Throws: as `all()`.
    public static func summary() throws -> String {
        let used = try all().filter(\.isUsed).map(\.name)
        return
            "\(try TorchRuntime.cpuDescription()): \(used.isEmpty ? "no kernels of our own" : used.joined(separator: ", "))"
    }

    /// Whether the kernel of this name is used; traps for an unknown name.
    static func isUsed(_ name: String) -> Bool {
        guard let kernel = try? all().first(where: { $0.name == name }) else {
            preconditionFailure("there is no kernel '\(name)', or no libtorch")
        }
        return kernel.isUsed
    }
}

extension TorchRuntime {
    /// The kind of CPU, as far as the choice of kernels depends on it: "an Intel CPU with AMX".
    public static func cpuDescription() throws -> String {
        var out: UnsafePointer<CChar>?
        try throwing(ct_cpu_description(&out))
        return out.map(String.init(cString:)) ?? ""
    }

    /// Whether inference of linear layers in this dtype is quicker through `PackedLinear` on this kind of CPU.
    package static func packsLayers(_ dtype: DType) throws -> Bool {
        var out = false
        try throwing(ct_packs_layers(dtype.rawValue, &out))
        return out
    }
}
