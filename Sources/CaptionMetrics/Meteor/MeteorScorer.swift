import Foundation

/// METEOR 1.5 for English captions, as pycocoevalcap runs it (`meteor-1.5.jar - - -stdio -l en -norm`).
///
/// Captions come as the PTB tokenizer left them, words joined by blanks; METEOR then normalises them once more. The
/// statistics and the alignments equal those of the jar; scores agree except for the last few bits.
///
/// Without the data file only the variant `exact,stem` can be computed. Then there is no list of function words, so
/// every word counts as a content word, and there are no abbreviations that keep their dot. This is another metric,
/// with a protocol tag of its own. With the data file, `exact,stem` weighs function words as METEOR's own option `-m
/// "exact stem"` does, and its tag says so.
///
/// As in pycocoevalcap, `|||` is removed from a candidate and splits a reference in two.
///
/// Denkowski and Lavie, "Meteor Universal: Language Specific Translation Evaluation for Any Target Language", WMT 2014.
public struct MeteorScorer: Sendable {
    public let modules: [MeteorModule]
    public let data: MeteorData?

    /// - Parameters:
    ///   - data: the compiled tables; nil for the variant without them.
    ///   - modules: in any order; all four make the metric that papers report.
    /// - Throws: `MeteorError.modulesNeedData` when synonyms or paraphrases are asked for without data, `.noModules`,
    ///   `.repeatedModule`.
    public init(data: MeteorData?, modules: [MeteorModule] = MeteorModule.allCases) throws(MeteorError) {
        guard !modules.isEmpty else { throw .noModules }
        let sorted = modules.sorted()
        for (a, b) in zip(sorted, sorted.dropFirst()) where a == b { throw .repeatedModule(a.rawValue) }
        let needy = sorted.filter(\.needsData)
        guard data != nil || needy.isEmpty else { throw .modulesNeedData(needy) }
        self.modules = sorted
        self.data = data
    }

    /// Names the variant and the data, so that numbers that were computed in another way can be told apart.
    public var protocolTag: String {
        let names = modules == MeteorModule.allCases ? "" : ";modules=" + modules.map(\.rawValue).joined(separator: "+")
        return "meteor-1.5-en-norm" + names + (data.map { ";data=" + $0.tag } ?? ";data=none,no-function-words")
    }

    /// The 23 statistics of a candidate against the reference that scores best (the first of equals).
    ///
    /// It builds its word table anew each time; `evaluate` shares one between images.
    /// - Throws: `MeteorError.noReferences`, `.captionTooLong`, `.tooManyMatches`.
    public func statistics(test: String, references: [String]) throws(MeteorError) -> MeteorStatistics {
        try Self.statistics(MeteorWorker(data: data, modules: modules), 0, test, references)
    }

    /// The score of a candidate, 0 to 1: the best over its references.
    /// - Throws: as `statistics(test:references:)`.
    public func score(test: String, references: [String]) throws(MeteorError) -> Double {
        try statistics(test: test, references: references).score.score
    }

    private static func statistics(
        _ worker: MeteorWorker, _ image: Int, _ test: String, _ references: [String]
    ) throws(MeteorError) -> MeteorStatistics {
        worker.image = image
        let test = worker.vocabulary.sentence(
            test.utf8.contains(0x7C) ? test.replacingOccurrences(of: "|||", with: "") : test)
        var sentences: [MeteorSentence] = []
        for reference in references {
            if reference.utf8.contains(0x7C) {
                sentences += reference.components(separatedBy: "|||").map(worker.vocabulary.sentence)
            } else {
                sentences.append(worker.vocabulary.sentence(reference))
            }
        }
        guard let best = try worker.best(test: test, references: sentences) else { throw .noReferences(image: image) }
        return best
    }
}

// MARK: - Many images

/// METEOR of a set of images.
public struct MeteorEvaluation: Sendable, Equatable {
    /// The score of the summed statistics, not the mean of `perImage`.
    public var corpus: Double
    /// In the order of the candidates.
    public var perImage: [Double]
    /// The statistics of each image's best reference, in the order of the candidates.
    public var statistics: [MeteorStatistics]

    /// The corpus value and the scores of images whose statistics are known.
    public init(statistics: [MeteorStatistics]) {
        var sum = MeteorStatistics()
        for image in statistics { sum.add(image) }
        corpus = sum.score.score
        perImage = statistics.map(\.score.score)
        self.statistics = statistics
    }
}

extension MeteorScorer {
    /// Scores one candidate per image, on all cores.
    ///
    /// The result does not depend on the number of workers: images are scored one by one and summed in order.
    /// - Parameters:
    ///   - candidates: one per image.
    ///   - references: one or more per image, in the order of the candidates.
    ///   - workers: threads; the number of cores if nil.
    /// - Throws: `MeteorError.countMismatch`, and for the first image at fault `.noReferences`, `.captionTooLong`,
    ///   `.tooManyMatches`.
    public func evaluate(
        candidates: [String], references: [[String]], workers: Int? = nil
    ) throws(MeteorError) -> MeteorEvaluation {
        let count = candidates.count
        guard references.count == count else {
            throw .countMismatch(candidates: count, references: references.count)
        }
        let workers = max(1, min(count, workers ?? ProcessInfo.processInfo.activeProcessorCount))
        var results = [Result<MeteorStatistics, MeteorError>?](repeating: nil, count: count)
        results.withUnsafeMutableBufferPointer { buffer in
            // Each index is written by one worker and read after all have ended.
            nonisolated(unsafe) let slots = buffer
            DispatchQueue.concurrentPerform(iterations: workers) { index in
                let worker = MeteorWorker(data: data, modules: modules)
                for image in stride(from: index, to: count, by: workers) {
                    do throws(MeteorError) {
                        slots[image] = .success(
                            try Self.statistics(worker, image, candidates[image], references[image]))
                    } catch {
                        slots[image] = .failure(error)
                    }
                }
            }
        }
        var statistics: [MeteorStatistics] = []
        statistics.reserveCapacity(count)
        for result in results { statistics.append(try result!.get()) }
        return MeteorEvaluation(statistics: statistics)
    }
}
