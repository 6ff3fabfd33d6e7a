import Files
import Foundation

/// Word mover's distance as a caption score (Kusner et al., ICML 2015; for captions Kilickaya et al., EACL 2017).
///
/// Stop words and words without a vector are dropped. The distance is the exact optimal transport between the word
/// histograms of two captions with the Euclidean distance of the vectors as cost; the score of an image is the largest
/// exp(−distance) over its references, the corpus score the mean. A side without words left gives 0.
///
/// gensim 3 used vectors unchanged (published numbers), gensim 4 scales them to length one: `.raw` and `.unit`, whose
/// values may not be compared.
public struct WordMoversDistance: CaptionMetric {
    public enum Variant: String, Sendable, CaseIterable {
        case raw, unit
    }

    public let name = "wmd"
    public let vectors: WordVectors
    public let variant: Variant
    private let stopWords: Set<[UInt8]>

    /// - Parameter stopWords: dropped from both sides; by default NLTK's English list of 153 words.
    public init(vectors: WordVectors, variant: Variant = .raw, stopWords: Set<String> = StopWords.english) {
        self.vectors = vectors
        self.variant = variant
        self.stopWords = Set(stopWords.map { Array($0.utf8) })
    }

    public func evaluate(_ captions: TokenizedCaptions) -> [CaptionScore] {
        let perImage = Parallel.mapBlocks(captions.imageIDs.count, blockSize: 16) { images in
            images.map { image in
                distances(captions.candidates[image], captions.references[image]).map { exp(-$0) }.max() ?? 0
            }
        }
        let tag = CaptionProtocol(
            metric: "wmd", variant: "\(variant.rawValue) vectors, exp(-distance), stop words removed",
            captions: captions,
            additionalHashes: vectors.hash.map { ["wordVectors": $0] } ?? [:])
        return [CaptionScore(name: "WMD", corpus: perImage.mean, perImage: perImage, protocolTag: tag)]
    }

    /// The distance of a candidate to each reference; infinite where a side has no words left.
    public func distances(_ candidate: String, _ references: [String]) -> [Double] {
        let own = histogram(candidate)
        return references.map { distance(own, histogram($0)) }
    }

    /// Rows of the vectors and how often each occurs, in order of first occurrence.
    private struct Histogram {
        var rows: [Int] = []
        var counts: [Int] = []
        var length = 0
    }

    private func histogram(_ caption: String) -> Histogram {
        var result = Histogram()
        // Works on bytes: a blank before a combining mark is one Character, at which the text would not be split.
        for word in caption.utf8.split(separator: 0x20) {
            guard !stopWords.contains(Array(word)), let row = vectors.row(of: word) else { continue }
            result.length += 1
            if let index = result.rows.firstIndex(of: row) {
                result.counts[index] += 1
            } else {
                result.rows.append(row)
                result.counts.append(1)
            }
        }
        return result
    }

    private func distance(_ first: Histogram, _ second: Histogram) -> Double {
        guard first.length > 0, second.length > 0 else { return .infinity }
        var cost: [Double] = []
        cost.reserveCapacity(first.rows.count * second.rows.count)
        for a in first.rows { for b in second.rows { cost.append(a == b ? 0 : euclidean(a, b)) } }
        // Masses count/length, scaled by both lengths to be whole numbers.
        let total = OptimalTransport.cost(
            supply: first.counts.map { $0 * second.length }, demand: second.counts.map { $0 * first.length }, cost: cost
        )
        return total / Double(first.length * second.length)
    }

    private func euclidean(_ first: Int, _ second: Int) -> Double {
        let dimension = vectors.dimension
        return vectors.values.withUnsafeBufferPointer { values in
            let a = UnsafeBufferPointer(rebasing: values[first * dimension..<(first + 1) * dimension])
            let b = UnsafeBufferPointer(rebasing: values[second * dimension..<(second + 1) * dimension])
            var (scaleA, scaleB) = (1.0, 1.0)
            if variant == .unit {
                scaleA = Self.inverseLength(a)
                scaleB = Self.inverseLength(b)
            }
            var sum = 0.0
            for index in 0..<dimension {
                let difference = Double(a[index]) * scaleA - Double(b[index]) * scaleB
                sum += difference * difference
            }
            return sum.squareRoot()
        }
    }

    /// A zero vector stays as it is.
    private static func inverseLength(_ vector: UnsafeBufferPointer<Float>) -> Double {
        let length = vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        return length > 0 ? 1 / length : 1
    }
}
