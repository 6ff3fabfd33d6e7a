import Foundation

/// The 23 sufficient statistics that METEOR computes for one aligned pair, or sums of them over a corpus.
///
/// A score is a function of these numbers alone; a corpus score is that function of the sums, not a mean of scores.
public struct MeteorStatistics: Sendable, Equatable {
    /// Words of the test sentence (the candidate) and of the reference.
    public var testLength = 0.0
    public var referenceLength = 0.0
    /// How many of them are function words.
    public var testFunctionWords = 0.0
    public var referenceFunctionWords = 0.0
    /// Matched words per module (exact, stem, synonym, paraphrase), separately for content words and function words.
    public var testContent = [Double](repeating: 0, count: 4)
    public var referenceContent = [Double](repeating: 0, count: 4)
    public var testFunction = [Double](repeating: 0, count: 4)
    public var referenceFunction = [Double](repeating: 0, count: 4)
    /// Runs of matches that are adjacent and in the same order on both sides.
    public var chunks = 0.0
    /// Matched words on both sides, all modules.
    public var testMatches = 0.0
    public var referenceMatches = 0.0

    public init() {}

    /// Reads the 23 numbers in the order of `values`.
    /// - Throws: `MeteorError.statisticsCount` if there are more or fewer.
    public init(values: [Double]) throws(MeteorError) {
        guard values.count == 23 else { throw .statisticsCount(values.count) }
        testLength = values[0]
        referenceLength = values[1]
        testFunctionWords = values[2]
        referenceFunctionWords = values[3]
        for module in 0..<4 {
            testContent[module] = values[4 + 4 * module]
            referenceContent[module] = values[5 + 4 * module]
            testFunction[module] = values[6 + 4 * module]
            referenceFunction[module] = values[7 + 4 * module]
        }
        chunks = values[20]
        testMatches = values[21]
        referenceMatches = values[22]
    }

    /// The 23 numbers in the order METEOR writes them: lengths, function words, four per module, chunks, matched words.
    public var values: [Double] {
        var values = [testLength, referenceLength, testFunctionWords, referenceFunctionWords]
        values.reserveCapacity(23)
        for module in 0..<4 {
            values += [testContent[module], referenceContent[module], testFunction[module], referenceFunction[module]]
        }
        return values + [chunks, testMatches, referenceMatches]
    }

    /// Whether every word of both sentences is matched in one chunk; such a pair pays no fragmentation penalty.
    public var isPerfect: Bool {
        let test = (0..<4).reduce(0.0) { $0 + testContent[$1] + testFunction[$1] }
        let reference = (0..<4).reduce(0.0) { $0 + referenceContent[$1] + referenceFunction[$1] }
        return test == testLength && reference == referenceLength && chunks == 1
    }

    /// Adds the statistics of another image to a corpus sum. The chunk of a perfect pair is left out, as in METEOR.
    public mutating func add(_ other: MeteorStatistics) {
        testLength += other.testLength
        referenceLength += other.referenceLength
        testFunctionWords += other.testFunctionWords
        referenceFunctionWords += other.referenceFunctionWords
        for module in 0..<4 {
            testContent[module] += other.testContent[module]
            referenceContent[module] += other.referenceContent[module]
            testFunction[module] += other.testFunction[module]
            referenceFunction[module] += other.referenceFunction[module]
        }
        if !other.isPerfect { chunks += other.chunks }
        testMatches += other.testMatches
        referenceMatches += other.referenceMatches
    }

    /// The score and its components.
    public struct Score: Sendable, Equatable {
        /// Weighted matched words over weighted words of the test sentence; 0 where that is 0 / 0.
        public var precision: Double
        /// The same over the reference.
        public var recall: Double
        /// Harmonic mean of both, with weight alpha on recall.
        public var fMean: Double
        /// What fragmentation subtracts, 0 to gamma.
        public var penalty: Double
        /// fMean · (1 - penalty), 0 to 1; 0 when nothing matched.
        public var score: Double
    }

    /// Computes the score with the constants of `MeteorParameters`.
    public var score: Score {
        typealias Constants = MeteorParameters
        let (delta, weights) = (Constants.delta, Constants.moduleWeights)
        var (testWeight, referenceWeight) = (0.0, 0.0)
        for module in 0..<4 {
            testWeight += weights[module] * (delta * testContent[module] + (1 - delta) * testFunction[module])
            referenceWeight +=
                weights[module] * (delta * referenceContent[module] + (1 - delta) * referenceFunction[module])
        }
        let testTotal = delta * (testLength - testFunctionWords) + (1 - delta) * testFunctionWords
        let referenceTotal =
            delta * (referenceLength - referenceFunctionWords) + (1 - delta) * referenceFunctionWords
        let precision = testTotal == 0 ? 0 : testWeight / testTotal
        let recall = referenceTotal == 0 ? 0 : referenceWeight / referenceTotal
        guard precision > 0, recall > 0 else {
            return Score(precision: precision, recall: recall, fMean: 0, penalty: 0, score: 0)
        }
        let fMean = 1 / ((1 - Constants.alpha) / precision + Constants.alpha / recall)
        let fragmentation = isPerfect ? 0 : chunks / ((testMatches + referenceMatches) / 2)
        let penalty = Constants.gamma * pow(fragmentation, Constants.beta)
        return Score(
            precision: precision, recall: recall, fMean: fMean, penalty: penalty, score: max(0, fMean * (1 - penalty)))
    }
}
