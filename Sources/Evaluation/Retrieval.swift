import Dispatch
import Foundation
import Torch

// Image-text retrieval: recall at k in both directions over all candidates.
//
// Shapes: N images, M texts, D dimensions. Each text belongs to one image, an image has one or more texts.
//
// Only the rank of each query's best positive matters, so nothing is sorted: the rank is the number of candidates above it,
// counted from a strip of the N x M scores at a time. Both directions read the same scores, computed once. The threshold of
// a text (its score with its own image) is known once its image's strip was computed; scores that earlier strips have for it
// are kept until then as far as `scoreMemory` allows, and computed again, by the same product, beyond.

/// Recall at k of both directions, with the counts that they were computed over.
public struct RetrievalMetrics: Codable, Sendable, Equatable {
    /// One direction.
    public struct Direction: Codable, Sendable, Equatable {
        /// Share of queries whose best positive is among the first 1, 5 and 10.
        public var recallAt1: Double
        public var recallAt5: Double
        public var recallAt10: Double
        /// Of the best positive, from 1.
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

    /// A picture asks; one of its own texts must be found.
    public var imageToText: Direction
    /// A text asks; its picture must be found.
    public var textToImage: Direction
    public var imageCount: Int
    public var textCount: Int

    enum CodingKeys: String, CodingKey {
        case imageToText = "image_to_text"
        case textToImage = "text_to_image"
        case imageCount = "images"
        case textCount = "captions"
    }

    /// The rules behind the numbers, for a metrics file: two numbers compare when their tags are equal.
    public var protocolTag: String {
        "retrieval: cosine in float32, every image against every caption, any positive counts, equal scores rank by index, "
            + "\(imageCount) images, \(textCount) captions"
    }
}

/// Rank of each query's best positive among all candidates, from 0.
public struct RetrievalRanks: Sendable, Equatable {
    /// `[N]`: texts ranked before the image's first own text.
    public var imageToText: [Int]
    /// `[M]`: images ranked before the text's image.
    public var textToImage: [Int]
}

/// Features that cannot be evaluated.
public enum RetrievalError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case shapes(images: [Int], texts: [Int])
    case ownerCount(texts: Int, owners: Int)
    case ownerOutOfRange(text: Int, owner: Int, images: Int)
    case imagesWithoutText(first: [Int], count: Int)
    case notFinite(what: String, row: Int)

