import Files
import Foundation

/// CIDEr (Vedantam et al., CVPR 2015): agreement of n-grams weighted by how rare they are among the references.
///
/// Two variants. `.d` is CIDEr-D, which coco-caption and most papers call plainly "CIDEr": counts are clipped to the
/// reference's and captions of other length are marked down. `.plain` is the paper's cosine without either. Document
/// frequencies come from the references scored (an image counts once), so one image alone gives 0, as does an n-gram that
/// every image has.
///
/// With w(g) = count · (ln N − ln max(1, df(g))), per reference and n: Σ min(w_c, w_r)·w_r / (|c|·|r|), times
/// exp(−(l_c − l_r)² / 72) where l counts bigrams (coco-caption's choice). The score is 10 times the mean over n and over
/// references; the corpus score is the mean over images.
public struct CIDEr: CaptionMetric {
    public enum Variant: String, Sendable, CaseIterable {
        case d = "CIDEr"
        case plain = "CIDEr-plain"
    }

    public let variant: Variant
    public var name: String { variant == .d ? "cider" : "cider-plain" }
    /// Standard deviation of the length penalty, in bigrams.
    static let sigma = 6.0

    public init(_ variant: Variant = .d) { self.variant = variant }

    public func evaluate(_ captions: TokenizedCaptions) -> [CaptionScore] {
        let index = captions.nGrams
        let inverse = Self.inverseDocumentFrequencies(index)
        let perImage = Parallel.mapBlocks(captions.imageIDs.count) { images in
            images.map { score(index, inverse, $0) }
        }
        let tag = CaptionProtocol(
            metric: variant == .d ? "cider-d" : "cider",
            variant: (variant == .d ? "clipped, length penalty sigma 6" : "cosine")
                + ", document frequencies of the references scored",
            captions: captions)
        return [
            CaptionScore(
                name: variant.rawValue, corpus: perImage.mean, perImage: perImage, protocolTag: tag,
                note: perImage.count == 1
                    ? "\(variant.rawValue) of one image is 0 whatever its caption: words weigh by how many of the images have "
                        + "them, so score a set of images" : nil)
        ]
    }

    /// ln N − ln max(1, df), by n-gram number.
    private static func inverseDocumentFrequencies(_ index: NGramIndex) -> [Double] {
        let images = index.words.imageCount
        var frequency = [Int32](repeating: 0, count: index.gramCount)
        var lastImage = [Int32](repeating: -1, count: index.gramCount)
        for image in 0..<images {
            for caption in index.words.references(of: image) {
                let first = index.entries(caption, order: 0).lowerBound
                let last = index.entries(caption, order: NGramIndex.maximumOrder - 1).upperBound
                for entry in first..<last {
                    let gram = Int(index.entries[entry].gram)
                    if lastImage[gram] != Int32(image) {
                        lastImage[gram] = Int32(image)
                        frequency[gram] += 1
                    }
                }
            }
        }
        let all = log(Double(images))
        // There are few distinct frequencies, so the logarithms are looked up.
        let logarithm = (0...max(1, images)).map { log(Double(max(1, $0))) }
        return frequency.map { all - logarithm[Int($0)] }
    }

    private func score(_ index: NGramIndex, _ inverse: [Double], _ image: Int) -> Double {
        let candidate = index.words.candidate(of: image)
        let references = index.words.references(of: image)
        func weight(_ entry: Int) -> Double {
            Double(index.entries[entry].count) * inverse[Int(index.entries[entry].gram)]
        }
        func norm(_ caption: Int, _ order: Int) -> Double {
            var sum = 0.0
            for entry in index.entries(caption, order: order) { sum += weight(entry) * weight(entry) }
            return sum.squareRoot()
        }
        func bigrams(_ caption: Int) -> Double { Double(max(0, index.length(caption) - 1)) }

        var total = 0.0
        for order in 0..<NGramIndex.maximumOrder {
            let candidateNorm = norm(candidate, order)
            for reference in references {
                var dot = 0.0
                index.forEachCommon(candidate, reference, order: order) { own, other in
                    let (a, b) = (weight(own), weight(other))
                    dot += (variant == .d ? min(a, b) : a) * b
                }
                let referenceNorm = norm(reference, order)
                if candidateNorm != 0, referenceNorm != 0 { dot /= candidateNorm * referenceNorm }
                if variant == .d {
                    let difference = bigrams(candidate) - bigrams(reference)
                    dot *= exp(-difference * difference / (2 * Self.sigma * Self.sigma))
                }
                total += dot
            }
        }
        return 10 * total / Double(NGramIndex.maximumOrder) / Double(references.count)
    }
}
