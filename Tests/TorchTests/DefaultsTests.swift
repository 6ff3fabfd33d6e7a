import Testing

@testable import Torch

/// Bounds and defaults that no model's parity would notice.
@Suite struct DefaultsTests {
    /// Short vectors are normalised too; only nothing stays nothing.
    @Test func normalisation() {
        let x = Tensor([3e-6, 4e-6, 0, 0, -3, 4] as [Float], shape: [3, 2]).normalized()
        for (a, b) in zip(x.array(of: Float.self), [0.6, 0.8, 0, 0, -0.6, 0.8] as [Float]) {
            #expect(abs(a - b) < 1e-6)
        }
    }

    @Test func devices() throws {
        let count = try Device.cudaDeviceCount()
        #expect(try Device(parsing: "auto") == (count > 0 ? .cuda(0) : .cpu))
        #expect(try Device(parsing: "cpu") == .cpu)
        for text in ["gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", ""] {
            let error = #expect(throws: TorchError.self) { try Device(parsing: text) }
            #expect(error?.message == "unknown device '\(text)': expected auto, cpu, cuda or cuda:N")
        }
        let error = #expect(throws: TorchError.self) { try Device(parsing: "cuda:\(count)") }
        #expect(
            error?.message.hasPrefix("device 'cuda:\(count)' asked for, but libtorch sees \(count) CUDA devices; ")
                == true)
    }

    @Test func precisions() throws {
        let isNative = try TorchRuntime.cpuMultipliesBFloat16()
        #expect(try Precision.auto.dtype(on: .cpu) == (isNative ? .bfloat16 : .float32))
        #expect(try Precision.auto.dtype(on: .cuda(0)) == .bfloat16)
        for (precision, dtype) in [(Precision.float32, DType.float32), (.bfloat16, .bfloat16), (.float16, .float16)] {
            #expect(try precision.dtype(on: .cpu) == dtype)
        }
    }

    /// A scope within one that has failed already ends without waking the outer one.
    @Test func nestedScopes() {
        var ranks: [Int] = []
        let error = #expect(throws: TorchError.self) {
            try catchingTorchErrors {
                _ = Tensor.zeros([2, 3]).matmul(Tensor.zeros([2, 3]))
                ranks.append(try catchingTorchErrors { Tensor.ones([5]).rank })
                ranks.append(Tensor.ones([5]).rank)
            }
        }
        #expect(error?.operation == "matmul")
        #expect(ranks == [1, 0])
    }

    @Test func memoryIsNamed() {
        let error = #expect(throws: TorchError.self) {
            try requiringMemory(for: "the model 'a'") { Tensor.empty([1 << 40, 1 << 10]) }
        }
        #expect(error?.kind == .outOfMemory)
        #expect("\(error!)".hasPrefix("not enough memory for the model 'a': "))
        let inner = #expect(throws: TorchError.self) {
            try requiringMemory(for: "outer") {
                try requiringMemory(for: "inner") { Tensor.empty([1 << 40, 1 << 10]) }
            }
        }
        #expect(inner?.purpose == "inner")
        let other = #expect(throws: TorchError.self) {
            try requiringMemory(for: "a product") { Tensor.zeros([2, 3]).matmul(Tensor.zeros([2, 3])) }
        }
        #expect(other?.kind == .operation && other?.purpose == nil)
    }
}
