import Foundation

/// All eigenvalues and eigenvectors of a symmetric matrix in double: Householder's reduction to three diagonals, then the QL
/// algorithm with implicit shifts (Golub & Van Loan, Matrix Computations, chapter 8). About 5 n³ operations.
struct SymmetricEigen {
    /// Largest first.
    let values: [Double]
    /// Row k is the unit eigenvector of `values[k]`.
    let vectors: [[Double]]

    /// - Parameter matrix: `n` rows of `n` finite numbers; the lower triangle is read.
    /// - Returns: nil where the iteration does not settle, which finite numbers give no cause for.
    init?(_ matrix: [[Double]]) {
        let count = matrix.count
        // Row j of `basis` is column j of the accumulated transformations, so that the inner loops run along rows.
        var work = matrix
        var diagonal = [Double](repeating: 0, count: count)
        var beside = [Double](repeating: 0, count: count)
        var reflections: [(from: Int, vector: [Double], factor: Double)] = []
        for k in 0..<max(0, count - 2) {
            // Reflect column k below the diagonal onto its first entry.
            var vector = (k + 1..<count).map { work[$0][k] }
            let norm = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
            guard norm > 0 else {
                beside[k] = 0
                continue
            }
            let alpha = vector[0] > 0 ? -norm : norm
            vector[0] -= alpha
            let square = vector.reduce(0) { $0 + $1 * $1 }
            beside[k] = alpha
            guard square > 0 else { continue }
            let factor = 2 / square
            // A - v wᵀ - w vᵀ on what is left, with w = factor (A v - factor/2 (vᵀ A v) v).
            let size = vector.count
            var product = [Double](repeating: 0, count: size)
            for i in 0..<size {
                var sum = 0.0
                let row = work[k + 1 + i]
                for j in 0...i { sum += row[k + 1 + j] * vector[j] }
                for j in i + 1..<max(i + 1, size) { sum += work[k + 1 + j][k + 1 + i] * vector[j] }
                product[i] = factor * sum
            }
            let half = factor / 2 * zip(vector, product).reduce(0) { $0 + $1.0 * $1.1 }
            for i in 0..<size { product[i] -= half * vector[i] }
            for i in 0..<size {
                for j in 0...i {
                    work[k + 1 + i][k + 1 + j] -= vector[i] * product[j] + product[i] * vector[j]
                }
            }
            reflections.append((k + 1, vector, factor))
        }
        for i in 0..<count { diagonal[i] = work[i][i] }
        if count > 1 { beside[count - 2] = work[count - 1][count - 2] }

        var basis = (0..<count).map { i in (0..<count).map { $0 == i ? 1.0 : 0.0 } }
        for (from, vector, factor) in reflections.reversed() {
            // Q ← H Q; row j of `basis` is column j of Q.
            for j in 0..<count {
                var sum = 0.0
                for i in vector.indices { sum += basis[j][from + i] * vector[i] }
                guard sum != 0 else { continue }
                sum *= factor
                for i in vector.indices { basis[j][from + i] -= sum * vector[i] }
            }
        }
        guard Self.diagonalize(&diagonal, &beside, &basis) else { return nil }
        let order = (0..<count).sorted { diagonal[$0] > diagonal[$1] }
        values = order.map { diagonal[$0] }
        vectors = order.map { basis[$0] }
    }

    /// QL with implicit shifts on a matrix of three diagonals; rotations go into `basis`, whose row j is column j of Q.
    private static func diagonalize(
        _ diagonal: inout [Double], _ beside: inout [Double], _ basis: inout [[Double]]
    ) -> Bool {
        let count = diagonal.count
        for low in 0..<count {
            for round in 0... {
                // The first entry beside the diagonal that is nothing against its neighbours.
                var end = low
                while end < count - 1 {
                    let scale = abs(diagonal[end]) + abs(diagonal[end + 1])
                    if abs(beside[end]) <= Double.ulpOfOne * scale { break }
                    end += 1
                }
                if end == low { break }
                guard round < 60 else { return false }
                let spread = (diagonal[low + 1] - diagonal[low]) / (2 * beside[low])
                let root = hypot(spread, 1)
                var g = diagonal[end] - diagonal[low] + beside[low] / (spread + (spread < 0 ? -root : root))
                var (sine, cosine, shift) = (1.0, 1.0, 0.0)
                var isSplit = false
                for i in stride(from: end - 1, through: low, by: -1) {
                    let f = sine * beside[i], b = cosine * beside[i]
                    let length = hypot(f, g)
                    beside[i + 1] = length
                    guard length > 0 else {
                        diagonal[i + 1] -= shift
                        beside[end] = 0
                        isSplit = true
                        break
                    }
                    (sine, cosine) = (f / length, g / length)
                    g = diagonal[i + 1] - shift
                    let r = (diagonal[i] - g) * sine + 2 * cosine * b
                    shift = sine * r
                    diagonal[i + 1] = g + shift
                    g = cosine * r - b
                    basis.withUnsafeMutableBufferPointer { rows in
                        for k in 0..<count {
                            let (upper, lower) = (rows[i + 1][k], rows[i][k])
                            rows[i + 1][k] = sine * lower + cosine * upper
                            rows[i][k] = cosine * lower - sine * upper
                        }
                    }
                }
                if isSplit { continue }
                diagonal[low] -= shift
                beside[low] = g
                beside[end] = 0
            }
        }
        return true
    }
}
