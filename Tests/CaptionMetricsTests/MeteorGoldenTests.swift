import Foundation
import Testing

@testable import CaptionMetrics

/// METEOR against the golden files of GMAIL_SHARED/data/metrics: every row, every number.
@Suite struct MeteorGoldenTests {
    typealias Support = MeteorTestSupport

    struct Pair: Decodable {
        var cat: String
        var test: String
        var ref: String
        var test_norm: String
        var ref_norm: String
        var stems_test: [String]
        var stems_ref: [String]
        var candidates: [[Int]]
        var coverage_test: [Int]
        var coverage_ref: [Int]
        var alignment: [[Int]]
        var function_test: [Int]
        var function_ref: [Int]
        var chunks: Int
        var stats: String
        var score: Double
    }

    private func numbers(_ match: MeteorMatch) -> [Int] {
        [match.module.index, match.referenceStart, match.referenceLength, match.testStart, match.testLength]
    }

    @Test(.enabled(if: GoldenFiles.have("meteor_pairs.jsonl.gz", "meteor_data"))) func pairs() throws {
        let url = GoldenFiles.path("meteor_pairs.jsonl.gz")
        let data = try Support.goldenData.get()
        let worker = MeteorWorker(data: data, modules: MeteorModule.allCases)
        let normalizer = MeteorNormalizer { data.prefix($0) }
        func joined(_ text: String) -> String {
            normalizer.tokens(text).map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
        }
        func stems(_ text: String) -> [String] {
            var stemmer = SnowballEnglish()
            return normalizer.tokens(text).map {
                String(decoding: stemmer.stem(Array(String(decoding: $0, as: UTF8.self).utf16)), as: UTF16.self)
            }
        }
        func functionWords(_ sentence: MeteorSentence) -> [Int] {
            sentence.words.indices.filter { worker.vocabulary.entries[Int(sentence.words[$0])].isFunctionWord }
        }
        let rows = try Support.lines(url, as: Pair.self)
        #expect(rows.count == 284)
        for row in rows {
            let pair = try worker.pair(
                test: worker.vocabulary.sentence(row.test), reference: worker.vocabulary.sentence(row.ref))
            #expect(joined(row.test) == row.test_norm)
            #expect(joined(row.ref) == row.ref_norm)
            #expect(stems(row.test) == row.stems_test)
            #expect(stems(row.ref) == row.stems_ref)
            #expect(pair.candidates.matches.map(numbers) == row.candidates, "\(row.test) / \(row.ref)")
            #expect(pair.candidates.testCoverage == row.coverage_test)
            #expect(pair.candidates.referenceCoverage == row.coverage_ref)
            #expect(pair.alignment.matches.map(numbers) == row.alignment, "\(row.test) / \(row.ref)")
            #expect(pair.alignment.chunks == row.chunks)
            #expect(functionWords(pair.test) == row.function_test.sorted())
            #expect(functionWords(pair.reference) == row.function_ref.sorted())
            #expect(pair.statistics.values == row.stats.split(separator: " ").map { Double($0)! })
            #expect(abs(pair.statistics.score.score - row.score) <= Support.scoreTolerance)
        }
    }

    struct Line: Decodable {
        var `in`: String
        var out: String
    }

    @Test(.enabled(if: GoldenFiles.have("meteor_norm.jsonl.gz", "meteor_data"))) func normalizer() throws {
        let url = GoldenFiles.path("meteor_norm.jsonl.gz")
        let data = try Support.goldenData.get()
        let normalizer = MeteorNormalizer { data.prefix($0) }
        let rows = try Support.lines(url, as: Line.self)
        #expect(rows.count == 1265)
        for row in rows {
            let tokens = normalizer.tokens(row.in)
            #expect(Array(row.out.utf8) == Array(tokens.joined(separator: [0x20])), "\(row.in.debugDescription)")
        }
    }

    /// Stems, the word's synsets, and those through the base form, of every golden word.
    @Test(.enabled(if: GoldenFiles.have("meteor_words.json.gz", "meteor_data"))) func words() throws {
        let url = GoldenFiles.path("meteor_words.json.gz")
        let lookup = WordNetLookup(data: try Support.goldenData.get())
        var stemmer = SnowballEnglish()
        let file = try #require(
            JSONSerialization.jsonObject(with: Support.unpacked(url)) as? [String: Any])
        let rows = try #require(file["rows"] as? [[Any]])
        #expect(rows.count == 10759)
        for row in rows {
            let (word, stem) = (try #require(row[0] as? String), try #require(row[1] as? String))
            let own = try #require(row[2] as? [Int]).map(Int32.init)
            let base = try #require(row[3] as? [Int]).map(Int32.init)
            #expect(stemmer.stem(Array(word.utf16)) == Array(stem.utf16), "\(word)")
            let found = lookup.synsetsApart(of: Array(word.utf8))
            #expect(found.own == own, "\(word)")
            #expect(found.base == base, "\(word)")
            #expect(lookup.synsets(of: word) == Set(own + base).sorted(), "\(word)")
        }
    }

    struct Scores: Decodable {
        struct Image: Decodable {
            var image_id: Int
            var refs_tok: [String]
            var cand_tok: String
            var METEOR: Double
            var meteor_stats: String
        }
        struct Corpus: Decodable { var METEOR: Double }
        var corpus: Corpus
        var images: [Image]
    }

    /// Statistics, scores and the corpus value; fakecap's is the published .195.
    @Test(
        .enabled(if: GoldenFiles.have("scores.json.gz", "fakecap1000.json.gz", "meteor_data")),
        arguments: [("scores.json.gz", 500, nil), ("fakecap1000.json.gz", 1000, 0.195)])
    func scores(file: String, count: Int, published: Double?) throws {
        try check(GoldenFiles.path(file), count: count, published: published, data: Support.goldenData.get())
    }

    private static let hasFullTables = FileManager.default.fileExists(atPath: MeteorData.defaultPath())

    /// The same with METEOR's full tables, where this machine has them compiled.
    @Test(
        .enabled(
            if: GoldenFiles.have("scores.json.gz", "fakecap1000.json.gz") && hasFullTables,
            "METEOR's full tables: gmail data meteor"),
        arguments: [("scores.json.gz", 500, nil), ("fakecap1000.json.gz", 1000, 0.195)])
    func scoresWithFullTables(file: String, count: Int, published: Double?) throws {
        try check(GoldenFiles.path(file), count: count, published: published, data: MeteorData.open())
    }

    private func check(_ url: URL, count: Int, published: Double?, data: MeteorData) throws {
        let golden = try JSONDecoder().decode(Scores.self, from: Support.unpacked(url))
        #expect(golden.images.count == count)
        let result = try MeteorScorer(data: data).evaluate(
            candidates: golden.images.map(\.cand_tok), references: golden.images.map(\.refs_tok))
        for (i, image) in golden.images.enumerated() {
            let expected = image.meteor_stats.split(separator: " ").map { Double($0)! }
            #expect(result.statistics[i].values == expected, "image \(image.image_id)")
            #expect(abs(result.perImage[i] - image.METEOR) <= Support.scoreTolerance, "image \(image.image_id)")
        }
        #expect(abs(result.corpus - golden.corpus.METEOR) <= Support.scoreTolerance)
        if let published { #expect(abs(result.corpus - published) < 0.0005) }
    }
}
