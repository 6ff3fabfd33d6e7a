import Dispatch
import Foundation

// Visualizing Data using t-SNE (van der Maaten & Hinton, JMLR 9, 2008), exact: all N² forces, no tree.
// Start and learning rate follow scikit-learn's defaults: PCA scaled to 1e-4, N / exaggeration / 4 but at least 50.

/// Settings of t-SNE.
public struct TSNEConfiguration: Sendable, Equatable, Codable {
    /// Effective number of neighbours; reduced to (N - 1) / 3 for few points.
    public var perplexity = 30.0
    /// Factor on P in the first steps, so that clusters form before they repel each other.
    public var exaggeration = 12.0
    public var exaggeratedIterations = 250
    public var iterations = 1000

    public init() {}
}

/// A map of points in two dimensions that preserves neighbourhoods.
///
/// It is deterministic: it starts from PCA, and the sums of each point run in index order whatever the number of
/// threads.
public struct TSNE: Sendable {
    public let coordinates: [SIMD2<Double>]
    /// Kullback-Leibler divergence of the map from the original, in nats.
    public let divergence: Double
    /// The value used, after the reduction.
    public let perplexity: Double

    /// - Throws: ``GapError/tooFewPoints(method:expected:got:)`` for fewer than four rows.
    public init(_ rows: EmbeddingRows, configuration: TSNEConfiguration = TSNEConfiguration()) throws {
        let n = rows.count
        guard n >= 4 else { throw GapError.tooFewPoints(method: "t-SNE", expected: 4, got: n) }
        let components = try PrincipalComponents(rows)
        perplexity = max(1, min(configuration.perplexity, Double(n - 1) / 3))
        let stride = (n + 15) / 16 * 16  // rows padded to whole vectors; the padding of P is 0
        let p = Self.affinities(rows, perplexity: perplexity, stride: stride)

        let spread = components.variances[0].squareRoot()
        let scale = spread > 0 ? 1e-4 / spread : 0
        var x = [Float](repeating: 0, count: stride)
        var y = x
        for (index, point) in components.coordinates.enumerated() {
            x[index] = Float(point.x * scale)
            y[index] = Float(point.y * scale)
        }
        let rate = Float(max(Double(n) / configuration.exaggeration / 4, 50))
        var velocity = [SIMD2<Float>](repeating: .zero, count: n)
        var gains = [SIMD2<Float>](repeating: .one, count: n)
        for iteration in 0..<configuration.iterations {
            let isEarly = iteration < configuration.exaggeratedIterations
            let forces = Self.forces(p, x, y, n, stride)
            var normalizer = 0.0
            for force in forces { normalizer += force.sum }
            let attraction = Float(isEarly ? configuration.exaggeration : 1)
            let repulsion = Float(1 / max(normalizer, .leastNormalMagnitude))
            let momentum: Float = isEarly ? 0.5 : 0.8
            var mean = SIMD2<Double>.zero
            for i in 0..<n {
                let gradient = 4 * (attraction * forces[i].attraction - repulsion * forces[i].repulsion)
                // A gain grows while gradient and motion agree (Jacobs 1988).
                for axis in 0..<2 {
                    let isOpposed = gradient[axis] * velocity[i][axis] < 0
                    gains[i][axis] = max(0.01, isOpposed ? gains[i][axis] + 0.2 : gains[i][axis] * 0.8)
                }
                velocity[i] = momentum * velocity[i] - rate * gains[i] * gradient
                x[i] += velocity[i].x
                y[i] += velocity[i].y
                mean += SIMD2(Double(x[i]), Double(y[i]))
            }
            mean /= Double(n)
            for i in 0..<n {
                x[i] -= Float(mean.x)
                y[i] -= Float(mean.y)
            }
        }
        coordinates = (0..<n).map { SIMD2(Double(x[$0]), Double(y[$0])) }
        guard coordinates.allSatisfy({ $0.x.isFinite && $0.y.isFinite }) else {
            throw GapError.notFinite(what: "t-SNE")
        }
        divergence = Self.divergence(p, coordinates, stride)
    }

    // MARK: Input similarities

    /// Symmetric joint probabilities `[n, stride]`; the conditional probabilities of each row have the wanted
    /// perplexity.
    private static func affinities(_ rows: EmbeddingRows, perplexity: Double, stride: Int) -> [Float] {
        let n = rows.count
        let distances = squaredDistances(rows)
        let target = log(perplexity)
        let conditional = Parallel.map(n) { i -> [Double] in
            var row = [Double](repeating: 0, count: n)
            let nearest = (0..<n).lazy.filter { $0 != i }.map { distances[i][$0] }.min() ?? 0
            var beta = 1.0
            var low = 0.0
            var high = Double.infinity
            for _ in 0..<100 {
                var sum = 0.0
                var weighted = 0.0
                for j in 0..<n where j != i {
                    // Distances relative to the nearest one keep the sum above 1, however large beta grows.
                    let distance = Double(distances[i][j] - nearest)
                    let value = exp(-beta * distance)
                    row[j] = value
                    sum += value
                    weighted += value * distance
                }
                let entropy = log(sum) + beta * weighted / sum
                for j in 0..<n { row[j] /= sum }
                if abs(entropy - target) < 1e-6 { break }
                if entropy > target {
                    low = beta
                    beta = high == .infinity ? beta * 2 : (beta + high) / 2
                } else {
                    high = beta
                    beta = (beta + low) / 2
                }
                if beta > 1e12 { break }  // more equal points than neighbours wanted
            }
            return row
        }
        let joint = Parallel.map(n) { i -> [Float] in
            var row = [Float](repeating: 0, count: stride)
            for j in 0..<n where j != i { row[j] = Float((conditional[i][j] + conditional[j][i]) / Double(2 * n)) }
            return row
        }
        return joint.flatMap { $0 }
    }

