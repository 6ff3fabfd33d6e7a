import Randomness

/// The two directions of largest variance, and every row's coordinates along them.
///
/// It uses block power iteration on the centred rows with a Rayleigh-Ritz step, so the covariance matrix is never
/// formed. The result is deterministic: fixed start, fixed order of sums. The sign of a direction is chosen so that its
/// largest entry is positive.
public struct PrincipalComponents: Sendable {
    /// Two unit vectors.
    public let directions: [[Double]]
    /// Variance along each (divided by the number of rows).
    public let variances: [Double]
    /// Sum of the variance of all directions.
    public let totalVariance: Double
    /// `(x, y)` of every row.
    public let coordinates: [SIMD2<Double>]

    /// - Throws: ``GapError/tooFewPoints(method:expected:got:)`` for fewer than two rows.
    public init(_ rows: EmbeddingRows) throws {
        let n = rows.count
        let d = rows.dimension
        guard n >= 2 else { throw GapError.tooFewPoints(method: "PCA", expected: 2, got: n) }
        guard rows.values.allSatisfy(\.isFinite) else { throw GapError.notFinite(what: "PCA") }
        let mean = GapStatistics.centroid(rows)
        var centred = [Double](repeating: 0, count: n * d)
        for row in 0..<n { for j in 0..<d { centred[row * d + j] = Double(rows.values[row * d + j]) - mean[j] } }
        totalVariance = centred.reduce(0) { $0 + $1 * $1 } / Double(n)

        let block = min(4, d)
        // A fixed start that has a part in every direction.
        var random = SplitMix64(seed: 0x5eed)
        var basis = (0..<block).map { _ in (0..<d).map { _ in random.uniform() - 0.5 } }
        Self.orthonormalize(&basis)
        var values = [Double](repeating: 0, count: block)
        for _ in 0..<500 {
            var next = Self.covarianceTimes(basis, centred, n, d)
            // In the span of the basis the covariance is a small symmetric matrix; its eigenvectors sort the basis.
            let small = (0..<block).map { a in (0..<block).map { b in Self.dot(basis[a], next[b]) } }
            let (eigenvalues, vectors) = Self.jacobi(small)
            next = vectors.map { Self.combine(next, $0) }
            let change = zip(eigenvalues, values).prefix(2).map { abs($0 - $1) }.max() ?? 0
            values = eigenvalues
            basis = next
            Self.orthonormalize(&basis)
            if change <= 1e-13 * max(eigenvalues[0], .leastNormalMagnitude) { break }
        }
        if block == 1 {
            basis.append([Double](repeating: 0, count: d))
            values.append(0)
        }
        for index in 0..<2 {
            let largest = basis[index].max { abs($0) < abs($1) } ?? 0
            if largest < 0 { basis[index] = basis[index].map { -$0 } }
        }
        directions = Array(basis.prefix(2))
        variances = values.prefix(2).map { max(0, $0) }
        let first = basis[0]
        let second = basis[1]
        coordinates = (0..<n).map { row in
            var point = SIMD2<Double>.zero
            for j in 0..<d { point += SIMD2(first[j], second[j]) * centred[row * d + j] }
            return point
        }
    }

    /// `Xᵀ X v / n` for each vector.
    private static func covarianceTimes(_ vectors: [[Double]], _ x: [Double], _ n: Int, _ d: Int) -> [[Double]] {
        Parallel.map(vectors.count) { index in
            var result = [Double](repeating: 0, count: d)
            vectors[index].withUnsafeBufferPointer { v in
                x.withUnsafeBufferPointer { x in
                    result.withUnsafeMutableBufferPointer { result in
                        for row in 0..<n {
                            let start = row * d
                            var lanes = SIMD8<Double>.zero
                            var j = 0
                            while j + 8 <= d {
                                for lane in 0..<8 { lanes[lane] += x[start + j + lane] * v[j + lane] }
                                j += 8
                            }
                            var product = lanes.sum()
                            while j < d {
                                product += x[start + j] * v[j]
                                j += 1
                            }
                            for j in 0..<d { result[j] += product * x[start + j] }
                        }
                        for j in 0..<d { result[j] /= Double(n) }
                    }
                }
            }
            return result
        }
    }

