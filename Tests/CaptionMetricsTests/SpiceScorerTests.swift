import Foundation
import Testing

@testable import CaptionMetrics

@Suite struct SpiceScorerTests {
    private func scorer(_ synsets: any SynsetSource = SynsetTable([:])) throws -> SpiceScorer {
        SpiceScorer(parser: try SpiceSupport.parser.get(), synsets: synsets)
    }

    private let captions = [
        "a man riding a wave on a surfboard", "two dogs are playing in the snow", "a red bus parked next to a building",
        "a woman holding an umbrella in the rain", "a plate of food with broccoli and rice", "a clock tower in a city",
        "there is a cat sleeping on the couch",
    ]

    @Test func aCandidateEqualToItsReferenceScoresOne() throws {
        let result = try scorer().evaluate(candidates: captions, references: captions.map { [$0] })
        #expect(result.corpus == 1)
        for image in result.images {
            #expect(image.all.f1 == 1)
            #expect(image.all.falsePositives == 0 && image.all.falseNegatives == 0 && image.all.truePositives > 0)
        }
    }

    @Test func permutingImagesPermutesScores() throws {
        let candidates = Array(captions.dropFirst() + captions.prefix(1))
        let references = captions.map { [$0, captions[2]] }
        let forward = try scorer().evaluate(candidates: candidates, references: references)
        let backward = try scorer().evaluate(candidates: candidates.reversed(), references: references.reversed())
        #expect(forward.images == backward.images.reversed())
        #expect(forward == (try scorer().evaluate(candidates: candidates, references: references)))
    }

    @Test func orderOfImagesDoesNotReachTheCorpusValue() throws {
        let references = captions.map { [$0, captions[0]] }
        let one = try scorer().evaluate(candidates: [captions[1]], references: [references[1]])
        let all = try scorer().evaluate(candidates: captions, references: references)
        #expect(one.images[0] == all.images[1])
        #expect(abs(all.corpus - all.images.reduce(0) { $0 + $1.all.f1 } / 7) < 1e-15)
    }

    @Test func emptyCaptions() throws {
        let result = try scorer().evaluate(candidates: ["", "a dog", ""], references: [["a dog"], [""], []])
        #expect(result.images.map(\.all.f1) == [0, 0, 0])
        #expect(result.corpus == 0)
        let none = try scorer().evaluate(candidates: [], references: [])
        #expect(none.corpus == 0 && none.images.isEmpty && none.categories.isEmpty)
    }

    @Test func synonymsCount() throws {
        let plain = try scorer().evaluate(candidates: ["a couch"], references: [["a sofa"]])
        let net = try scorer(SynsetTable(["couch": [1], "sofa": [1]])).evaluate(
            candidates: ["a couch"], references: [["a sofa"]])
        #expect(plain.corpus == 0)
        #expect(net.corpus == 1)
    }

    @Test func countsMustAgree() throws {
        let book = Array(repeating: "a", count: 10_001).joined(separator: " ")
        let long = #expect(throws: SpiceError.self) {
            try scorer().evaluate(candidates: ["a", "b"], references: [["a"], ["b", book]])
        }
        #expect(
            long?.description == "image 1 (counted from 0) has a caption of 10001 words; SPICE takes at most 10000")
        let error = #expect(throws: SpiceError.self) { try scorer().evaluate(candidates: ["a"], references: []) }
        #expect(
            error?.description
                == "SPICE: 1 candidates but 0 sets of references; expected one set per candidate")
        #expect(
            SpiceError.synsetsMissing(path: "/d/m.bin").localizedDescription
                == "SPICE reads WordNet's synsets from METEOR's data file, and '/d/m.bin' does not exist; make it once "
                + "with: pip download --no-deps pycocoevalcap==1.2 && gmail data meteor --from "
                + "pycocoevalcap-1.2-py3-none-any.whl")
    }

    @Test func protocolTagNamesParserAndWeights() throws {
        let tag = try scorer().protocolTag
        #expect(tag.hasPrefix("spice-native/1 weights="))
        #expect(tag.split(separator: "=")[1].count == 12)
    }

    /// The whole pipeline against the reference tool, over all images and over those none of whose captions was looked
    /// at while the parser was made.
    @Test(
        .enabled(
            if: SpiceSupport.hasWordNet && GoldenFiles.have("spice_parses.jsonl.gz")
                && GoldenFiles.have("scores.json.gz", "spice_scores.json.gz")
                && GoldenFiles.have("fakecap1000.json.gz", "spice_fakecap1000.json.gz")),
        arguments: [
            ("scores.json.gz", "spice_scores.json.gz"), ("fakecap1000.json.gz", "spice_fakecap1000.json.gz"),
        ])
    func closeToTheReferenceTool(_ files: (String, String)) throws {
        let (captionFile, goldenFile) = (GoldenFiles.path(files.0), GoldenFiles.path(files.1))
        let (parseFile, wordNet) = (GoldenFiles.path("spice_parses.jsonl.gz"), try SpiceSupport.wordNet())
        struct Caption: Decodable { let caption: String }
        let development = Set(
            try SpiceSupport.lines(Caption.self, SpiceSupport.unzipped(parseFile)).map(\.caption))
        let captions = try JSONDecoder().decode(SpiceGoldenCaptions.self, from: SpiceSupport.unzipped(captionFile))
            .images
        let images = Dictionary(captions.map { ($0.imageID, $0) }, uniquingKeysWith: { a, _ in a })
        let golden = try JSONDecoder().decode(SpiceGoldenScores.self, from: SpiceSupport.unzipped(goldenFile)).images
        let rows = golden.compactMap { images[$0.imageID] }
        let result = try scorer(wordNet).evaluate(
            candidates: rows.map(\.candidate), references: rows.map(\.references))
        let heldOut = rows.indices.filter { i in
            !development.contains(rows[i].candidate) && !rows[i].references.contains(where: development.contains)
        }
        for (name, part) in [("all", Array(rows.indices)), ("held out", heldOut)] {
            let ours = part.map { result.images[$0].all.f1 }
            let theirs = part.map { golden[$0].spice }
            let (a, b) = (ours.reduce(0, +) / Double(ours.count), theirs.reduce(0, +) / Double(theirs.count))
            let products = zip(ours, theirs).map { ($0 - a) * ($1 - b) }.reduce(0, +)
            let spread =
                ours.map { ($0 - a) * ($0 - a) }.reduce(0, +) * theirs.map { ($0 - b) * ($0 - b) }.reduce(0, +)
            let pearson = products / spread.squareRoot()
            print("SPICE \(files.0), \(name), \(part.count) images: ours \(a), golden \(b), Pearson \(pearson)")
            #expect(abs(a - b) < 0.01)
            #expect(pearson >= 0.88)
        }
    }
}
