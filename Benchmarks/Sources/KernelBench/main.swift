// What each kernel of our own gains over libtorch's way: the same operation in processes with the kernel and without it, in turn.
//
//   KernelBench [ROUNDS]         a row for docs/cpu.md for every kernel that this CPU can run
//   KernelBench time NAME        seconds of the operation in this process, the quickest of many (what the rows are made of)
//
// Shapes are those of ViT-B/32 and GPT-2 small, and of Stable Diffusion 2's denoiser at a quarter of its side.

import Foundation
import Torch

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.first == "time", arguments.count == 2 {
    print(try quickest(arguments[1]))
    exit(0)
}

let rounds = arguments.first.flatMap { Int($0) } ?? 3
print("| name | operation | with | without | ratio |\n|---|---|---|---|---|")
for operation in operations {
    var (with, without): ([Double], [Double]) = ([], [])
    var isUsed = true
    for _ in 0..<rounds {
        // Asked for by name, so that what the rule leaves out here is measured too.
        guard let on = try timed(operation.name, kernels: operation.name) else {
            isUsed = false
            break
        }
        with.append(on)
        without.append(try timed(operation.name, kernels: "-\(operation.name)", mustUse: false) ?? .nan)
    }
    guard isUsed else {
        print("| `\(operation.name)` | \(operation.shape) | not on this CPU | | |")
        continue
    }
    let (a, b) = (median(with), median(without))
    print("| `\(operation.name)` | \(operation.shape) | \(text(a)) | \(text(b)) | \(String(format: "%.2f", b / a)) |")
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
func text(_ seconds: Double) -> String {
    String(format: seconds < 1e-3 ? "%.0f µs" : "%.2f ms", seconds * (seconds < 1e-3 ? 1e6 : 1e3))
}

/// Runs this program anew; nil where the kernel is not used although it was asked for.
func timed(_ name: String, kernels: String, mustUse: Bool = true) throws -> Double? {
    let process = Process()
    process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = ["time", name]
    process.environment = ProcessInfo.processInfo.environment.merging(["GMAIL_CPU_KERNELS": kernels]) { $1 }
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let words = output.split(separator: " ")
    guard process.terminationStatus == 0, words.count == 2, let time = Double(words[0]) else {
        fatalError("\(name): \(output)")
    }
    return mustUse && words[1].hasPrefix("false") ? nil : time
}

/// Seconds, and whether the kernel is used.
func quickest(_ name: String) throws -> String {
    guard let operation = operations.first(where: { $0.name == name }) else { fatalError("no operation '\(name)'") }
    try TorchRuntime.load()
    try TorchRuntime.keepFreedMemory()
    let body = operation.make(Generator(seed: 3))
    let clock = ContinuousClock()
    var best = Double.infinity
    let start = clock.now
    var turns = 0
    while turns < 3 || clock.now - start < .seconds(0.5) {
        let time = clock.measure(body).components
        best = min(best, Double(time.seconds) + Double(time.attoseconds) * 1e-18)
        turns += 1
    }
    let isUsed = try CPUKernel.all().first { $0.name == name }?.isUsed ?? false
    return "\(best) \(isUsed)"
}