    private static func dot(_ a: [Double], _ b: [Double]) -> Double {
        var sum = 0.0
        for index in a.indices { sum += a[index] * b[index] }
        return sum
    }

    private static func combine(_ vectors: [[Double]], _ weights: [Double]) -> [Double] {
        var result = [Double](repeating: 0, count: vectors[0].count)
        for (vector, weight) in zip(vectors, weights) {
            for index in result.indices { result[index] += weight * vector[index] }
        }
        return result
    }

    /// Gram-Schmidt, done twice; a vector that vanishes is replaced by the first axis that leaves a remainder.
    private static func orthonormalize(_ vectors: inout [[Double]]) {
        for index in vectors.indices {
            var axis = 0
            while true {
                let before = dot(vectors[index], vectors[index]).squareRoot()
                for _ in 0..<2 {
                    for earlier in 0..<index {
                        let share = dot(vectors[index], vectors[earlier])
                        for j in vectors[index].indices { vectors[index][j] -= share * vectors[earlier][j] }
                    }
                }
                let length = dot(vectors[index], vectors[index]).squareRoot()
                if length > 1e-12 * before, length > 1e-200 {
                    for j in vectors[index].indices { vectors[index][j] /= length }
                    break
                }
                for j in vectors[index].indices { vectors[index][j] = j == axis ? 1 : 0 }
                axis += 1
            }
        }
    }

    /// Eigenvalues, largest first, and eigenvectors of a small symmetric matrix (cyclic Jacobi).
    static func jacobi(_ matrix: [[Double]]) -> (values: [Double], vectors: [[Double]]) {
        let n = matrix.count
        var a = matrix
        var v = (0..<n).map { i in (0..<n).map { $0 == i ? 1.0 : 0.0 } }  // column k is eigenvector k
        for _ in 0..<50 {
            var rotated = false
            for p in 0..<n {
                for q in (p + 1)..<max(n, p + 1) {
                    let off: Double = a[p][q]
                    let scale: Double = abs(a[p][p]) + abs(a[q][q])
                    guard off != 0, abs(off) > 1e-18 * scale else { continue }
                    rotated = true
                    let theta: Double = (a[q][q] - a[p][p]) / (2 * off)
                    let root: Double = (theta * theta + 1).squareRoot()
                    let t: Double = theta >= 0 ? 1 / (theta + root) : 1 / (theta - root)
                    let c: Double = 1 / (t * t + 1).squareRoot()
                    let s: Double = t * c
                    for k in 0..<n {
                        let x: Double = a[k][p]
                        let y: Double = a[k][q]
                        a[k][p] = c * x - s * y
                        a[k][q] = s * x + c * y
                    }
                    for k in 0..<n {
                        let x: Double = a[p][k]
                        let y: Double = a[q][k]
                        a[p][k] = c * x - s * y
                        a[q][k] = s * x + c * y
                    }
                    for k in 0..<n {
                        let x: Double = v[k][p]
                        let y: Double = v[k][q]
                        v[k][p] = c * x - s * y
                        v[k][q] = s * x + c * y
                    }
                }
            }
            if !rotated { break }
        }
        let diagonal: [Double] = (0..<n).map { (k: Int) -> Double in a[k][k] }
        let order: [Int] = (0..<n).sorted { (p: Int, q: Int) -> Bool in
            diagonal[p] != diagonal[q] ? diagonal[p] > diagonal[q] : p < q
        }
        let columns: [[Double]] = order.map { (k: Int) -> [Double] in v.map { (row: [Double]) -> Double in row[k] } }
        return (order.map { diagonal[$0] }, columns)
    }
}