    private static func squaredDistances(_ rows: EmbeddingRows) -> [[Float]] {
        let d = rows.dimension
        return Parallel.map(rows.count) { i in
            rows.values.withUnsafeBufferPointer { values in
                (0..<rows.count).map { j in
                    // (a - b)² is the same from both sides, so the matrix is symmetric to the bit.
                    var lanes = SIMD8<Float>.zero
                    var k = 0
                    while k + 8 <= d {
                        let raw = UnsafeRawPointer(values.baseAddress!)
                        let a = raw.loadUnaligned(fromByteOffset: 4 * (i * d + k), as: SIMD8<Float>.self)
                        let b = raw.loadUnaligned(fromByteOffset: 4 * (j * d + k), as: SIMD8<Float>.self)
                        lanes += (a - b) * (a - b)
                        k += 8
                    }
                    var sum = lanes.sum()
                    while k < d {
                        let difference = values[i * d + k] - values[j * d + k]
                        sum += difference * difference
                        k += 1
                    }
                    return sum
                }
            }
        }
    }

    // MARK: Forces

    private struct Force {
        var attraction = SIMD2<Float>.zero
        var repulsion = SIMD2<Float>.zero
        /// The sum of this point's row of unnormalised similarities.
        var sum = 0.0
    }

    private static func forces(_ p: [Float], _ x: [Float], _ y: [Float], _ n: Int, _ stride: Int) -> [Force] {
        let piece = 64
        return Parallel.map((n + piece - 1) / piece) { block in
            (block * piece..<min(n, (block + 1) * piece)).map { force(on: $0, p, x, y, n, stride) }
        }.flatMap { $0 }
    }

    private static func force(
        on i: Int, _ p: [Float], _ x: [Float], _ y: [Float], _ n: Int, _ stride: Int
    ) -> Force {
        typealias Lanes = SIMD8<Float>
        var attractionX = Lanes.zero
        var attractionY = Lanes.zero
        var repulsionX = Lanes.zero
        var repulsionY = Lanes.zero
        var sum = Lanes.zero
        let px = Lanes(repeating: x[i])
        let py = Lanes(repeating: y[i])
        let one = Lanes(repeating: 1)
        p.withUnsafeBytes { p in
            x.withUnsafeBytes { x in
                y.withUnsafeBytes { y in
                    let row = p.baseAddress! + 4 * i * stride
                    var j = 0
                    while j < stride {
                        let dx = px - x.loadUnaligned(fromByteOffset: 4 * j, as: Lanes.self)
                        let dy = py - y.loadUnaligned(fromByteOffset: 4 * j, as: Lanes.self)
                        var q = one / (one + dx * dx + dy * dy)
                        if j + 8 > n { for lane in 0..<8 where j + lane >= n { q[lane] = 0 } }
                        let pull = row.loadUnaligned(fromByteOffset: 4 * j, as: Lanes.self) * q
                        let push = q * q
                        attractionX += pull * dx
                        attractionY += pull * dy
                        repulsionX += push * dx
                        repulsionY += push * dy
                        sum += q
                        j += 8
                    }
                }
            }
        }
        return Force(
            attraction: SIMD2(attractionX.sum(), attractionY.sum()),
            repulsion: SIMD2(repulsionX.sum(), repulsionY.sum()),
            sum: Double(sum.sum()) - 1)  // the point itself
    }

    private static func divergence(_ p: [Float], _ points: [SIMD2<Double>], _ stride: Int) -> Double {
        let n = points.count
        func similarity(_ i: Int, _ j: Int) -> Double {
            let difference = points[i] - points[j]
            return 1 / (1 + (difference * difference).sum())
        }
        let sums = Parallel.map(n) { i in (0..<n).reduce(0.0) { $1 == i ? $0 : $0 + similarity(i, $1) } }
        let normalizer = sums.reduce(0, +)
        return Parallel.map(n) { i in
            (0..<n).reduce(0.0) { total, j in
                let value = Double(p[i * stride + j])
                guard j != i, value > 0 else { return total }
                return total + value * log(value * normalizer / similarity(i, j))
            }
        }.reduce(0, +)
    }
}
