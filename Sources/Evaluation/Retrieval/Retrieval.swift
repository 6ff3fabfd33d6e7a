import CScores
import Foundation
import Torch

// Image-text retrieval: recall at k in both directions over all candidates.
//
// Shapes: N images, M texts, D dimensions. Each text belongs to one image, an image has one or more texts.
//
// Only the rank of each query's best positive matters, so nothing is sorted and no score is stored. The scores of the
// positives are computed first; then `CScores` compares every score with both of its thresholds while it is still in a
// register.

/// Recall at k in both directions, with the counts over which it was computed.
public struct RetrievalMetrics: Codable, Sendable, Equatable {
    /// One direction.
    public struct Direction: Codable, Sendable, Equatable {
        /// Share of queries whose best positive is among the first 1, 5 and 10.
        public var recallAt1: Double
        public var recallAt5: Double
        public var recallAt10: Double
        /// Rank of the best positive, from 1.
        public var medianRank: Double
        /// What random scores would reach at 1, 5 and 10, on average.
        public var chanceAt1: Double
        public var chanceAt5: Double
        public var chanceAt10: Double

        enum CodingKeys: String, CodingKey {
            case recallAt1 = "R@1"
            case recallAt5 = "R@5"
            case recallAt10 = "R@10"
            case medianRank = "median_rank"
            case chanceAt1 = "chance_R@1"
            case chanceAt5 = "chance_R@5"
            case chanceAt10 = "chance_R@10"
        }
    }

    /// The query is a picture; one of its own texts must be found.
    public var imageToText: Direction
    /// The query is a text; its picture must be found.
    public var textToImage: Direction
    public var imageCount: Int
    public var textCount: Int

    enum CodingKeys: String, CodingKey {
        case imageToText = "image_to_text"
        case textToImage = "text_to_image"
        case imageCount = "images"
        case textCount = "captions"
    }

    /// The rules behind the numbers, for a metrics file: two numbers may be compared if their tags are equal.
    public var protocolTag: String {
        "retrieval: cosine in float32, every image against every caption, any positive counts, equal scores rank by index, "
            + "\(imageCount) images, \(textCount) captions"
    }
}

/// Rank of each query's best positive among all candidates, from 0.
public struct RetrievalRanks: Sendable, Equatable {
    /// `[N]`: number of texts that rank before the image's first own text.
    public var imageToText: [Int]
    /// `[M]`: number of images that rank before the text's image.
    public var textToImage: [Int]
}

/// Features that cannot be evaluated.
public enum RetrievalError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case unreadableImages(count: Int, total: Int, first: String)
    /// Images and texts have embeddings of different lengths.
    case anotherSpace(image: Int, text: Int)
    case shapes(images: [Int], texts: [Int])
    case ownerCount(texts: Int, owners: Int)
    case ownerOutOfRange(text: Int, owner: Int, images: Int)
    case imagesWithoutText(first: [Int], count: Int)
    case notFinite(what: String, row: Int)

    public var description: String {
        switch self {
        case .unreadableImages(let count, let total, let first):
            "\(count) of \(total) images could not be read, so recall would be over another set; the first: \(first)"
        case .anotherSpace(let image, let text):
            "the run's projections lead to \(image) dimensions, the text encoder has \(text): images and texts cannot be "
                + "compared"
        case .shapes(let images, let texts):
            "image features \(images) and text features \(texts) do not pair: expected [N, D] and [M, D] with N, M and D at least 1 and one D"
        case .ownerCount(let texts, let owners):
            "\(owners) image numbers for \(texts) texts: expected one per text"
        case .ownerOutOfRange(let text, let owner, let images):
            "text \(text) belongs to image \(owner), but there are images 0 to \(images - 1)"
        case .imagesWithoutText(let first, let count):
            "\(count) images have no text and could never be found: \(first.map(String.init).joined(separator: ", "))\(count > first.count ? ", …" : ""); leave them out"
        case .notFinite(let what, let row):
            "\(what) \(row) has features that are not finite (NaN or infinity): its rank would mean nothing; embed it again, in float32"
        }
    }

    public var errorDescription: String? { description }
}

