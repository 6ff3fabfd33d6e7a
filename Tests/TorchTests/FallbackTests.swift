import Foundation
import Testing

@testable import Torch

/// libtorch's own operations, which take over where a kernel of ours does not apply: the same answers.
@Suite struct FallbackTests {
    /// Of equal logits the smaller id comes first, whichever way they are looked through; `excluded` is passed over.
    fileprivate static func ties() -> Bool {
        var values = [Float](repeating: 1, count: 200)
        for index in [150, 20, 77] { values[index] = 3 }
        for index in [199, 0, 100] { values[index] = 2 }
        let logits = Tensor(values + values.reversed(), shape: [2, 200])
        return [logits, logits.to(.float64)].allSatisfy { logits in
            let best = logits.bestTokens(8).ids.array(of: Int64.self)
            let some = logits.bestTokens(5, excluding: [20, 199]).ids.array(of: Int64.self)
            return best == [20, 77, 150, 0, 100, 199, 1, 2, 49, 122, 179, 0, 99, 199, 1, 2]
                && some == [77, 150, 0, 100, 1, 49, 122, 179, 0, 99]
        }
    }

    @Test func equalTokensComeInOrder() async {
        #expect(Self.ties())
        await #expect(processExitsWith: .exitCode(0)) {
            setenv("GMAIL_CPU_KERNELS", "-best-tokens", 1)
            exit(FallbackTests.ties() ? 0 : 1)
        }
    }

    @Test func moreTokensThanThereAreIsRefused() {
        let logits = Tensor.zeros([2, 5])
        for (count, excluded, text) in [
            (4, [1, 2], "4 tokens of 3"), (0, [], "0 tokens of 5"), (1, [5], "excluded token 5 of 5"),
        ] {
            let error = #expect(throws: TorchError.self) {
                try catchingTorchErrors { logits.bestTokens(count, excluding: excluded).ids }
            }
            #expect(error?.message.hasPrefix(text) == true, "\(error?.message ?? "")")
        }
    }

    /// Inputs, weights and biases of several dtypes, for a few rows and for many: what float32 does with the same numbers.
    @Test(arguments: [3, 40], [true, false])
    func dtypesThatDiffer(rows: Int, isInputFirst: Bool) {
        let generator = Generator(seed: 4)
        let x = Tensor.randn([rows, 256], generator: generator)
        let weight = Tensor.randn(isInputFirst ? [256, 300] : [300, 256], generator: generator).to(.bfloat16)
        let bias = Tensor.randn([300], generator: generator)
        let wide = weight.to(.float64)
        let wanted = x.to(.float64).matmul(isInputFirst ? wide : wide.transposed()) + bias.to(.float64)
        func difference(_ a: Tensor) -> Double { (a.to(.float64) - wanted).abs().max().item() }
        inferenceMode {
            let got = Functional.fewRowsLinear(x, weight: weight, isInputFirst: isInputFirst, bias: bias)
            #expect(got.dtype == .float32)
            #expect(difference(got) < 1e-3)
            let narrow = Functional.fewRowsLinear(
                x, weight: weight, isInputFirst: isInputFirst, bias: bias.to(.bfloat16))
            #expect(narrow.dtype == .float32 && difference(narrow) < 0.03)
            let automatic = autocast(.bfloat16, device: .cpu) {
                Functional.fewRowsLinear(x, weight: weight.to(.float32), isInputFirst: isInputFirst, bias: bias)
            }
            #expect(automatic.dtype == .bfloat16 && difference(automatic) < 0.6)
        }
    }
}
