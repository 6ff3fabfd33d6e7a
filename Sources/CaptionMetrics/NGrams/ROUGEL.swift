import Files

/// ROUGE-L (Lin, 2004) as coco-caption computes it: an F-score of the longest common subsequence with β = 1.2.
///
/// Precision and recall are each the best over the references, which need not be the same one:
/// F = (1 + β²)·P·R / (R + β²·P), 0 if either is 0. The corpus score is the mean. Words are split at single blanks, so an
/// empty caption is one empty word and matches another empty caption.
public struct ROUGEL: CaptionMetric {
    public let name = "rouge"
    static let beta = 1.2

    public init() {}

    /// Comparing two captions takes a step for each pair of their words; this many take some seconds.
    static let mostPairs = 1_000_000_000

    /// - Throws: `CaptionDataError.tooLong`.
    public func evaluate(_ captions: TokenizedCaptions) throws -> [CaptionScore] {
        let index = captions.blankSeparatedWords
        for image in 0..<index.imageCount {
            let words = index.range(of: index.candidate(of: image)).count
            for reference in index.references(of: image) {
                let others = index.range(of: reference).count
                guard words.multipliedReportingOverflow(by: others).partialValue <= Self.mostPairs else {
                    throw CaptionDataError.tooLong(
                        captions.imageIDs[image], metric: name, candidate: words, reference: others)
                }
            }
        }
        let perImage = Parallel.mapBlocks(captions.imageIDs.count) { images in
            var row: [Int] = []
            return images.map { Self.score(index, $0, &row) }
        }
        let tag = CaptionProtocol(metric: "rouge-l", variant: "beta 1.2", captions: captions)
        return [
            CaptionScore(name: "ROUGE_L", corpus: perImage.mean, perImage: perImage, protocolTag: tag)
        ]
    }

    private static func score(_ index: WordIndex, _ image: Int, _ row: inout [Int]) -> Double {
        let candidate = index.range(of: index.candidate(of: image))
        var precision = 0.0
        var recall = 0.0
        for caption in index.references(of: image) {
            let reference = index.range(of: caption)
            let common = Double(commonLength(index.words, candidate, reference, &row))
            precision = max(precision, common / Double(candidate.count))
            recall = max(recall, common / Double(reference.count))
        }
        guard precision > 0, recall > 0 else { return 0 }
        let square = beta * beta
        return (1 + square) * precision * recall / (recall + square * precision)
    }

    /// Length of the longest common subsequence; `row` is working memory.
    private static func commonLength(
        _ words: [Int32], _ first: Range<Int>, _ second: Range<Int>, _ row: inout [Int]
    ) -> Int {
        row.removeAll(keepingCapacity: true)
        row.append(contentsOf: repeatElement(0, count: second.count + 1))
        for i in first {
            var diagonal = 0
            for j in 0..<second.count {
                let above = row[j + 1]
                row[j + 1] = words[i] == words[second.lowerBound + j] ? diagonal + 1 : max(above, row[j])
                diagonal = above
            }
        }
        return row[second.count]
    }
}

extension [Double] {
    /// The sum in order, divided by the count; NaN if empty.
    var mean: Double { reduce(0, +) / Double(count) }
}
