import CaptionFiles
import Foundation
import TestSupport
import Testing

@testable import CaptionMetrics

@Suite struct ScoreTests {
    /// Sums are made in another order than Python's.
    static let tolerance = 1e-9

    private func evaluate(_ captions: TokenizedCaptions) throws -> CaptionResults {
        try CaptionEvaluation(metrics: [BLEU(), ROUGEL(), CIDEr(.d), CIDEr(.plain)]).run(captions)
    }

    @Test func equalsTheFixture() throws {
        let fixture = try CaptionFixture.load()
        let results = try evaluate(fixture.raw())
        for (name, expected) in fixture.scores {
            let score = try #require(results[name])
            #expect(abs(score.corpus - expected.corpus) <= Self.tolerance, "\(name)")
            #expect(score.perImage.count == expected.images.count)
            for (a, b) in zip(score.perImage, expected.images) { #expect(abs(a - b) <= Self.tolerance, "\(name)") }
        }
    }

    struct Golden: Decodable {
        struct Counts: Decodable {
            let testlen, reflen: Int
            let guess, correct: [Int]
        }
        struct Image: Decodable {
            let image_id: Int
            let refs_raw: [String]
            let cand_raw: String
            let refs_tok: [String]
            let cand_tok: String
            let bleu_counts: Counts
            let BLEU: [Double]
            let rouge, ciderD, ciderPlain: Double

            enum CodingKeys: String, CodingKey {
                case image_id, refs_raw, cand_raw, refs_tok, cand_tok, bleu_counts, BLEU
                case rouge = "ROUGE-L"
                case ciderD = "CIDEr-D"
                case ciderPlain = "CIDEr-plain"
            }
        }
        struct Corpus: Decodable {
            let bleu1, bleu2, bleu3, bleu4, rouge, ciderD, ciderPlain: Double
            let bleu_counts: Counts

            enum CodingKeys: String, CodingKey {
                case bleu1 = "BLEU-1"
                case bleu2 = "BLEU-2"
                case bleu3 = "BLEU-3"
                case bleu4 = "BLEU-4"
                case rouge = "ROUGE-L"
                case ciderD = "CIDEr-D"
                case ciderPlain = "CIDEr-plain"
                case bleu_counts
            }
        }
        let corpus: Corpus
        let images: [Image]
    }

    /// Tokens, counts and scores of every image, from raw captions.
    @Test(
        .enabled(if: GoldenFiles.have("scores.json.gz", "fakecap1000.json.gz")), arguments: ["scores", "fakecap1000"])
    func equalsTheGoldens(_ name: String) throws {
        let golden = try GoldenFiles.decode(Golden.self, "\(name).json.gz")
        let captions = try TokenizedCaptions(
            imageIDs: golden.images.map { .number($0.image_id) }, rawReferences: golden.images.map(\.refs_raw),
            rawCandidates: golden.images.map(\.cand_raw))
        let differentTokens = zip(golden.images, zip(captions.references, captions.candidates))
            .filter { $0.refs_tok != $1.0 || $0.cand_tok != $1.1 }.map { $0.0.image_id }
        #expect(differentTokens == [])

        let counts = BLEU().counts(captions)
        for (image, count) in zip(golden.images, counts) {
            #expect(
                count.candidateLength == image.bleu_counts.testlen && count.referenceLength == image.bleu_counts.reflen)
            #expect(count.guess == image.bleu_counts.guess && count.correct == image.bleu_counts.correct)
        }
        let results = try evaluate(captions)
        let columns: [(String, Double, (Golden.Image) -> Double)] = [
            ("Bleu_1", golden.corpus.bleu1, { $0.BLEU[0] }), ("Bleu_2", golden.corpus.bleu2, { $0.BLEU[1] }),
            ("Bleu_3", golden.corpus.bleu3, { $0.BLEU[2] }), ("Bleu_4", golden.corpus.bleu4, { $0.BLEU[3] }),
            ("ROUGE_L", golden.corpus.rouge, { $0.rouge }), ("CIDEr", golden.corpus.ciderD, { $0.ciderD }),
            ("CIDEr-plain", golden.corpus.ciderPlain, { $0.ciderPlain }),
        ]
        for (column, corpus, value) in columns {
            let score = try #require(results[column])
            #expect(abs(score.corpus - corpus) <= Self.tolerance, "\(column): \(score.corpus) / \(corpus)")
            let worst = zip(score.perImage, golden.images).map { abs($0 - value($1)) }.max()
            #expect(try #require(worst) <= Self.tolerance, "\(column)")
        }
    }

    private static let oracle = "data/oracles/captions_val2014_fakecap_results.json"

