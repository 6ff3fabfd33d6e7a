import CTorch

/// A kernel of our own for CPUs: whether this process uses it, and how often it has run.
///
/// Which are used follows from what the CPU is and from `GMAIL_CPU_KERNELS`, never from a measurement: equal commands on equal
/// machines with equal threads give equal bits. docs/cpu.md lists the kernels with the reason for each.
public struct CPUKernel: Sendable, Equatable {
    public let name: String
    /// Whether it runs where it applies; false where the CPU lacks its instructions, its rule prefers libtorch's way, or
    /// `GMAIL_CPU_KERNELS` switches it off.
    public let isUsed: Bool
    /// Since the process began.
    public let runCount: Int

    /// All of them, in a fixed order.
    /// - Throws: `TorchError` when libtorch cannot be loaded, or `GMAIL_CPU_KERNELS` names what there is not.
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

    /// What this CPU is and which kernels are used on it, in one line: for sidecars and manifests, since two runs whose lines
    /// differ may round otherwise.
    /// - Throws: as `all()`.
    public static func summary() throws -> String {
        let used = try all().filter(\.isUsed).map(\.name)
        return
            "\(try TorchRuntime.cpuDescription()): \(used.isEmpty ? "no kernels of our own" : used.joined(separator: ", "))"
    }

    /// Whether the kernel of this name is used; traps for a name that there is not.
    static func isUsed(_ name: String) -> Bool {
        guard let kernel = try? all().first(where: { $0.name == name }) else {
            preconditionFailure("there is no kernel '\(name)', or no libtorch")
        }
        return kernel.isUsed
    }
}

extension TorchRuntime {
    /// What the CPU is, as far as the choice of kernels depends on it: "an Intel CPU with AMX".
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
