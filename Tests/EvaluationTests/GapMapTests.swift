import Foundation
import Randomness
import Testing

@testable import Evaluation

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// Rows of `centres.count` clusters, `perCluster` each, in file order of the clusters.
private func clusters(_ centres: [[Float]], perCluster: Int, spread: Double, seed: UInt64) throws -> EmbeddingRows {
    var random = SplitMix64(seed: seed)
    var values: [Float] = []
    for centre in centres {
        for _ in 0..<perCluster {
            for value in centre {
                // A sum of twelve uniform numbers is close to a normal one.
                let noise = (0..<12).reduce(-6.0) { sum, _ in sum + random.uniform() }
                values.append(value + Float(spread * noise))
            }
        }
    }
    return try EmbeddingRows(values, dimension: centres[0].count)
}

@Suite struct PrincipalComponentsTests {
    @Test func `directions and variances are those of a known covariance`() throws {
        // ±3 along (.6, .8, 0), ±1 along (-.8, .6, 0), nothing along z; shifted.
        let a: [Float] = [0.6, 0.8, 0]
        let b: [Float] = [-0.8, 0.6, 0]
        var values: [Float] = []
        for (s, t): (Float, Float) in [(3, 1), (3, -1), (-3, 1), (-3, -1)] {
            for axis in 0..<3 { values.append(s * a[axis] + t * b[axis] + 5) }
        }
        let pca = try PrincipalComponents(try EmbeddingRows(values, dimension: 3))
        #expect(abs(pca.variances[0] - 9) < 1e-5)
        #expect(abs(pca.variances[1] - 1) < 1e-5)
        #expect(abs(pca.totalVariance - 10) < 1e-5)
        // The largest entry is positive: (-.8, .6) comes out as (.8, -.6).
        for (got, expected) in zip(pca.directions[0] + pca.directions[1], [0.6, 0.8, 0, 0.8, -0.6, 0]) {
            #expect(abs(got - expected) < 1e-5)
        }
        #expect(abs(pca.coordinates[0].x - 3) < 1e-5)
        #expect(abs(pca.coordinates[0].y + 1) < 1e-5)
    }

    @Test func `equal rows have no variance and lie on one point`() throws {
        let pca = try PrincipalComponents(try EmbeddingRows([1, 2, 3, 1, 2, 3, 1, 2, 3], dimension: 3))
        #expect(pca.variances == [0, 0])
        #expect(pca.coordinates.allSatisfy { $0 == .zero })
    }
}

@Suite struct TSNETests {
    @Test func `two clusters stay apart and neighbours stay neighbours`() throws {
        let far: [Float] = (0..<11).map { $0 == 3 ? 8 : 0 }
        let rows = try clusters([[Float](repeating: 0, count: 11), far], perCluster: 60, spread: 0.5, seed: 7)
        let map = try TSNE(rows)
        let points = map.coordinates
        // Every point is nearer to its own cluster's mean than to the other's.
        let means = [points[..<60], points[60...]].map { $0.reduce(.zero, +) / 60 }
        for (index, point) in points.enumerated() {
            let own = point - means[index / 60]
            let other = point - means[1 - index / 60]
            #expect((own * own).sum() < (other * other).sum())
        }
        #expect(trustworthiness(rows, points, neighbours: 10) > 0.9)
        #expect(map.divergence > 0 && map.divergence < 1.5)
    }

    @Test func `trustworthiness of a shuffled map is poor`() throws {
        let rows = try clusters([[0, 0, 0, 0, 0]], perCluster: 80, spread: 1, seed: 3)
        var random = SplitMix64(seed: 1)
        let points = try TSNE(rows).coordinates.shuffled(using: &random)
        #expect(trustworthiness(rows, points, neighbours: 10) < 0.65)
    }

    @Test func `equal rows do not break the map`() throws {
        let row: [Float] = [0.1, 0.2, 0.3]
        let rows = try EmbeddingRows((0..<30).flatMap { _ in row } + [1, 0, 0, 0, 1, 0], dimension: 3)
        let map = try TSNE(rows)
        #expect(map.coordinates.allSatisfy { $0.x.isFinite && $0.y.isFinite })
    }