    /// The results coco-caption publishes with their scores, from the published file itself.
    @Test(.enabled(if: GoldenFiles.have("fakecap1000.json.gz") && SharedData.has(oracle)))
    func reproducesThePublishedScores() throws {
        let golden = try GoldenFiles.decode(Golden.self, "fakecap1000.json.gz")
        let references = CaptionFile(
            entries: golden.images.flatMap { image in
                image.refs_raw.map { .init(imageID: .number(image.image_id), caption: $0) }
            }, hash: "")
        let pairing = try CaptionPairing(
            references: references, candidates: CaptionFile(contentsOf: SharedData.path(Self.oracle)))
        #expect(pairing.imageIDs.count == 1000 && pairing.findings.isEmpty)
        let results = try evaluate(pairing.tokenized())
        for (name, published) in [
            ("Bleu_1", 0.579), ("Bleu_2", 0.404), ("Bleu_3", 0.279), ("Bleu_4", 0.191), ("ROUGE_L", 0.396),
            ("CIDEr", 0.600),
        ] {
            let value = try #require(results[name]?.corpus)
            #expect((value * 1000).rounded() / 1000 == published, "\(name) \(value)")
        }
    }

    private let references = [
        ["a man rides a red horse", "the man is on a horse near trees"], ["two dogs play in the green park today"],
        ["a plate of food on a table", "food sits on a wooden table", "dinner plate"], ["a bus drives down the street"],
    ]
    private let candidates = [
        "a man on a horse", "two dogs play in the green park today", "a wooden table with food",
        "the red bus near a park",
    ]

    /// A candidate equal to its only reference scores the most there is.
    @Test func aPerfectCandidateScoresTheMaximum() throws {
        let captions = try tokenized(references.map { [$0[0]] }, references.map { $0[0] })
        let results = try evaluate(captions)
        for order in 1...4 {
            for value in try #require(results["Bleu_\(order)"]).perImage { #expect(abs(value - 1) < 1e-8) }
        }
        for value in try #require(results["ROUGE_L"]).perImage { #expect(abs(value - 1) < 1e-12) }
        for name in ["CIDEr", "CIDEr-plain"] {
            for value in try #require(results[name]).perImage { #expect(abs(value - 10) < 1e-9) }
        }
    }

    @Test func permutingImagesPermutesScores() throws {
        let order = [2, 0, 3, 1]
        let straight = try evaluate(tokenized(references, candidates))
        let permuted = try evaluate(tokenized(order.map { references[$0] }, order.map { candidates[$0] }))
        for (a, b) in zip(straight.scores, permuted.scores) {
            #expect(abs(a.corpus - b.corpus) < 1e-12)
            for (place, image) in order.enumerated() {
                #expect(abs(b.perImage[place] - a.perImage[image]) < 1e-12, "\(a.name)")
            }
        }
    }

    /// Whole books are refused by name where time goes with the square of the words; long lists of words are not.
    @Test func captionsOfMinutesAreRefused() throws {
        let book = Array(repeating: "a dog", count: 20_000).joined(separator: " ")
        let fine = try TokenizedCaptions(
            imageIDs: [.number(7)], references: [["a cat"]], candidates: [book], tokenizer: "none")
        #expect(try ROUGEL().evaluate(fine).count == 1 && BLEU().evaluate(fine).count == 4)
        let both = try TokenizedCaptions(
            imageIDs: [.number(7)], references: [["a cat", book]], candidates: [book], tokenizer: "none")
        #expect {
            try ROUGEL().evaluate(both)
        } throws: {
            "\($0)"
                == "image 7 has a candidate of 40000 words and a reference of 40000; rouge compares every word with every other, "
                + "which is too many here. Shorten them, or leave rouge out"
        }
    }

    @Test func oneImageAloneHasNoCIDEr() throws {
        let results = try evaluate(tokenized([["a dog runs", "the dog"]], ["a dog runs"]))
        #expect(results["CIDEr"]?.corpus == 0 && results["CIDEr-plain"]?.corpus == 0)
        let note =
            "of one image is 0 whatever its caption: words weigh by how many of the images have them, so score a set of images"
        #expect(results.scores.compactMap(\.note) == ["CIDEr \(note)", "CIDEr-plain \(note)"])
        let report = String(decoding: try CaptionReport.metrics(results, findings: []), as: UTF8.self)
        #expect(report.contains("\"note\" : \"CIDEr \(note)\""))
    }

    /// As in Python: words are split at U+00A0 for BLEU and CIDEr, not for ROUGE-L.
    @Test func splitsWordsAsPythonDoes() throws {
        let captions = try tokenized([["1\u{A0}1/2 cups", ""]], ["1\u{A0}1/2 cups"])
        #expect(BLEU().counts(captions)[0].candidateLength == 3)
        #expect(captions.blankSeparatedWords.range(of: 0).count == 2)
        #expect(captions.blankSeparatedWords.range(of: 1).count == 1)
        #expect(captions.words.range(of: 1).count == 0)
    }

    /// Work is shared among the cores; the numbers must not depend on how.
    @Test func runsAreIdentical() throws {
        let many = (0..<40).flatMap { k in
            references.indices.map { ["\(k) " + references[$0][0], references[$0].last!] }
        }
        let captions = try tokenized(many, (0..<40).flatMap { _ in candidates })
        let first = try evaluate(captions)
        let second = try evaluate(tokenized(many, (0..<40).flatMap { _ in candidates }))
        for (a, b) in zip(first.scores, second.scores) { #expect(a.corpus == b.corpus && a.perImage == b.perImage) }
    }
}