public enum Retrieval {
    /// Recall at 1, 5 and 10 in both directions.
    ///
    /// - Parameters:
    ///   - images: `[N, D]` floating point, on any device; rows are L2-normalised here.
    ///   - texts: `[M, D]`.
    ///   - imageOfText: `[M]`, the row of the image to which each text belongs.
    /// - Returns: the metrics. Candidates of equal score rank by index, the lower first, so a result never depends on
    ///   how a sort orders equal elements (two captions with the same words have equal scores).
    /// - Throws: `RetrievalError`.
    public static func metrics(images: Tensor, texts: Tensor, imageOfText: [Int]) throws -> RetrievalMetrics {
        let ranks = try ranks(images: images, texts: texts, imageOfText: imageOfText)
        let imageCount = ranks.imageToText.count
        let textCount = ranks.textToImage.count
        var owned = [Int](repeating: 0, count: imageCount)
        for owner in imageOfText { owned[owner] += 1 }
        return RetrievalMetrics(
            imageToText: direction(ranks.imageToText, positives: owned, candidates: textCount),
            textToImage: direction(
                ranks.textToImage, positives: Array(repeating: 1, count: textCount), candidates: imageCount),
            imageCount: imageCount, textCount: textCount)
    }

    /// The rank of each query's best positive; see ``metrics(images:texts:imageOfText:)``.
    ///
    /// It runs on the CPU with all cores, and needs three times the memory of the features.
    public static func ranks(images: Tensor, texts: Tensor, imageOfText: [Int]) throws -> RetrievalRanks {
        let (n, m) = try validate(images, texts, imageOfText)
        var hasText = [Bool](repeating: false, count: n)
        for owner in imageOfText { hasText[owner] = true }
        let missing = (0..<n).filter { !hasText[$0] }
        guard missing.isEmpty else {
            throw RetrievalError.imagesWithoutText(first: Array(missing.prefix(10)), count: missing.count)
        }
        return try withoutGradients {
            let rows = images.to(.cpu).to(.float32).normalized().contiguous()
            let columns = texts.to(.cpu).to(.float32).normalized().contiguous()
            try requireFinite(rows, "image")
            try requireFinite(columns, "text")
            return rows.withUnsafeBytes { rows in
                columns.withUnsafeBytes { columns in
                    RankCounting(
                        images: rows.bindMemory(to: Float.self), imageCount: n,
                        texts: columns.bindMemory(to: Float.self), textCount: m, imageOfText: imageOfText
                    ).ranks()
                }
            }
        }
    }

    private static func validate(_ images: Tensor, _ texts: Tensor, _ imageOfText: [Int]) throws -> (Int, Int) {
        let (a, b) = (images.shape, texts.shape)
        guard a.count == 2, b.count == 2, a[1] == b[1], a[0] > 0, b[0] > 0, a[1] > 0 else {
            throw RetrievalError.shapes(images: a, texts: b)
        }
        guard imageOfText.count == b[0] else { throw RetrievalError.ownerCount(texts: b[0], owners: imageOfText.count) }
        for (text, owner) in imageOfText.enumerated() where !(0..<a[0]).contains(owner) {
            throw RetrievalError.ownerOutOfRange(text: text, owner: owner, images: a[0])
        }
        return (a[0], b[0])
    }

    private static func requireFinite(_ rows: Tensor, _ what: String) throws {
        guard !rows.sum().item().isFinite else { return }
        let finite: [Bool] = rows.sum(1).isFinite().array()
        if let row = finite.firstIndex(of: false) { throw RetrievalError.notFinite(what: what, row: row) }
    }

    private static func direction(_ ranks: [Int], positives: [Int], candidates: Int) -> RetrievalMetrics.Direction {
        func recall(_ k: Int) -> Double { Double(ranks.count { $0 < k }) / Double(ranks.count) }
        func chance(_ k: Int) -> Double {
            // None of the first k is one of p positives: (c - p)! (c - k)! / (c! (c - p - k)!).
            let misses = positives.map { p in
                (0..<min(k, candidates)).reduce(1.0) {
                    $0 * Double(max(0, candidates - p - $1)) / Double(candidates - $1)
                }
            }
            return 1 - misses.reduce(0, +) / Double(misses.count)
        }
        let sorted = ranks.sorted()
        let middle = sorted.count / 2
        let median = sorted.count % 2 == 1 ? Double(sorted[middle]) : Double(sorted[middle - 1] + sorted[middle]) / 2
        return .init(
            recallAt1: recall(1), recallAt5: recall(5), recallAt10: recall(10), medianRank: median + 1,
            chanceAt1: chance(1), chanceAt5: chance(5), chanceAt10: chance(10))
    }
}
