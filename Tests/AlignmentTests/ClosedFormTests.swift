import Testing
import Torch

@testable import Alignment

@Suite struct ClosedFormTests {
    private func random(_ shape: [Int], seed: UInt64) -> Tensor {
        Tensor.randn(shape, dtype: .float64, generator: Generator(seed: seed))
    }

    private func positive(_ size: Int, seed: UInt64) -> Tensor {
        let half = random([size + 3, size], seed: seed)
        return half.transposed(0, 1).matmul(half)
    }

    @Test func `a system is solved, and one without a solution is refused`() throws {
        let a = positive(21, seed: 1)
        let b = random([21, 4], seed: 2)
        let x = try #require(SymmetricMatrix.solve(a, b))
        #expect(maximumDifference(a.matmul(x), b) < 1e-9)
        #expect(SymmetricMatrix.solve(Tensor([1.0, 2, 2, 1] as [Double], shape: [2, 2]), b[0..<2]) == nil)
    }

    @Test func `roots multiply to the matrix, and to the identity`() {
        let a = positive(12, seed: 3)
        let (root, inverse) = SymmetricMatrix.roots(a)
        #expect(maximumDifference(root.matmul(root), a) < 1e-8)
        #expect(maximumDifference(root.matmul(inverse), SymmetricMatrix.identity(12)) < 1e-8)
        #expect(maximumDifference(root, root.transposed(0, 1)) < 1e-9)
    }

    @Test func `a mean shift moves the mean and nothing else`() {
        let (generated, real) = (random([40, 7], seed: 4) * 2 + 3, random([40, 7], seed: 5))
        let map = ClosedFormMap(.meanShift, generated: generated, real: real)
        let moved = map(generated)
        #expect(maximumDifference(moved.mean(0), real.mean(0)) < 1e-12)
        #expect(maximumDifference(moved - generated, (real.mean(0) - generated.mean(0)).expanded(40, 7)) < 1e-12)
    }

    /// With the floor on every variance, as the formula is written.
    @Test func `CORAL gives generated embeddings the moments of real ones`() {
        let mix = random([7, 7], seed: 6)
        let (generated, real) = (random([90, 7], seed: 7).matmul(mix) + 1, random([90, 7], seed: 8) * 3 - 2)
        let map = ClosedFormMap(.coral, generated: generated, real: real)
        func covariance(_ rows: Tensor) -> Tensor {
            let centred = rows - rows.mean(0, keep: true)
            let covariance = centred.transposed(0, 1).matmul(centred) / 90
            return covariance
                + SymmetricMatrix.identity(7) * (0.01 * SymmetricMatrix.trace(covariance) / 7)
        }
        let mapped = map.weight.matmul(covariance(generated)).matmul(map.weight.transposed(0, 1))
        #expect(maximumDifference(mapped, covariance(real)) < 1e-8)
        #expect(maximumDifference(map(generated).mean(0), real.mean(0)) < 1e-10)
        // The pairs do not matter.
        let order = Tensor(Array((0..<90).reversed()))
        let again = ClosedFormMap(.coral, generated: generated.indexSelect(0, order), real: real)
        #expect(maximumDifference(again.weight, map.weight) < 1e-9)
    }

    @Test func `ridge regression finds a linear map, and the weakest penalty for it`() {
        let generated = random([120, 6], seed: 9)
        let real = generated.matmul(random([6, 6], seed: 10)) + 0.5
        let fit = RidgeRegression(generated, real)
        #expect(fit.strength == 1e-3)
        #expect(maximumDifference(fit(generated), real) < 0.02)
        // Outputs that have nothing to do with the inputs want the strongest.
        let noise = random([120, 6], seed: 11) + 1
        #expect(RidgeRegression(generated, noise).strength == 10)
    }

    @Test func `embeddings that are all equal have no map but the means`() {
        let (generated, real) = (Tensor.ones([5, 3], dtype: .float64), Tensor.ones([5, 3], dtype: .float64) * 2)
        for kind in ClosedFormMap.Kind.allCases {
            #expect(maximumDifference(ClosedFormMap(kind, generated: generated, real: real)(generated), real) < 1e-12)
        }
    }
}