    /// Venna and Kaski 2001: 1 when every neighbour in the map is a neighbour in the original.
    private func trustworthiness(_ rows: EmbeddingRows, _ points: [SIMD2<Double>], neighbours k: Int) -> Double {
        let n = rows.count
        var penalty = 0
        for i in 0..<n {
            func original(_ j: Int) -> Double { rows.dot(i, rows, i) - 2 * rows.dot(i, rows, j) + rows.dot(j, rows, j) }
            func drawn(_ j: Int) -> Double {
                let difference = points[i] - points[j]
                return (difference * difference).sum()
            }
            let others = (0..<n).filter { $0 != i }
            let distances = Dictionary(uniqueKeysWithValues: others.map { ($0, original($0)) })
            let ranked = others.sorted { distances[$0]! < distances[$1]! }
            let rank = Dictionary(uniqueKeysWithValues: ranked.enumerated().map { ($1, $0 + 1) })
            for j in others.sorted(by: { drawn($0) < drawn($1) }).prefix(k) { penalty += max(0, rank[j]! - k) }
        }
        let most = Double(n * k) * Double(2 * n - 3 * k - 1)
        return 1 - 2 * Double(penalty) / most
    }
}

@Suite struct GapMapTests {
    private func map(_ method: GapMapMethod, pairs: Int = 24) throws -> GapMap {
        let real = try clusters([[1, 0, 0, 0, 0]], perCluster: pairs / 2, spread: 0.2, seed: 1)
        let generated = try clusters([[0, 1, 0, 0, 0]], perCluster: pairs, spread: 0.2, seed: 2)
        return try GapMap(
            real: real, realRow: (0..<pairs).map { $0 / 2 }, generated: generated, pairs: Array(0..<pairs),
            method: method)
    }

    @Test(arguments: GapMapMethod.allCases) func `the same input gives the same bytes`(method: GapMapMethod) throws {
        let first = try GapReport.encode(map(method))
        let second = try GapReport.encode(map(method))
        #expect(first == second)
    }

    @Test func `a shared real image is one point`() throws {
        let map = try map(.tsne)
        #expect(map.real.count == 12)
        #expect(map.generated.count == 24)
        #expect(map.realRow == (0..<24).map { $0 / 2 })
        #expect(map.perplexity == 35.0 / 3)
    }

    @Test func `samples are drawn by the seed, ascending, without repeats`() {
        let first = GapMap.sample(pairs: 5000, limit: 100, seed: 4)
        #expect(first == GapMap.sample(pairs: 5000, limit: 100, seed: 4))
        #expect(first != GapMap.sample(pairs: 5000, limit: 100, seed: 5))
        #expect(first.count == 100 && Set(first).count == 100)
        #expect(first == first.sorted())
        #expect(GapMap.sample(pairs: 7, limit: 100, seed: 4) == Array(0..<7))
    }

    @Test func `few pairs are drawn by PCA`() {
        #expect(GapMap.method(.tsne, pairs: 9) == .pca)
        #expect(GapMap.method(.tsne, pairs: 10) == .tsne)
        #expect(GapMap.method(.pca, pairs: 1000) == .pca)
    }

    @Test func `the drawing is well-formed XML with every point and line`() throws {
        let map = try map(.pca)
        let svg = GapMapSVG.render(
            title: "a < b & \"c\"\u{1}",
            panels: ["Before", "After"].map { .init(title: $0, subtitle: "x > y", map: map) },
            footer: "é")
        let counter = ElementCounter()
        let parser = XMLParser(data: Data(svg.utf8))
        parser.delegate = counter
        #expect(parser.parse(), "\(String(describing: parser.parserError))")
        #expect(counter.counts["circle"] == 2 + 2 * (12 + 24))
        #expect(counter.counts["line"] == 2 * 24)
    }

    private final class ElementCounter: NSObject, XMLParserDelegate {
        var counts: [String: Int] = [:]

        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String] = [:]
        ) { counts[name, default: 0] += 1 }
    }
}
