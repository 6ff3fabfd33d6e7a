import Foundation
import Testing

@testable import Torch

@Suite struct TensorTests {
    @Test func shapesAndValues() {
        let x = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
        #expect(x.shape == [2, 3])
        #expect(x.strides == [3, 1])
        #expect(x.dtype == .float32)
        #expect(x.transposed().shape == [3, 2])
        #expect(!x.transposed().isContiguous)
        #expect(x.transposed().array(of: Float.self) == [1, 4, 2, 5, 3, 6])
        #expect(x[1].array(of: Float.self) == [4, 5, 6])
        #expect(x.slice(1, 0..<3, step: 2).array(of: Float.self) == [1, 3, 4, 6])
        #expect(x.sum(0).array(of: Float.self) == [5, 7, 9])
        #expect(x.mean().item() == 3.5)
        #expect((x .> 2).array(of: Bool.self) == [false, false, true, true, true, true])
        #expect((10 - x).array(of: Double.self) == [9, 8, 7, 6, 5, 4])
        #expect((12 / x).array(of: Double.self) == [12, 6, 4, 3, 2.4, 2].map { Double(Float($0)) })
    }

    @Test func everyDTypeRoundTrips() {
        for dtype in DType.allCases {
            let x = Tensor.full([2, 3], 1, dtype: dtype)
            #expect(x.dtype == dtype)
            #expect(x.array(of: Double.self) == [1, 1, 1, 1, 1, 1])
            #expect(x.count * dtype.size == x.withUnsafeBytes { $0.count })
        }
    }

    @Test func borrowedMemoryIsReleasedWithTheTensor() {
        final class Owner {
            let bytes: UnsafeMutableRawBufferPointer
            init() {
                bytes = .allocate(byteCount: 8, alignment: 8)
                bytes.storeBytes(of: 3, toByteOffset: 0, as: Float.self)
                bytes.storeBytes(of: 4, toByteOffset: 4, as: Float.self)
            }
            deinit { bytes.deallocate() }
        }
        weak var watched: Owner?
        var view: Tensor?
        do {
            let owner = Owner()
            watched = owner
            let whole = Tensor.borrowing(UnsafeRawBufferPointer(owner.bytes), shape: [2], dtype: .float32, owner: owner)
            view = whole[1]
        }
        #expect(watched != nil)
        #expect(view?.item() == 4)
        view = nil
        #expect(watched == nil)
    }

    @Test func generatorsAreIndependentAndResumable() {
        let first = Generator(seed: 7)
        let second = Generator(seed: 7)
        _ = Tensor.randn([100], generator: Generator(seed: 9))
        #expect(
            Tensor.randn([5], generator: first).array(of: Float.self)
                == Tensor.randn([5], generator: second).array(of: Float.self))
        let state = first.state
        let ahead = Tensor.rand([4], generator: first).array(of: Float.self)
        #expect(ahead != Tensor.rand([4], generator: first).array(of: Float.self))
        first.state = state
        #expect(Tensor.rand([4], generator: first).array(of: Float.self) == ahead)
        #expect(Tensor.randperm(6, generator: first).array(of: Int.self).sorted() == [0, 1, 2, 3, 4, 5])
    }

    @Test func gradientsOfAQuadratic() {
        let x = Tensor([1, -2, 3] as [Float])
        x.requiresGrad = true
        (x.square() * 2).sum().backward()
        #expect(x.grad?.array(of: Float.self) == [4, -8, 12])
        withoutGradients { #expect(!(x * 2).requiresGrad) }
        inferenceMode { #expect(!(x * 2).requiresGrad) }
        #expect((x * 2).requiresGrad)
        #expect(!x.detached().requiresGrad)
    }

    @Test func quickGELUEqualsItsDefinitionAndGradient() {
        let x = Tensor.randn([3, 50_001], generator: Generator(seed: 1))
        x.requiresGrad = true
        let y = Tensor([Float](x.detached().array()), shape: [3, 50_001])
        y.requiresGrad = true
        let fused = x.quickGELU()
        let plain = y * (y * 1.702).sigmoid()
        #expect((fused - plain).abs().max().item() < 1e-5)
        fused.square().sum().backward()
        plain.square().sum().backward()
        #expect((x.grad! - y.grad!).abs().max().item() < 1e-4)
    }

    @Test func autocastComputesProductsInBFloat16() {
        let x = Tensor.ones([4, 8])
        autocast(.bfloat16, device: .cpu) {
            #expect(x.matmul(x.transposed()).dtype == .bfloat16)
            autocast(nil, device: .cpu) { #expect(x.matmul(x.transposed()).dtype == .float32) }
            #expect(x.matmul(x.transposed()).dtype == .bfloat16)
        }
        #expect(x.matmul(x.transposed()).dtype == .float32)
    }
}

@Suite struct TorchErrorTests {
    @Test func scopesThrowWhatOperationsReport() throws {
        let x = Tensor.ones([2, 3])
        let error = #expect(throws: TorchError.self) {
            try catchingTorchErrors {
                let bad = x.matmul(x)
                // What follows a failure runs to its end on poisoned tensors.
                let shape = bad.reshaped(-1, bad.size(1)).shape
                return bad.softmax(-1).sum().item() + Double(shape[3])
            }
        }
        #expect(error?.kind == .operation)
        #expect(error?.operation == "matmul")
        #expect(error?.site?.contains("TensorTests.swift") == true)
        #expect(error?.message.contains("shapes cannot be multiplied (2x3 and 2x3)") == true)
        #expect(error?.message.contains("frame #") == false, "libtorch's C++ backtrace must be cut")
        #expect(try catchingTorchErrors { x.sum().item() } == 6)
    }

    @Test func outOfMemoryIsToldApart() {
        let error = #expect(throws: TorchError.self) {
            try catchingTorchErrors { Tensor.empty([1 << 50]) }
        }
        #expect(error?.kind == .outOfMemory)
    }

    @Test func scopesNestAndDoNotLeak() throws {
        let x = Tensor.ones([2, 3])
        try catchingTorchErrors {
            #expect(throws: TorchError.self) { try catchingTorchErrors { x.reshaped(5) } }
            #expect(x.reshaped(6).shape == [6])
        }
    }

    @Test(arguments: [
        ("gpu", "unknown device 'gpu': expected auto, cpu, cuda or cuda:N"),
        ("cuda:x", "unknown device 'cuda:x': expected auto, cpu, cuda or cuda:N"),
        ("cuda:99", "device 'cuda:99' asked for, but libtorch sees"),
    ])
    func devicesAreParsedStrictly(text: String, message: String) {
        let error = #expect(throws: TorchError.self) { try Device(parsing: text) }
        #expect(error?.description.hasPrefix(message) == true)
        #expect((try? Device(parsing: "cpu")) == .cpu)
    }
}
