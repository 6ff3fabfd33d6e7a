import Foundation
import Testing

@testable import Torch

/// The kernels of our own: each is used where its rule says so, really runs then, gives libtorch's numbers, and stays out where
/// it is switched off.
@Suite struct CPUKernelTests {
    private static let names = KernelExercise.all.map(\.name)

    private static func run(_ exercise: KernelExercise) throws -> (kernel: CPUKernel, runs: Int, error: Double) {
        func kernel() throws -> CPUKernel { try CPUKernel.all().first { $0.name == exercise.name }! }
        let before = try kernel()
        let error = exercise.error()
        let after = try kernel()
        return (after, after.runCount - before.runCount, error)
    }

    /// Runs every exercise; gives a line for each that does not go by the rule.
    /// - Parameter isUsed: what is expected; nil takes the kernel's own word for it.
    fileprivate static func failures(_ isUsed: (String) -> Bool? = { _ in nil }) -> [String] {
        KernelExercise.all.flatMap { exercise -> [String] in
            do {
                let (kernel, runs, error) = try run(exercise)
                var found: [String] = []
                if let wanted = isUsed(kernel.name), wanted != kernel.isUsed {
                    found.append("\(kernel.name) is used: \(kernel.isUsed)")
                }
                // Chosen once, when libtorch is loaded.
                let hasRun = kernel.name == "onednn-products" ? kernel.runCount > 0 : runs > 0
                if hasRun != kernel.isUsed {
                    found.append("\(kernel.name) is used: \(kernel.isUsed), but has run: \(hasRun)")
                }
                if !(error <= exercise.tolerance) { found.append("\(kernel.name) is wrong by \(error)") }
                return found
            } catch {
                return ["\(exercise.name): \(error)"]
            }
        }
    }

    @Test func theListIsTheDocuments() throws {
        let kernels = try CPUKernel.all().map(\.name)
        #expect(kernels == Self.names)
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("docs/cpu.md"), encoding: .utf8)
        let reasons = try #require(text.range(of: "## Measured"))
        let documented = text[..<reasons.lowerBound].split(separator: "\n").filter { $0.hasPrefix("| `") }.flatMap {
            line in
            line.split(separator: "|")[0].matches(of: /`([a-z0-9-]+)`/).map { String($0.1) }
        }
        #expect(Set(documented) == Set(kernels))
        #expect(documented.count == kernels.count, "each stands once in docs/cpu.md")
        // A number and what it was measured on, for each.
        for name in kernels { #expect(text[reasons.upperBound...].contains("`\(name)`"), "\(name)") }
    }

    @Test func whatIsUsedRuns() { #expect(Self.failures() == []) }

    @Test func noneSwitchesAllOff() async {
        await #expect(processExitsWith: .exitCode(0)) {
            setenv("GMAIL_CPU_KERNELS", "none", 1)
            report(CPUKernelTests.failures { _ in false })
        }
    }

    @Test func allButOne() async {
        await #expect(processExitsWith: .exitCode(0)) {
            setenv("GMAIL_CPU_KERNELS", "-few-rows, -quick-gelu ,-winograd,", 1)
            report(CPUKernelTests.failures { ["few-rows", "quick-gelu", "winograd"].contains($0) ? false : nil })
        }
    }

    /// What the rule leaves out on this CPU runs when it is asked for: its numbers are tested on every machine that can.
    @Test func whatIsAskedForRuns() async {
        await #expect(processExitsWith: .exitCode(0)) {
            setenv("GMAIL_CPU_KERNELS", "none,wide-products,packed-layers,packed-weights,lora", 1)
            report(
                CPUKernelTests.failures {
                    ["wide-products", "packed-layers", "packed-weights", "lora"].contains($0) ? nil : false
                })
        }
    }

    @Test func theLastWordCounts() async {
        await #expect(processExitsWith: .exitCode(0)) {
            setenv("GMAIL_CPU_KERNELS", "-lora,all", 1)
            let kernels = try CPUKernel.all()
            exit(kernels.first { $0.name == "lora" }!.isUsed ? 0 : 1)
        }
    }

    @Test func unknownNamesAreAnError() async {
        await #expect(processExitsWith: .exitCode(0)) {
            setenv("GMAIL_CPU_KERNELS", "-winograd,-winogard", 1)
            do {
                try TorchRuntime.load()
                exit(1)
            } catch {
                let text = "\(error)"
                exit(
                    text.hasPrefix(
                        "GMAIL_CPU_KERNELS names 'winogard'; expected all, none, or a list of onednn-products, ")
                        && text.hasSuffix("winograd, each with - before it to switch it off") ? 0 : 2)
            }
        }
    }
}

