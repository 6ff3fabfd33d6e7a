import Files
import Foundation

/// BLEU-1 to BLEU-4 (Papineni et al., ACL 2002) as coco-caption computes them, with the closest reference length.
///
/// The corpus score is the formula on the summed counts, not a mean. Per image, and for the corpus, with c the length of
/// the candidate and r that of the reference closest to it (the shorter on a tie):
///
///     BLEU-k = (Π n≤k (correct_n + 1e-15) / (guess_n + 1e-9))^(1/k) · min(1, exp(1 − 1/ratio)),
///     ratio = (c + 1e-15) / (r + 1e-9)
///
/// The small constants are coco-caption's; an image without a common 4-gram therefore has a tiny BLEU-4 above 0.
public struct BLEU: CaptionMetric {
    public let name = "bleu"

    public init() {}

    /// The counts of which the formula is made.
    public struct Counts: Sendable, Equatable {
        public var candidateLength = 0
        public var referenceLength = 0
        /// N-grams of the candidate, n = 1…4.
        public var guess = [0, 0, 0, 0]
        /// N-grams that occur in a reference, each counted at most as often as in the reference that has it most.
        public var correct = [0, 0, 0, 0]

        public init() {}

        static func += (left: inout Counts, right: Counts) {
            left.candidateLength += right.candidateLength
            left.referenceLength += right.referenceLength
            for order in 0..<4 {
                left.guess[order] += right.guess[order]
                left.correct[order] += right.correct[order]
            }
        }

        /// BLEU-1 to BLEU-4.
        public var scores: [Double] {
            let ratio = (Double(candidateLength) + 1e-15) / (Double(referenceLength) + 1e-9)
            let brevity = ratio < 1 ? exp(1 - 1 / ratio) : 1
            var product = 1.0
            return (0..<4).map { order in
                product *= (Double(correct[order]) + 1e-15) / (Double(guess[order]) + 1e-9)
                return pow(product, 1 / Double(order + 1)) * brevity
            }
        }
    }

    public func evaluate(_ captions: TokenizedCaptions) -> [CaptionScore] {
        let perImage = counts(captions)
        var total = Counts()
        for counts in perImage { total += counts }
        let corpus = total.scores
        let scores = perImage.map(\.scores)
        let tag = CaptionProtocol(metric: "bleu", variant: "closest reference length", captions: captions)
        return (0..<4).map { order in
            CaptionScore(
                name: "Bleu_\(order + 1)", corpus: corpus[order], perImage: scores.map { $0[order] }, protocolTag: tag)
        }
    }

    /// The counts of each image.
    public func counts(_ captions: TokenizedCaptions) -> [Counts] {
        let index = captions.nGrams
        return Parallel.mapBlocks(captions.imageIDs.count) { images in images.map { Self.counts(index, $0) } }
    }

    private static func counts(_ index: NGramIndex, _ image: Int) -> Counts {
        let candidate = index.words.candidate(of: image)
        let references = index.words.references(of: image)
        var counts = Counts()
        counts.candidateLength = index.length(candidate)
        counts.referenceLength = references.map { index.length($0) }.min { left, right in
            let (a, b) = (abs(left - counts.candidateLength), abs(right - counts.candidateLength))
            return a == b ? left < right : a < b
        }!  // an image has at least one reference
        for order in 0..<NGramIndex.maximumOrder {
            counts.guess[order] = max(0, counts.candidateLength - order)
            let range = index.entries(candidate, order: order)
            var best = [Int32](repeating: 0, count: range.count)
            for reference in references {
                index.forEachCommon(candidate, reference, order: order) { own, other in
                    best[own - range.lowerBound] = max(best[own - range.lowerBound], index.entries[other].count)
                }
            }
            for own in range {
                counts.correct[order] += Int(min(best[own - range.lowerBound], index.entries[own].count))
            }
        }
        return counts
    }
}

extension NGramIndex {
    /// Calls `body` with the positions in `entries` of each n-gram that two captions share.
    @inline(__always)
    func forEachCommon(_ first: Int, _ second: Int, order: Int, _ body: (Int, Int) -> Void) {
        let (a, b) = (entries(first, order: order), entries(second, order: order))
        var (i, j) = (a.lowerBound, b.lowerBound)
        while i < a.upperBound, j < b.upperBound {
            let (left, right) = (entries[i].gram, entries[j].gram)
            if left == right {
                body(i, j)
                i += 1
                j += 1
            } else if left < right {
                i += 1
            } else {
                j += 1
            }
        }
    }
}
