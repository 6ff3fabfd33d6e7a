import ArgumentParser
import Files
import Foundation
import Images
import Terminal
import Torch
import TorchNN

/// `gmail doctor`: shows what this machine has, what the commands would choose on it and why, and what is missing.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Show versions, devices, the precision and kernels that would be chosen, caches, and what is missing."
    )

    func run() throws {
        var problems: [String] = []
        func row(_ name: String, _ value: String) throws {
            try Terminal.output("\(name.padding(toLength: 20, withPad: " ", startingAt: 0))\(value)")
        }
        let features = Self.cpuFeatures()
        try row("gmail", Gmail.configuration.version)
        try row("cpu", "\(features.model), \(ProcessInfo.processInfo.activeProcessorCount) cores")
        try row(
            "cpu features", features.flags.isEmpty ? "none of avx2, avx512, amx" : features.flags.joined(separator: " ")
        )
        try row("memory", String(format: "%.1f GiB", Double(ProcessInfo.processInfo.physicalMemory) / 1_073_741_824))
        try row(
            "image formats",
            ImageFormat.allCases.filter { $0.missingDecoder == nil }.map(\.rawValue).joined(separator: " "))
        for missing in ImageFormat.allCases.compactMap(\.missingDecoder) { try row("", missing) }
        do {
            try TorchRuntime.load()
            try row("libtorch", "\(TorchRuntime.version()), kernels for \(try TorchRuntime.cpuCapability())")
            try row("shim", TorchRuntime.path)
            try row("threads", "\(TorchRuntime.threadCount)")
            let devices = try Device.cudaDeviceCount()
            try row("cuda devices", devices == 0 ? "none (a CPU libtorch, or no driver)" : "\(devices)")
            let isNative = try TorchRuntime.cpuMultipliesBFloat16()
            let device: Device = devices > 0 ? .cuda(0) : .cpu
            let dtype = try Precision.auto.dtype(on: device)
            let why =
                device != .cpu
                ? "the GPU multiplies it natively"
                : isNative
                    ? "the CPU has avx512_bf16"
                    : "the CPU has no avx512_bf16, so bfloat16 would save memory but no time"
            try row("--device auto", "\(device)")
            try row("--dtype auto", "\(dtype): \(why)")
            for dtype in isNative ? [DType.float32, .bfloat16] : [.float32] {
                try row("linear layers", try LinearKernel.choose(dtype: dtype).reason)
            }
            let kernels = try CPUKernel.all()
            func names(_ isUsed: Bool) -> String {
                kernels.filter { $0.isUsed == isUsed }.map(\.name).joined(separator: " ")
            }
            try row("kernels used", names(true))
            try row("kernels not used", names(false))
        } catch {
            try row("libtorch", "missing")
            problems.append("\(error)")
        }
        try row(
            "cache", "\(CacheFolder.path)\(FileManager.default.fileExists(atPath: CacheFolder.path) ? "" : " (empty)")")
        for problem in problems { try Terminal.output("\nmissing: \(problem)") }
        if !problems.isEmpty { throw ExitCode(1) }
    }

    private static func cpuFeatures() -> (model: String, flags: [String]) {
        // Files in /proc have no size; Foundation reads them to the end all the same.
        let text =
            FileManager.default.contents(atPath: "/proc/cpuinfo").map { String(decoding: $0, as: UTF8.self) } ?? ""
        func value(_ key: String) -> String {
            text.split(separator: "\n").first { $0.hasPrefix(key) }
                .flatMap { $0.split(separator: ":", maxSplits: 1).last }
                .map { $0.trimmingCharacters(in: .whitespaces) } ?? ""
        }
        let interesting = [
            "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8",
        ]
        let present = Set(value("flags").split(separator: " ").map(String.init))
        let model = value("model name")
        return (model.isEmpty ? "unknown" : model, interesting.filter(present.contains))
    }
}
