/// Everything one thread needs to score pairs: normaliser, word table, matchers, aligner.
final class MeteorWorker {
    /// Captions of more words than this are refused; the longest of COCO has fewer than 60.
    static let wordLimit = 10_000

    /// One pair, with every step on the way to its statistics.
    struct Pair {
        var test: MeteorSentence
        var reference: MeteorSentence
        var candidates: MeteorCandidates
        var alignment: MeteorAligner.Alignment
        var statistics: MeteorStatistics
    }

    let vocabulary: MeteorVocabulary
    /// The image being scored, for error messages.
    var image = 0 {
        didSet { matchers.image = image }
    }

    private let matchers: MeteorMatchers
    private let aligner = MeteorAligner()

    init(data: MeteorData?, modules: [MeteorModule]) {
        vocabulary = MeteorVocabulary(data: data, modules: modules)
        matchers = MeteorMatchers(vocabulary: vocabulary, modules: modules)
    }

    /// The statistics of the reference that scores best, the first of equals.
    /// - Throws: `MeteorError.captionTooLong`, `.tooManyMatches`.
    func best(test: MeteorSentence, references: [MeteorSentence]) throws(MeteorError) -> MeteorStatistics? {
        var best: (statistics: MeteorStatistics, score: Double)?
        for reference in references {
            let statistics = try pair(test: test, reference: reference).statistics
            let score = statistics.score.score
            if best == nil || score > best!.score { best = (statistics, score) }
        }
        return best?.statistics
    }

    func pair(test: MeteorSentence, reference: MeteorSentence) throws(MeteorError) -> Pair {
        for sentence in [test, reference] where sentence.count > Self.wordLimit {
            throw .captionTooLong(image: image, words: sentence.count, limit: Self.wordLimit)
        }
        let candidates = try matchers.candidates(test: test, reference: reference)
        let alignment = aligner.align(candidates, testCount: test.count, referenceCount: reference.count)
        return Pair(
            test: test, reference: reference, candidates: candidates, alignment: alignment,
            statistics: statistics(of: alignment, test: test, reference: reference))
    }

    private func isFunctionWord(_ word: Int32) -> Bool { vocabulary.entries[Int(word)].isFunctionWord }

    private func statistics(
        of alignment: MeteorAligner.Alignment, test: MeteorSentence, reference: MeteorSentence
    ) -> MeteorStatistics {
        var statistics = MeteorStatistics()
        statistics.testLength = Double(test.count)
        statistics.referenceLength = Double(reference.count)
        statistics.testFunctionWords = Double(test.words.count(where: isFunctionWord))
        statistics.referenceFunctionWords = Double(reference.words.count(where: isFunctionWord))
        statistics.chunks = Double(alignment.chunks)
        for match in alignment.matches {
            let module = match.module.index
            for word in test.words[match.testStart..<(match.testStart + match.testLength)] {
                if isFunctionWord(word) {
                    statistics.testFunction[module] += 1
                } else {
                    statistics.testContent[module] += 1
                }
            }
            for word in reference.words[match.referenceStart..<(match.referenceStart + match.referenceLength)] {
                if isFunctionWord(word) {
                    statistics.referenceFunction[module] += 1
                } else {
                    statistics.referenceContent[module] += 1
                }
            }
            statistics.testMatches += Double(match.testLength)
            statistics.referenceMatches += Double(match.referenceLength)
        }
        return statistics
    }
}