    public var description: String {
        switch self {
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
    ///   - images: `[N, D]` floating point; rows are L2-normalised here.
    ///   - texts: `[M, D]`.
    ///   - imageOfText: `[M]`, the row of the image that each text belongs to.
    ///   - scoreMemory: bytes that scores may take besides one strip; more time beyond it, never another result.
    /// - Returns: the metrics. Candidates of equal score rank by index, the lower first, so a result never depends on the
    ///   order in which a sort meets equals (two captions with the same words have equal scores).
    /// - Throws: `RetrievalError`.
    public static func metrics(
        images: Tensor, texts: Tensor, imageOfText: [Int], scoreMemory: Int = 192 << 20
    ) throws -> RetrievalMetrics {
        let ranks = try ranks(images: images, texts: texts, imageOfText: imageOfText, scoreMemory: scoreMemory)
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

    /// The rank of each query's best positive; see ``metrics(images:texts:imageOfText:scoreMemory:)``.
    public static func ranks(
        images: Tensor, texts: Tensor, imageOfText: [Int], scoreMemory: Int = 192 << 20
    ) throws -> RetrievalRanks {
        let (n, m) = try validate(images, texts, imageOfText)
        // Texts of one image stand together, images in order; `order` leads back.
        var start = [Int](repeating: 0, count: n + 1)
        for owner in imageOfText { start[owner + 1] += 1 }
        if let missing = Optional((0..<n).filter { start[$0 + 1] == 0 }), !missing.isEmpty {
            throw RetrievalError.imagesWithoutText(first: Array(missing.prefix(10)), count: missing.count)
        }
        for image in 0..<n { start[image + 1] += start[image] }
        var next = start
        var order = [Int](repeating: 0, count: m)
        for (text, owner) in imageOfText.enumerated() {
            order[next[owner]] = text
            next[owner] += 1
        }
        return try withoutGradients {
            let rows = images.to(.float32).normalized()
            let isSorted = order.indices.allSatisfy { order[$0] == $0 }
            let columns = (isSorted ? texts : texts.indexSelect(0, Tensor(order).to(texts.device))).to(.float32)
                .normalized()
            try requireFinite(rows, "image", { $0 })
            try requireFinite(columns, "text", { order[$0] })
            let scorer = try Scorer(images: rows, texts: columns)
            let counter = RankCounter(start: start, order: order)
            var kept: [Int: [Float]] = [:]  // by first row of the strip
            var keptBytes = 0
            let strips = stride(from: 0, to: n, by: scorer.rows).map { $0..<min($0 + scorer.rows, n) }
            for strip in strips {
                let scores = scorer.scores(strip)
                counter.countKnown(strip, scores)
                let rest = counter.unknownCount(after: strip)
                guard rest > 0, keptBytes + rest * strip.count * 4 <= scoreMemory else { continue }
                kept[strip.lowerBound] = counter.unknown(strip, scores)
                keptBytes += rest * strip.count * 4
            }
            for strip in strips {
                if let scores = kept.removeValue(forKey: strip.lowerBound) {
                    counter.countLater(strip, scores, width: counter.unknownCount(after: strip))
                } else if counter.unknownCount(after: strip) > 0 {
                    let scores = scorer.scores(strip)
                    counter.countLater(strip, counter.unknown(strip, scores), width: counter.unknownCount(after: strip))
                }
            }
            return counter.ranks
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

    private static func requireFinite(_ rows: Tensor, _ what: String, _ original: (Int) -> Int) throws {
        guard !rows.sum().item().isFinite else { return }
        let finite: [Bool] = rows.sum(1).isFinite().array()
        if let row = finite.firstIndex(of: false) { throw RetrievalError.notFinite(what: what, row: original(row)) }
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

/// Strips of the score matrix.
private final class Scorer {
    /// Images per strip.
    let rows: Int
    private let images: Tensor
    private let texts: Tensor
    private let packed: PackedLinear?

    init(images: Tensor, texts: Tensor) throws {
        self.images = images
        let count = texts.size(0)
        // About 16 MiB of scores: enough rows for the product's speed, and still in reach of the cache that counts them.
        rows = max(16, min(256, (4 << 20) / count))
        // oneDNN multiplies float32 about twice as fast as the default on the CPUs we measured.
        let hasOneDNN = try TorchRuntime.hasOneDNN()
        packed = images.device == .cpu && hasOneDNN ? PackedLinear(weight: texts, bias: nil, rows: rows) : nil
        self.texts = texts
    }

    /// `[strip, M]` on the CPU; equal calls give equal bits.
    func scores(_ strip: Range<Int>) -> Tensor {
        let part = images[strip]
        return (packed.map { $0(part) } ?? part.matmul(texts.transposed(0, 1))).to(.cpu).contiguous()
    }
}

/// Counts who ranks before whom; texts are numbered in the order of their images here.
private final class RankCounter: @unchecked Sendable {  // parallel work writes disjoint elements
    private let start: [Int]  // [N + 1]: texts of image i are start[i]..<start[i + 1]
    private let order: [Int]  // [M]: the caller's number of each text
    private let threshold: UnsafeMutableBufferPointer<Float>  // [M], as far as known
    private let before: UnsafeMutableBufferPointer<Int32>  // [M]
    private let imageRank: UnsafeMutableBufferPointer<Int>  // [N]

    init(start: [Int], order: [Int]) {
        self.start = start
        self.order = order
        threshold = .allocate(capacity: order.count)
        threshold.initialize(repeating: 0)
        before = .allocate(capacity: order.count)
        before.initialize(repeating: 0)
        imageRank = .allocate(capacity: start.count - 1)
        imageRank.initialize(repeating: 0)
    }

    deinit {
        threshold.deallocate()
        before.deallocate()
        imageRank.deallocate()
    }

    var ranks: RetrievalRanks {
        var textRank = [Int](repeating: 0, count: order.count)
        for (sorted, text) in order.enumerated() { textRank[text] = Int(before[sorted]) }
        return RetrievalRanks(imageToText: Array(imageRank), textToImage: textRank)
    }

    /// Texts whose image comes after the strip: their thresholds are not known yet.
    func unknownCount(after strip: Range<Int>) -> Int { order.count - start[strip.upperBound] }

    /// The scores of those texts.
    func unknown(_ strip: Range<Int>, _ scores: Tensor) -> [Float] {
        let (m, from) = (order.count, start[strip.upperBound])
        let width = m - from
        return scores.withUnsafeBytes { raw in
            let all = raw.bindMemory(to: Float.self)
            return [Float](unsafeUninitializedCapacity: width * strip.count) { buffer, count in
                for row in 0..<strip.count {
                    (buffer.baseAddress! + row * width).initialize(
                        from: all.baseAddress! + row * m + from, count: width)
                }
                count = width * strip.count
            }
        }
    }

    /// Ranks of the strip's images, thresholds of their texts, and counts for every text whose threshold is known.
    func countKnown(_ strip: Range<Int>, _ scores: Tensor) {
        let m = order.count
        scores.withUnsafeBytes { raw in
            nonisolated(unsafe) let all = raw.bindMemory(to: Float.self).baseAddress!
            DispatchQueue.concurrentPerform(iterations: strip.count) { row in
                rankImage(strip.lowerBound + row, all + row * m)
            }
            let end = start[strip.upperBound]
            stripes(0..<end) { columns in
                for (row, image) in strip.enumerated() {
                    let line = all + row * m
                    // Equals rank by index: an image that comes after the text's own must be strictly better.
                    count(line, columns.clamped(to: 0..<max(0, start[image])), offset: 0, orEqual: false)
                    count(
                        line, columns.clamped(to: start[image + 1]..<max(end, start[image + 1])), offset: 0,
                        orEqual: true)
                }
            }
        }
    }

    /// Counts for the texts whose thresholds came later; every image of the strip comes before theirs.
    func countLater(_ strip: Range<Int>, _ scores: [Float], width: Int) {
        let from = start[strip.upperBound]
        scores.withUnsafeBufferPointer { buffer in
            nonisolated(unsafe) let all = buffer.baseAddress!
            stripes(from..<from + width) { columns in
                for row in 0..<strip.count { count(all + row * width, columns, offset: from, orEqual: true) }
            }
        }
    }

    /// Splits columns among the cores.
    private func stripes(_ columns: Range<Int>, _ body: @Sendable (Range<Int>) -> Void) {
        let width = 2048
        let parts = (columns.count + width - 1) / width
        DispatchQueue.concurrentPerform(iterations: parts) { part in
            let first = columns.lowerBound + part * width
            body(first..<min(first + width, columns.upperBound))
        }
    }

    /// `before[j] += scores[j - offset] > threshold[j]` (or ≥) over `columns`.
    @inline(__always)
    private func count(_ scores: UnsafePointer<Float>, _ columns: Range<Int>, offset: Int, orEqual: Bool) {
        guard !columns.isEmpty else { return }
        let length = columns.count
        let score = scores + (columns.lowerBound - offset)
        let limit = threshold.baseAddress! + columns.lowerBound
        let sum = before.baseAddress! + columns.lowerBound
        if orEqual {
            for j in 0..<length { sum[j] &+= score[j] >= limit[j] ? 1 : 0 }
        } else {
            for j in 0..<length { sum[j] &+= score[j] > limit[j] ? 1 : 0 }
        }
    }

    /// The image's rank, and the thresholds of its texts.
    private func rankImage(_ image: Int, _ scores: UnsafePointer<Float>) {
        let own = start[image]..<start[image + 1]
        var best = own.lowerBound  // order[] rises within an image, so the first of equals is the lowest index
        for text in own {
            threshold[text] = scores[text]
            if scores[text] > scores[best] { best = text }
        }
        let value = scores[best]
        var above: Int32 = 0
        var equal: Int32 = 0
        for text in 0..<order.count {
            above &+= scores[text] > value ? 1 : 0
            equal &+= scores[text] == value ? 1 : 0
        }
        var rank = Int(above)
        if equal > 1 {
            for text in 0..<order.count where scores[text] == value && order[text] < order[best] { rank += 1 }
        }
        imageRank[image] = rank
    }
}
