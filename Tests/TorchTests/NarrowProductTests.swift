import Testing

@testable import Torch

/// Products of bfloat16 and float16 operands: those of the same numbers in float32, rounded once. On a CPU without such
/// instructions the shim sees to it (Sources/CTorch/shim/narrow.cpp).
@Suite struct NarrowProductTests {
    /// An operation on two or three operands, by name.
    struct Operation: CustomTestStringConvertible, Sendable {
        let name: String
        let shapes: [[Int]]
        let apply: @Sendable ([Tensor]) -> Tensor
        var testDescription: String { name }
    }

    static let operations = [
        Operation(name: "matrix product", shapes: [[5, 7], [7, 11]]) { $0[0].matmul($0[1]) },
        Operation(name: "transposed product", shapes: [[5, 7], [11, 7]]) { $0[0].matmul($0[1].transposed()) },
        Operation(name: "batched product", shapes: [[3, 5, 7], [3, 7, 11]]) { $0[0].matmul($0[1]) },
        Operation(name: "linear", shapes: [[2, 3, 7], [11, 7], [11]]) {
            Functional.linear($0[0], weight: $0[1], bias: $0[2])
        },
        Operation(name: "linear of many rows", shapes: [[5, 20, 64], [96, 64], [96]]) {
            Functional.linear($0[0], weight: $0[1], bias: $0[2])
        },
        Operation(name: "large product", shapes: [[90, 64], [64, 96]]) { $0[0].matmul($0[1]) },
        Operation(name: "convolution", shapes: [[2, 4, 9, 8], [6, 4, 3, 3], [6]]) {
            Functional.conv2d($0[0], weight: $0[1], bias: $0[2], padding: 1)
        },
        Operation(name: "strided convolution in groups", shapes: [[2, 4, 9, 8], [6, 2, 3, 3]]) {
            Functional.conv2d($0[0], weight: $0[1], stride: 2, groups: 2)
        },
        Operation(name: "attention", shapes: [[2, 3, 5, 8], [2, 3, 9, 8], [2, 3, 9, 8]]) {
            Functional.attention($0[0], $0[1], $0[2])
        },
        Operation(name: "attention with a mask that is added", shapes: [[2, 3, 5, 8], [2, 3, 9, 8], [5, 9]]) {
            Functional.attention($0[0], $0[1], $0[1], mask: $0[2])
        },
    ]

    @Test(arguments: operations, [DType.bfloat16, .float16])
    func valuesAndGradientsAreFloat32sRounded(operation: Operation, dtype: DType) {
        let generator = Generator(seed: 3)
        let narrow = operation.shapes.map { Tensor.randn($0, generator: generator).to(dtype) }
        let wide = narrow.map { $0.to(.float32) }
        // A mask is no weight: libtorch's CPU attention gives it no gradient.
        let trained = operation.name.hasSuffix("added") ? 2 : narrow.count
        for operand in narrow[..<trained] + wide[..<trained] { operand.requiresGrad = true }

        let got = operation.apply(narrow)
        let expected = operation.apply(wide)
        #expect(got.dtype == dtype)
        let step = dtype == .bfloat16 ? 0x1p-8 : 0x1p-11  // half the distance of neighbours, relative
        #expect(Self.largestDifference(got, expected) <= step * 1.01)

        let direction = Tensor.randn(expected.shape, generator: generator).to(dtype)
        (got * direction).to(.float32).sum().backward()
        (expected * direction.to(.float32)).sum().backward()
        for index in 0..<trained {
            guard let gradient = narrow[index].grad, let reference = wide[index].grad else {
                Issue.record("operand \(index) got no gradient")
                continue
            }
            #expect(gradient.dtype == dtype)
            #expect(Self.largestDifference(gradient, reference) <= 4 * step)
        }
    }

    @Test func autocastGivesTheSame() {
        let generator = Generator(seed: 4)
        let a = Tensor.randn([6, 40], generator: generator).to(.bfloat16)
        let b = Tensor.randn([40, 9], generator: generator).to(.bfloat16)
        // Under autocast a float32 model gives the same products.
        let automatic = autocast(.bfloat16, device: .cpu) { a.to(.float32).matmul(b.to(.float32)) }
        #expect(automatic.dtype == .bfloat16)
        #expect(automatic.array(of: Float.self) == a.matmul(b).array(of: Float.self))
    }

    /// Relative to the largest value.
    private static func largestDifference(_ a: Tensor, _ b: Tensor) -> Double {
        let scale = b.detached().to(.float32).abs().max().item()
        return (a.detached().to(.float32) - b.detached().to(.float32)).abs().max().item() / scale
    }
}
