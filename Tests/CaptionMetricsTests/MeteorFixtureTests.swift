import Foundation
import Testing

@testable import CaptionMetrics

/// METEOR on COCO captions against pip's jar (Fixtures/meteor), and what must hold of any captions.
@Suite struct MeteorFixtureTests {
    typealias Support = MeteorTestSupport

    private func check(_ group: Support.Fixture.Group) throws {
        let scorer = try MeteorScorer(data: Support.data.get())
        let result = try scorer.evaluate(
            candidates: group.images.map(\.candidate), references: group.images.map(\.references))
        #expect(group.images.count == 48)
        for (i, image) in group.images.enumerated() {
            #expect(result.statistics[i].values == image.statistics, "\(image.candidate)")
            #expect(abs(result.perImage[i] - image.score) <= Support.scoreTolerance)
            #expect(try scorer.score(test: image.candidate, references: image.references) == result.perImage[i])
        }
        #expect(abs(result.corpus - group.corpus) <= Support.scoreTolerance)
    }

    @Test func tokenisedCaptions() throws { try check(Support.fixture().tokenised) }

    @Test func typedCaptions() throws { try check(Support.fixture().typed) }

    @Test func everyModuleIsExercised() throws {
        let images = try Support.fixture().tokenised.images + Support.fixture().typed.images
        for module in 0..<4 {
            #expect(images.contains { $0.statistics[(4 + 4 * module)...(7 + 4 * module)].contains { $0 > 0 } })
        }
    }

    // MARK: - Properties

    @Test func candidateEqualToAReferenceScoresOne() throws {
        let scorer = try MeteorScorer(data: Support.data.get())
        for image in try Support.fixture().typed.images {
            for reference in image.references {
                #expect(try scorer.score(test: reference, references: image.references) == 1)
            }
        }
    }

    @Test func permutingImagesPermutesScores() throws {
        let scorer = try MeteorScorer(data: Support.data.get())
        let images = try Support.fixture().tokenised.images
        var random = MeteorTestRandom(state: 3)
        let order = images.indices.shuffled(using: &random)
        let straight = try scorer.evaluate(
            candidates: images.map(\.candidate), references: images.map(\.references))
        let permuted = try scorer.evaluate(
            candidates: order.map { images[$0].candidate }, references: order.map { images[$0].references })
        #expect(permuted.statistics == order.map { straight.statistics[$0] })
        #expect(permuted.perImage == order.map { straight.perImage[$0] })
        #expect(permuted.corpus == straight.corpus)  // sums of whole numbers do not depend on their order
    }

    @Test(arguments: [1, 2, 3, 7, 100])
    func workersDoNotChangeTheResult(workers: Int) throws {
        let scorer = try MeteorScorer(data: Support.data.get())
        let images = try Support.fixture().typed.images
        let (candidates, references) = (images.map(\.candidate), images.map(\.references))
        let one = try scorer.evaluate(candidates: candidates, references: references, workers: 1)
        let many = try scorer.evaluate(candidates: candidates, references: references, workers: workers)
        #expect(one == many)
    }

    @Test func emptyCaptions() throws {
        let scorer = try MeteorScorer(data: Support.data.get())
        for (test, references) in [("", [""]), ("", ["a dog"]), ("a dog", [""]), ("  ", ["", " "])] {
            #expect(try scorer.score(test: test, references: references) == 0)
        }
        let one = try scorer.statistics(test: "a dog", references: ["", "a dog runs"])
        #expect(one.values[0...3] == [2, 3, 1, 1])
        #expect(one.testMatches == 2)
        let nothing = try scorer.evaluate(candidates: [], references: [])
        #expect(nothing == MeteorEvaluation(statistics: []))
        #expect(nothing.corpus == 0)
    }

    @Test func firstOfEqualReferencesIsTaken() throws {
        let scorer = try MeteorScorer(data: Support.data.get())
        let first = try scorer.statistics(test: "x y", references: ["a b c", "a b"])
        #expect(first.referenceLength == 3)
        let second = try scorer.statistics(test: "x y", references: ["a b", "a b c"])
        #expect(second.referenceLength == 2)
    }

    /// pycocoevalcap takes `|||` out of the candidate; in a reference it ends one reference and begins another.
    @Test func barsInCaptions() throws {
        let scorer = try MeteorScorer(data: Support.data.get())
        #expect(try scorer.statistics(test: "do|||g", references: ["dog"]).values[20...] == [1, 1, 1])
        #expect(try scorer.statistics(test: "dog", references: ["a cat ||| dog"]).referenceLength == 1)
        #expect(try scorer.statistics(test: "dog", references: ["a | dog"]).referenceLength == 3)
    }

    /// The search's integer sums: a one-word stem match adds nothing, so it is taken only where it has no rival.
    @Test func halfWeightsAreCutOff() throws {
        let scorer = try MeteorScorer(data: nil, modules: [.exact, .stem])
        #expect(try scorer.statistics(test: "dogs", references: ["dog"]).testMatches == 1)
        #expect(try scorer.statistics(test: "dogs", references: ["dog dog"]).testMatches == 0)
        #expect(try scorer.statistics(test: "dog", references: ["dog dog"]).testMatches == 1)
    }

    /// METEOR compares words by Java's hash codes, and those of "an" and "c0" are equal.
    @Test func wordsWithOneHashCodeMatch() throws {
        let scorer = try MeteorScorer(data: nil, modules: [.exact])
        #expect(try scorer.statistics(test: "an", references: ["c0"]).testMatches == 1)
        #expect(try scorer.statistics(test: "an", references: ["c1"]).testMatches == 0)
    }

