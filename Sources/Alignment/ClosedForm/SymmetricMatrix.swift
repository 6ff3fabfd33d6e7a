import Torch

/// Solving with symmetric positive definite matrices, and their square roots; float64 on the CPU.
///
/// The matrices have the width of an embedding, at most a few thousand.
package enum SymmetricMatrix {
    /// `X` with `A X = B`, by Cholesky's decomposition; nil if `A` is not positive definite.
    /// - Parameters:
    ///   - a: `[d, d]`, float64; only its lower triangle is read.
    ///   - b: `[d, k]`, float64.
    package static func solve(_ a: Tensor, _ b: Tensor) -> Tensor? {
        let size = a.size(0)
        let width = b.size(1)
        var lower = a.array(of: Double.self)
        var x = b.array(of: Double.self)
        guard factor(&lower, size) else { return nil }
        lower.withUnsafeBufferPointer { l in
            x.withUnsafeMutableBufferPointer { x in
                for row in 0..<size {
                    for k in 0..<row { subtract(l[row * size + k], x, from: k, to: row, width) }
                    scale(x, row, width, by: 1 / l[row * size + row])
                }
                for row in (0..<size).reversed() {
                    for k in row + 1..<max(size, row + 1) { subtract(l[k * size + row], x, from: k, to: row, width) }
                    scale(x, row, width, by: 1 / l[row * size + row])
                }
            }
        }
        return Tensor(x, shape: [size, width])
    }

    /// The lower triangle `L` with `L Lᵀ = A`, in place.
    private static func factor(_ a: inout [Double], _ size: Int) -> Bool {
        a.withUnsafeMutableBufferPointer { a in
            for row in 0..<size {
                for column in 0...row {
                    let rest = a[row * size + column] - dot(a, row * size, column * size, column)
                    if row == column {
                        guard rest > 0, rest.isFinite else { return false }
                        a[row * size + row] = rest.squareRoot()
                    } else {
                        a[row * size + column] = rest / a[column * size + column]
                    }
                }
            }
            return true
        }
    }

    private static func dot(_ a: UnsafeMutableBufferPointer<Double>, _ first: Int, _ second: Int, _ count: Int)
        -> Double
    {
        var lanes = SIMD8<Double>.zero
        var index = 0
        while index + 8 <= count {
            var (x, y) = (SIMD8<Double>.zero, SIMD8<Double>.zero)
            for lane in 0..<8 {
                x[lane] = a[first + index + lane]
                y[lane] = a[second + index + lane]
            }
            lanes += x * y
            index += 8
        }
        var sum = lanes.sum()
        while index < count {
            sum += a[first + index] * a[second + index]
            index += 1
        }
        return sum
    }

    private static func subtract(
        _ factor: Double, _ x: UnsafeMutableBufferPointer<Double>, from source: Int, to target: Int, _ width: Int
    ) {
        for column in 0..<width { x[target * width + column] -= factor * x[source * width + column] }
    }

    private static func scale(_ x: UnsafeMutableBufferPointer<Double>, _ row: Int, _ width: Int, by factor: Double) {
        for column in 0..<width { x[row * width + column] *= factor }
    }

    /// `A` to the power 1/2 and -1/2, by the coupled Newton-Schulz iteration (Higham 1997), which needs only products.
    /// - Parameter a: `[d, d]`, float64, symmetric positive definite with a condition below about 1e8.
    package static func roots(_ a: Tensor) -> (root: Tensor, inverseRoot: Tensor) {
        let size = a.size(0)
        // In Frobenius's norm no eigenvalue is above 1, so the iteration converges.
        let scale = a.square().sum().sqrt().item()
        let identity = identity(size)
        var y = a / scale
        var z = identity
        var last = Double.infinity
        for _ in 0..<200 {
            let product = z.matmul(y)
            let error = (product - identity).abs().max().item()
            // Near its end, rounding makes the error rise again.
            if error < 1e-12 || (error < 1e-6 && error >= last) { break }
            last = error
            let step = (identity * 3.0 - product) * 0.5
            y = y.matmul(step)
            z = step.matmul(z)
        }
        return (y * scale.squareRoot(), z / scale.squareRoot())
    }

    package static func identity(_ size: Int) -> Tensor {
        (Tensor.arange(0, size).unsqueezed(0) .== Tensor.arange(0, size).unsqueezed(1)).to(.float64)
    }

    package static func trace(_ a: Tensor) -> Double { (a * identity(a.size(0))).sum().item() }
}