/// Ends an exit test.
private func report(_ failures: [String]) -> Never {
    FileHandle.standardError.write(Data(failures.joined(separator: "\n").utf8))
    exit(failures.isEmpty ? 0 : 1)
}

/// What a kernel is for, against the same in float64 by libtorch.
struct KernelExercise: Sendable {
    let name: String
    /// Of the largest value.
    let tolerance: Double
    private let body: @Sendable (Generator) -> (got: Tensor, wanted: Tensor)

    /// The largest difference, as a share of the largest value.
    func error() -> Double {
        let (got, wanted) = body(Generator(seed: 17))
        guard got.shape == wanted.shape else { return .infinity }
        return (got.detached().to(.float64) - wanted.detached()).abs().max().item()
            / wanted.detached().abs().max().item()
    }

    private static func wide(_ tensors: Tensor...) -> [Tensor] { tensors.map { $0.to(.float64) } }

    /// In the order of `CPUKernel.all()`.
    static let all: [KernelExercise] = [
        KernelExercise(name: "onednn-products", tolerance: 1e-5) { generator in
            let (a, b) = (Tensor.randn([70, 96], generator: generator), Tensor.randn([96, 50], generator: generator))
            return (a.matmul(b), a.to(.float64).matmul(b.to(.float64)))
        },
        KernelExercise(name: "packed-layers", tolerance: 0x1p-7) { generator in
            let (x, w) = (Tensor.randn([40, 32], generator: generator), Tensor.randn([48, 32], generator: generator))
            let bias = Tensor.randn([48], generator: generator)
            let dtype = [DType.float32, .bfloat16].first { (try? TorchRuntime.packsLayers($0)) == true }
            let wanted = x.to(.float64).matmul(w.to(.float64).transposed()) + bias.to(.float64)
            guard let dtype else { return (Functional.linear(x, weight: w, bias: bias), wanted) }
            return inferenceMode {
                (PackedLinear(weight: w.to(dtype), bias: bias.to(dtype))(x.to(dtype)).to(.float32), wanted)
            }
        },
        KernelExercise(name: "packed-weights", tolerance: 0x1p-7) { generator in
            let (x, w) = (Tensor.randn([40, 32], generator: generator), Tensor.randn([48, 32], generator: generator))
            let wanted = x.to(.float64).matmul(w.to(.float64).transposed())
            let got = packingFrozenWeights {
                [DType.float32, .bfloat16].map { dtype in
                    autocast(dtype == .float32 ? nil : dtype, device: .cpu) {
                        Functional.linear(x, weight: w, bias: nil).to(.float32)
                    }
                }
            }
            return (Tensor.stack(got), Tensor.stack([wanted, wanted]))
        },
        KernelExercise(name: "wide-products", tolerance: 0x1p-7) { generator in
            let a = Tensor.randn([30, 20], generator: generator).to(.bfloat16)
            let b = Tensor.randn([20, 50], generator: generator).to(.bfloat16)
            return (a.matmul(b), a.to(.float64).matmul(b.to(.float64)))
        },
        KernelExercise(name: "head-attention", tolerance: 1e-5) { generator in
            let parts = (0..<3).map { _ in Tensor.randn([2, 9, 32], generator: generator) }
            let heads = parts.map { $0.to(.float64).reshaped(2, 9, 2, 16).transposed(1, 2) }
            let scores = (heads[0].matmul(heads[1].transposed(2, 3)) * 0.25).softmax(-1)
            return (
                Functional.attention(parts[0], parts[1], parts[2], heads: 2),
                scores.matmul(heads[2]).transposed(1, 2).reshaped(2, 9, 32)
            )
        },
        KernelExercise(name: "added-norm", tolerance: 1e-5) { generator in
            let (x, y) = (Tensor.randn([7, 48], generator: generator), Tensor.randn([7, 48], generator: generator))
            let w = Tensor.randn([48], generator: generator)
            let sum = x.to(.float64) + y.to(.float64)
            let centred = sum - sum.mean(-1, keep: true)
            let unit = centred / (centred.square().mean(-1, keep: true) + 1e-5).sqrt()
            return (
                Functional.addedLayerNorm(x, adding: y, weight: w, bias: .zeros([48]), eps: 1e-5).normed,
                unit * w.to(.float64)
            )
        },
        KernelExercise(name: "lora", tolerance: 1e-5) { loRA($0) },
        KernelExercise(name: "low-rank", tolerance: 1e-5) { loRA($0) },
        KernelExercise(name: "quick-gelu", tolerance: 1e-5) { generator in
            let x = Tensor.randn([9, 50], generator: generator)
            return (x.quickGELU(), x.to(.float64) * (x.to(.float64) * 1.702).sigmoid())
        },
        KernelExercise(name: "few-rows", tolerance: 1e-5) { generator in
            let (x, w) = (
                Tensor.randn([3, 256], generator: generator), Tensor.randn([256, 260], generator: generator)
            )
            return (
                inferenceMode { Functional.fewRowsLinear(x, weight: w, isInputFirst: true) },
                x.to(.float64).matmul(w.to(.float64))
            )
        },
        KernelExercise(name: "best-tokens", tolerance: 1e-5) { generator in
            let x = Tensor.randn([3, 101], generator: generator)
            return (x.bestTokens(5).logProbabilities, x.to(.float64).logSoftmax(1).topK(5, dim: 1).values)
        },
        KernelExercise(name: "cached-attention", tolerance: 1e-5) { generator in
            let memory = Tensor.randn([2, 6, 2, 3, 20], generator: generator)  // 2 rows, 6 positions, 3 heads of 20
            let query = Tensor.randn([2, 3, 20], generator: generator)
            let (keys, values) = (memory.select(2, 0).transposed(1, 2), memory.select(2, 1).transposed(1, 2))
            let scores = query.to(.float64).unsqueezed(2).matmul(keys.to(.float64).transposed(2, 3)) * 0.3
            let wanted = scores.softmax(-1).matmul(values.to(.float64)).reshaped(2, 60)
            return inferenceMode {
                guard Functional.hasCachedAttention(query) else {
                    let plain = Functional.attention(query.unsqueezed(2), keys, values, scale: 0.3)
                    return (plain.reshaped(2, 60), wanted)
                }
                return (
                    Functional.cachedAttention(
                        query, memory: [memory], starts: [0], slots: [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1], length: 6,
                        scale: 0.3), wanted
                )
            }
        },
        KernelExercise(name: "cross-entropy", tolerance: 1e-5) { generator in
            let (x, w) = (Tensor.randn([23, 37], generator: generator), Tensor.randn([131, 37], generator: generator))
            let targets = Tensor((0..<23).map { Int64($0 * 97 % 131) })
            return (
                Functional.linearCrossEntropy(x, weight: w, targets: targets),
                Functional.crossEntropy(x.to(.float64).matmul(w.to(.float64).transposed()), targets)
            )
        },
        KernelExercise(name: "gated-gelu", tolerance: 1e-5) { generator in
            let x = Tensor.randn([5, 2 * 33], generator: generator)
            let halves = wide(x.slice(1, 0..<33), x.slice(1, 33..<66))
            return (inferenceMode { Functional.gatedGELU(x) }, halves[0] * halves[1].gelu())
        },
        KernelExercise(name: "group-norm", tolerance: 1e-5) { generator in
            let x = Tensor.randn([2, 12, 5, 7], generator: generator).permuted(0, 2, 3, 1).contiguous().permuted(
                0, 3, 1, 2)
            let (w, b) = (Tensor.randn([12], generator: generator), Tensor.randn([12], generator: generator))
            return (
                inferenceMode { Functional.groupNormSiLU(x, groups: 4, weight: w, bias: b, eps: 1e-5) },
                Functional.groupNorm(
                    x.to(.float64), groups: 4, weight: w.to(.float64), bias: b.to(.float64), eps: 1e-5
                ).silu()
            )
        },
        KernelExercise(name: "winograd", tolerance: 2e-5) { generator in
            let x = Tensor.randn([2, 16, 9, 7], generator: generator)
            let w = Tensor.randn([32, 16, 3, 3], generator: generator)
            let wanted = Functional.conv2d(x.to(.float64), weight: w.to(.float64), padding: 1)
            return inferenceMode {
                WinogradConvolution.fits(weight: w)
                    ? (WinogradConvolution(weight: w, bias: nil, tile: 4)(x), wanted)
                    : (Functional.conv2d(x, weight: w, padding: 1), wanted)
            }
        },
    ]

    /// Two layers of rank 3 on one input.
    private static func loRA(_ generator: Generator) -> (Tensor, Tensor) {
        let x = Tensor.randn([12, 48], generator: generator)
        let layers = (0..<2).map { _ in
            LoRAOperands(
                weight: Tensor.randn([32, 48], generator: generator), bias: nil,
                a: Tensor.randn([3, 48], generator: generator), b: Tensor.randn([32, 3], generator: generator),
                scale: 0.5)
        }
        let wanted = layers.map { layer in
            let update = x.to(.float64).matmul(layer.a.to(.float64).transposed()).matmul(
                layer.b.to(.float64).transposed())
            return x.to(.float64).matmul(layer.weight.to(.float64).transposed()) + update * 0.5
        }
        return (Tensor.stack(Functional.loraLinears(x, layers)), Tensor.stack(wanted))
    }
}
