import Foundation
import Randomness

/// How a map is drawn from embeddings.
public enum GapMapMethod: String, Sendable, Codable, CaseIterable {
    case pca
    case tsne
}

/// Pairs placed in two dimensions; each real image occurs once, however many pairs share it.
public struct GapMap: Sendable, Equatable, Codable {
    public let method: GapMapMethod
    /// The parameters of t-SNE, as used.
    public let perplexity: Double?
    /// Kullback-Leibler divergence of t-SNE, in nats.
    public let divergence: Double?
    /// Share of the variance along x and y, for PCA.
    public let explainedVariance: [Double]?
    /// `[x, y]` of each real image.
    public let real: [[Double]]
    /// For each pair, its row of `real`.
    public let realRow: [Int]
    /// `[x, y]` of each pair's generated image.
    public let generated: [[Double]]

    enum CodingKeys: String, CodingKey {
        case method, perplexity, real, generated
        case divergence = "kl_divergence"
        case explainedVariance = "explained_variance"
        case realRow = "real_row"
    }

    /// With fewer pairs t-SNE has no neighbourhoods to preserve, and PCA is drawn instead.
    public static let fewestPairsForTSNE = 10
    public static let mostPairs = 1000

    /// The method that is used when `wanted` is requested.
    public static func method(_ wanted: GapMapMethod, pairs: Int) -> GapMapMethod {
        pairs < fewestPairsForTSNE ? .pca : wanted
    }

    /// The pairs of a map, ascending: all, or `limit` drawn without replacement by `seed`.
    public static func sample(pairs: Int, limit: Int = mostPairs, seed: UInt64) -> [Int] {
        guard pairs > limit else { return Array(0..<pairs) }
        var random = SplitMix64(seed: seed)
        var indices = Array(0..<pairs)
        for position in 0..<limit {
            indices.swapAt(position, Int.random(in: position..<pairs, using: &random))
        }
        return indices[..<limit].sorted()
    }

    /// Embeddings are normalised first, so that distances follow cosines.
    /// - Parameters:
    ///   - real: one row per distinct image; images without a chosen pair are left out.
    ///   - realRow: for each pair, its row of `real`.
    ///   - generated: one row per pair.
    ///   - pairs: the pairs to draw.
    /// - Throws: ``GapError``
    public init(
        real: EmbeddingRows, realRow: [Int], generated: EmbeddingRows, pairs: [Int], method: GapMapMethod,
        configuration: TSNEConfiguration = TSNEConfiguration()
    ) throws {
        var places: [Int: Int] = [:]
        var order: [Int] = []
        self.realRow = pairs.map { pair in
            let row = realRow[pair]
            if let place = places[row] { return place }
            places[row] = order.count
            order.append(row)
            return order.count - 1
        }
        let points = try real.rows(order).normalized(what: "real images")
            .appending(generated.rows(pairs).normalized(what: "generated images"))
        self.method = method
        let coordinates: [SIMD2<Double>]
        switch method {
        case .pca:
            let components = try PrincipalComponents(points)
            coordinates = components.coordinates
            let total = components.totalVariance
            explainedVariance = components.variances.map { total > 0 ? $0 / total : 0 }
            perplexity = nil
            divergence = nil
        case .tsne:
            let map = try TSNE(points, configuration: configuration)
            coordinates = map.coordinates
            explainedVariance = nil
            perplexity = map.perplexity
            divergence = map.divergence
        }
        let rounded = coordinates.map { [Self.rounded($0.x), Self.rounded($0.y)] }
        self.real = Array(rounded[..<order.count])
        self.generated = Array(rounded[order.count...])
    }

    /// Six decimals are finer than any screen and keep the file small.
    private static func rounded(_ value: Double) -> Double { (value * 1e6).rounded() / 1e6 }
}
