import Foundation
import Testing

@testable import CaptionMetrics

@Suite struct SpiceTupleTests {
    private let synonyms = SynsetTable([
        "dog": [1, 2], "hound": [2, 3], "sofa": [10], "couch": [10, 11], "big": [20], "large": [20], "gray": [30],
        "grey": [30], "stand_on": [40], "perch_on": [40],
    ])

    private func counts(_ score: SpiceScore) -> [Int] {
        [score.truePositives, score.falsePositives, score.falseNegatives]
    }

    @Test func exactAndSynonymMatches() {
        let score = SpiceTupleScorer(synsets: synonyms).score(
            candidate: [.object("hound"), .attribute(object: "hound", attribute: "large"), .object("tree")],
            references: [[.object("dog"), .attribute(object: "dog", attribute: "big")], [.object("sofa")]])
        #expect(counts(score.all) == [2, 1, 1])
        #expect(abs(score.all.f1 - 2.0 / 3) < 1e-15)
        #expect(score.categories[.object].map(counts) == [1, 1, 1])
        #expect(score.categories[.size].map(counts) == [1, 0, 0])
        #expect(score.categories[.relation] == nil)
    }

    @Test func referencesFormOneGraph() {
        // couch and sofa are one node, so the second reference adds only the attribute.
        let score = SpiceTupleScorer(synsets: synonyms).score(
            candidate: [.object("couch")],
            references: [
                [.object("couch")], [.object("sofa"), .attribute(object: "sofa", attribute: "red")],
            ])
        #expect(counts(score.all) == [1, 0, 1])
    }

    @Test func relationsDropBeAndMerge() {
        let score = SpiceTupleScorer(synsets: synonyms).score(
            candidate: [.relation(subject: "cat", relation: "in", object: "box")],
            references: [
                [
                    .relation(subject: "cat", relation: "be in", object: "box"),
                    .relation(subject: "cat", relation: "stand on", object: "box"),
                    .relation(subject: "cat", relation: "perch on", object: "box"),
                ]
            ])
        // cat, box, cat-in-box match; stand on and perch on are one relation.
        #expect(counts(score.all) == [3, 0, 1])
    }

    @Test func mergedColorIsNoColor() {
        let score = SpiceTupleScorer(synsets: synonyms).score(
            candidate: [.attribute(object: "wall", attribute: "gray")],
            references: [
                [
                    .attribute(object: "wall", attribute: "gray"), .attribute(object: "wall", attribute: "grey"),
                    .attribute(object: "wall", attribute: "red"), .attribute(object: "wall", attribute: "two"),
                ]
            ])
        #expect(counts(score.all) == [2, 0, 2])
        #expect(score.categories[.color].map(counts) == [0, 1, 1])
        #expect(score.categories[.cardinality].map(counts) == [0, 0, 1])
        #expect(score.categories[.attribute].map(counts) == [1, 0, 2])
    }

    @Test func emptySides() {
        let scorer = SpiceTupleScorer(synsets: synonyms)
        #expect(counts(scorer.score(candidate: [], references: [[.object("dog")]]).all) == [0, 0, 1])
        #expect(scorer.score(candidate: [], references: [[.object("dog")]]).all.f1 == 0)
        #expect(counts(scorer.score(candidate: [.object("dog")], references: []).all) == [0, 1, 0])
        #expect(scorer.score(candidate: [], references: []).all.f1 == 0)
    }

    @Test func sortedSets() {
        let a: [Int32] = [1, 3, 5, 9]
        #expect(a.sharesElement(with: [2, 4, 9]))
        #expect(!a.sharesElement(with: [0, 2, 10]))
        #expect(a.countOfShared(with: [3, 4, 5]) == 2)
        #expect(a.union([0, 3, 10]) == [0, 1, 3, 5, 9, 10])
        #expect([Int32]().union([]) == [])
    }

    @Test(
        .enabled(
            if: SpiceSupport.hasWordNet
                && GoldenFiles.have("scores.json.gz", "spice_tuples.jsonl.gz", "spice_scores.json.gz")
                && GoldenFiles.have(
                    "fakecap1000.json.gz", "spice_fakecap1000_tuples.jsonl.gz", "spice_fakecap1000.json.gz")
        ),
        arguments: [
            ("scores.json.gz", "spice_tuples.jsonl.gz", "spice_scores.json.gz"),
            ("fakecap1000.json.gz", "spice_fakecap1000_tuples.jsonl.gz", "spice_fakecap1000.json.gz"),
        ])
    func goldenScoresFromGoldenTuples(_ files: (String, String, String)) throws {
        let (captionFile, tupleFile) = (GoldenFiles.path(files.0), GoldenFiles.path(files.1))
        let (goldenFile, wordNet) = (GoldenFiles.path(files.2), try SpiceSupport.wordNet())
        let captions = try JSONDecoder().decode(SpiceGoldenCaptions.self, from: SpiceSupport.unzipped(captionFile))
            .images
        let golden = try JSONDecoder().decode(SpiceGoldenScores.self, from: SpiceSupport.unzipped(goldenFile))
        let rows = try SpiceSupport.lines(SpiceGoldenTuples.self, SpiceSupport.unzipped(tupleFile))
        let tuples = Dictionary(uniqueKeysWithValues: rows.map { ($0.caption, $0.tuples.map(sceneTuple)) })
        let images = Dictionary(captions.map { ($0.imageID, $0) }, uniquingKeysWith: { a, _ in a })
        let scorer = SpiceTupleScorer(synsets: wordNet)
        var compared = 0
        for value in golden.images {
            let image = try #require(images[value.imageID])
            let score = scorer.score(
                candidate: try #require(tuples[image.candidate]),
                references: try image.references.map { try #require(tuples[$0]) })
            let all = [score.all.truePositives, score.all.falsePositives, score.all.falseNegatives]
            if let outcomes = golden.variants["\(value.imageID)"] {
                #expect(outcomes.contains(all), "image \(value.imageID)")
                continue
            }
            compared += 1
            #expect(score.all.f1 == value.spice, "image \(value.imageID)")
            for (name, expected) in value.scores {
                let ours = name == "All" ? score.all : SpiceCategory(rawValue: name).flatMap { score.categories[$0] }
                if expected.f == nil {
                    #expect(ours == nil, "image \(value.imageID), \(name)")
                } else {
                    #expect(
                        ours.map(counts) == [expected.tp, expected.fp, expected.fn], "image \(value.imageID), \(name)")
                }
            }
        }
        #expect(compared == golden.images.count - golden.variants.count)
    }
}
