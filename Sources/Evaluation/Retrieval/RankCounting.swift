import CScores

/// Counts which candidates rank before each query's best positive, over all images and texts at once.
///
/// A score is a fixed function of its two rows (`CScores`). So the scores of the positives, which are computed first
/// and one by one, are exactly the numbers that the product computes again, and equal rows tie exactly.
struct RankCounting {
    private let dimension: Int
    private let imageCount: Int
    private let textCount: Int
    private let images: [Float]  // packed in panels
    private let texts: [Float]
    private let imageOfText: [Int32]  // padded to whole panels, as all that is counted by text
    private let ownScore: [Float]  // of each text, with its image
    private let bestScore: [Float]  // of each image, with its best text
    private let bestText: [Int32]  // the first text of that score

    private static let imagePanel = Int(cscores_image_rows)
    private static let textPanel = Int(cscores_text_rows)

    /// - Parameters:
    ///   - images: `[imageCount, D]`, normalised.
    ///   - texts: `[textCount, D]`, normalised.
    ///   - imageOfText: the image of each text; every image has at least one text.
    init(
        images: UnsafeBufferPointer<Float>, imageCount: Int, texts: UnsafeBufferPointer<Float>, textCount: Int,
        imageOfText: [Int]
    ) {
        let dimension = images.count / imageCount
        self.dimension = dimension
        self.imageCount = imageCount
        self.textCount = textCount
        self.images = Self.packed(images, rows: imageCount, dimension: dimension, panel: Self.imagePanel)
        self.texts = Self.packed(texts, rows: textCount, dimension: dimension, panel: Self.textPanel)
        let padding = (textCount + Self.textPanel - 1) / Self.textPanel * Self.textPanel - textCount
        self.imageOfText = imageOfText.map(Int32.init) + Array(repeating: 0, count: padding)

        let (imageRows, textRows) = (Rows(base: images.baseAddress!), Rows(base: texts.baseAddress!))
        let piece = 1024
        let pieces = Parallel.map((textCount + piece - 1) / piece) { number in
            (number * piece..<min(textCount, (number + 1) * piece)).map { text in
                cscores_dot(
                    imageRows.base + imageOfText[text] * dimension, textRows.base + text * dimension, dimension)
            }
        }
        ownScore = pieces.flatMap { $0 } + Array(repeating: 0, count: padding)
        var bestScore = [Float](repeating: -.infinity, count: imageCount)
        var bestText = [Int32](repeating: 0, count: imageCount)
        for (text, image) in imageOfText.enumerated() where ownScore[text] > bestScore[image] {
            bestScore[image] = ownScore[text]
            bestText[image] = Int32(text)
        }
        self.bestScore = bestScore
        self.bestText = bestText
    }

    /// Ranks from 0, for each image and each text.
    func ranks() -> RetrievalRanks {
        let panels = imageOfText.count / Self.textPanel
        // There are more pieces than cores, so that a core that is slowed down does not keep the others waiting.
        let piece = max(1, min(64, panels / 8))
        let count = (panels + piece - 1) / piece
        var beforeImage = [Int32](repeating: 0, count: imageOfText.count)
        let partial = beforeImage.withUnsafeMutableBufferPointer { beforeImage in
            let target = Counts(base: beforeImage.baseAddress!)
            return withProblem { problem in
                Parallel.map(count) { number -> [Int32] in
                    var problem = problem
                    var scratch = [Float](repeating: 0, count: cscores_scratch_size())
                    var beforeText = [Int32](repeating: 0, count: imageCount)
                    _ = cscores_count(
                        &problem, number * piece, min(panels, (number + 1) * piece), &beforeText, target.base, &scratch)
                    return beforeText
                }
            }
        }
        var beforeText = [Int](repeating: 0, count: imageCount)
        for counts in partial { for image in 0..<imageCount { beforeText[image] += Int(counts[image]) } }
        return RetrievalRanks(imageToText: beforeText, textToImage: beforeImage.prefix(textCount).map(Int.init))
    }

    private func withProblem<Result>(_ body: (cscores_problem) -> Result) -> Result {
        images.withUnsafeBufferPointer { images in
            texts.withUnsafeBufferPointer { texts in
                bestScore.withUnsafeBufferPointer { bestScore in
                    bestText.withUnsafeBufferPointer { bestText in
                        ownScore.withUnsafeBufferPointer { ownScore in
                            imageOfText.withUnsafeBufferPointer { imageOfText in
                                body(
                                    cscores_problem(
                                        images: images.baseAddress, texts: texts.baseAddress, image_count: imageCount,
                                        text_count: textCount, dimension: dimension, best_score: bestScore.baseAddress,
                                        best_text: bestText.baseAddress, own_score: ownScore.baseAddress,
                                        image_of_text: imageOfText.baseAddress))
                            }
                        }
                    }
                }
            }
        }
    }

    private static func packed(
        _ source: UnsafeBufferPointer<Float>, rows: Int, dimension: Int, panel: Int
    ) -> [Float] {
        let size = cscores_packed_size(rows, dimension, panel)
        return [Float](unsafeUninitializedCapacity: size) { target, count in
            let (from, to) = (Rows(base: source.baseAddress!), Values(base: target.baseAddress!))
            let panels = (rows + panel - 1) / panel
            let piece = 64
            _ = Parallel.map((panels + piece - 1) / piece) { number in
                cscores_pack(
                    from.base, rows, dimension, panel, number * piece, min(panels, (number + 1) * piece), to.base)
            }
            count = size
        }
    }

    // Threads read the same rows and write counts and panels of their own.
    private struct Rows: @unchecked Sendable { let base: UnsafePointer<Float> }
    private struct Values: @unchecked Sendable { let base: UnsafeMutablePointer<Float> }
    private struct Counts: @unchecked Sendable { let base: UnsafeMutablePointer<Int32> }
}