    @Test func chunkOfAPerfectPairIsNotSummed() throws {
        let scorer = try MeteorScorer(data: Support.data.get())
        let result = try scorer.evaluate(candidates: ["a dog", "a dog"], references: [["a dog"], ["dog a"]])
        #expect(result.statistics.map(\.chunks) == [1, 2])
        var sum = MeteorStatistics()
        for statistics in result.statistics { sum.add(statistics) }
        #expect(sum.chunks == 2)
        #expect(result.corpus == sum.score.score)
    }

    // MARK: - Variants

    @Test func exactAndStemNeedNoData() throws {
        let bare = try MeteorScorer(data: nil, modules: [.stem, .exact])
        #expect(bare.modules == [.exact, .stem])
        #expect(bare.protocolTag == "meteor-1.5-en-norm;modules=exact+stem;data=none,no-function-words")
        let statistics = try bare.statistics(test: "the dog", references: ["the dogs"])
        #expect(statistics.testFunctionWords == 0)
        #expect(statistics.values[4...11] == [1, 1, 0, 0, 1, 1, 0, 0])
        let full = try MeteorScorer(data: Support.data.get(), modules: [.exact, .stem])
        #expect(try full.statistics(test: "the dog", references: ["the dogs"]).testFunctionWords == 1)
        #expect(full.protocolTag == "meteor-1.5-en-norm;modules=exact+stem;data=\(try Support.data.get().tag)")
        #expect(try MeteorScorer(data: Support.data.get()).protocolTag.hasPrefix("meteor-1.5-en-norm;data="))
    }

    @Test func modulesAddMatches() throws {
        let data = try Support.data.get()
        let images = try Support.fixture().tokenised.images
        var sums: [Double] = []
        for modules in [[MeteorModule.exact], [.exact, .stem], MeteorModule.allCases] {
            let worker = MeteorWorker(data: data, modules: modules)
            var sum = 0
            for image in images {
                for reference in image.references {
                    sum += try worker.pair(
                        test: worker.vocabulary.sentence(image.candidate),
                        reference: worker.vocabulary.sentence(reference)
                    ).candidates.matches.count
                }
            }
            sums.append(Double(sum))
        }
        #expect(sums[0] < sums[1] && sums[1] < sums[2])
    }

    // MARK: - Fuzz

    /// Any Unicode, on both sides: never a crash, every statistic in bounds, the same numbers again.
    @Test func randomUnicode() throws {
        let scorer = try MeteorScorer(data: Support.data.get())
        let pieces: [String] = [
            " ", " ", ".", ",", "'", "`", "-", "--", "''", "|||", "|", "a", "dog", "dogs", "U.S.", "Mr.", "no.", "5",
            "é",
            "İ", "Σ", "ß", "日本", "😀", "\u{0}", "\u{1}", "\t", "\n", "\r", "\u{B}", "\u{A0}", "\u{2003}", "\u{301}",
            "\u{FEFF}", "\u{10FFFF}", "—", "–", "“", "’", "ﬁ", "١", "the",
        ]
        var random = MeteorTestRandom(state: 11)
        func text() -> String {
            var text = ""
            for _ in 0..<Int.random(in: 0...14, using: &random) {
                if Int.random(in: 0..<4, using: &random) == 0,
                    let scalar = Unicode.Scalar(UInt32.random(in: 0..<0x11_0000, using: &random))
                {
                    text.unicodeScalars.append(scalar)
                } else {
                    text += pieces.randomElement(using: &random)!
                }
            }
            return text
        }
        for _ in 0..<1000 {
            let (test, references) = (text(), [text(), text()])
            let statistics = try scorer.statistics(test: test, references: references)
            let score = statistics.score.score
            #expect(score >= 0 && score <= 1, "\(test.debugDescription) / \(references)")
            #expect(statistics.testMatches <= statistics.testLength)
            #expect(statistics.referenceMatches <= statistics.referenceLength)
            #expect(statistics.testFunctionWords <= statistics.testLength)
            #expect(try scorer.statistics(test: test, references: references) == statistics)
        }
    }

    /// Work grows with the words and the possible matches, and both have a limit that is reported.
    @Test func longCaptions() throws {
        let scorer = try MeteorScorer(data: Support.data.get())
        let long = (0..<700).map { "w\($0)" }.joined(separator: " ")
        let statistics = try scorer.statistics(test: long + " x", references: [long])
        #expect(statistics.testMatches == 700 && statistics.chunks == 1)
        let tooLong = String(repeating: "dog ", count: 10_001)
        #expect(throws: MeteorError.captionTooLong(image: 0, words: 10_001, limit: 10_000)) {
            try scorer.score(test: tooLong, references: ["a dog"])
        }
        let repetitive = String(repeating: "dog ", count: 1_001)
        #expect(
            throws: MeteorError.tooManyMatches(
                image: 1, testWords: 1_002, referenceWords: 1_001, limit: 1_000_000)
        ) {
            try scorer.evaluate(candidates: ["a", repetitive + "cat"], references: [["a"], [repetitive]])
        }
        // One word of a megabyte, and many words of punctuation only.
        let word = String(repeating: "x", count: 1_000_000)
        #expect(try scorer.score(test: word, references: [word]) == 1)
        #expect(throws: MeteorError.self) {
            try scorer.score(test: String(repeating: "x.,'- ", count: 20_000), references: ["a"])
        }
    }
}
