import Files
import Foundation
import Safetensors
import Testing

/// `gmail evaluate captions` from end to end.
@Suite struct EvaluateCaptionsTests {
    /// Scores pass through JSON unrounded; the fixture's were made by pycocoevalcap.
    private static let tolerance = 1e-9

    private let folder: TemporaryFolder
    /// No data file is found here, whatever the machine has.
    private let withoutData: [String: String]

    init() throws {
        folder = try TemporaryFolder()
        withoutData = ["GMAIL_DATA_DIR": folder.path("no-data")]
    }

    struct Report: Decodable {
        struct Tag: Decodable {
            let metric, variant, tokenizer: String
            let sha256: [String: String]
        }
        struct Part: Decodable {
            let name: String
            let value: Double?
        }
        struct Metric: Decodable {
            let name: String
            let value: Double?
            let `protocol`: Tag
            let parts: [Part]?
        }
        struct Finding: Decodable, Equatable {
            let kind: String
            let count: Int
            let image_ids: [Int]
        }
        let images: Int
        let metrics: [Metric]
        let findings: [Finding]

        subscript(name: String) -> Metric? { metrics.first { $0.name == name } }
    }

    private func report(_ name: String = "metrics.json") throws -> Report {
        try JSONDecoder().decode(Report.self, from: Data(contentsOf: URL(fileURLWithPath: folder.path(name))))
    }

    private func perImage() throws -> [[String: Any]] {
        try String(contentsOfFile: folder.path("images.jsonl"), encoding: .utf8).split(separator: "\n").map {
            try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    private func captionFiles() throws -> [String] {
        let fixture = try CaptionFixtures.captions()
        return try CaptionFixtures.write(
            fixture.images.map { ($0.image_id, $0.references, $0.candidate) }, to: folder)
    }

    private func evaluate(_ files: [String], _ options: [String]) throws -> Gmail.Outcome {
        try Gmail.run(
            ["evaluate", "captions"] + files + ["--out", folder.path("metrics.json")] + options,
            environment: withoutData)
    }

    @Test func scoresEqualTheReference() throws {
        let outcome = try evaluate(
            captionFiles(), ["--metrics", "bleu,rouge,cider", "--per-image", folder.path("images.jsonl")])
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let fixture = try CaptionFixtures.captions()
        let report = try report()
        #expect(report.images == fixture.images.count)
        #expect(
            report.findings == [
                .init(kind: "emptyCandidates", count: 1, image_ids: [9]),
                .init(kind: "emptyReferences", count: 1, image_ids: [12]),
            ])
        #expect(report.metrics.map(\.name) == ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "ROUGE_L", "CIDEr"])
        let rows = try perImage()
        #expect(rows.map { $0["image_id"] as? Int } == fixture.images.map(\.image_id))
        for (name, expected) in fixture.scores {
            let metric = try #require(report[name])
            #expect(abs(try #require(metric.value) - expected.corpus) <= Self.tolerance, "\(name)")
            #expect(metric.protocol.tokenizer == "ptb-coco")
            #expect(metric.protocol.sha256["references"]?.count == 64 && metric.protocol.sha256["candidates"] != nil)
            for (row, value) in zip(rows, expected.images) {
                let own = try #require(row[name] as? Double)
                #expect(abs(own - value) <= Self.tolerance, "\(name)")
            }
        }
        // The table names every score; nothing else is on standard output.
        let lines = outcome.stdout.split(separator: "\n")
        #expect(lines.count == 7 && lines[0].hasPrefix("32 images, tokenizer ptb-coco"))
        #expect(lines.dropFirst().map { $0.prefix { $0 != " " } } == report.metrics.map { $0.name[...] })
        #expect(outcome.stderr.contains("tokenising 32 images"))
    }

    @Test func jsonOnStandardOutputIsTheFile() throws {
        let outcome = try evaluate(captionFiles(), ["--metrics", "bleu", "--json", "--quiet"])
        #expect(outcome.status == 0)
        #expect(
            Array(outcome.stdout.utf8) == Array(try Data(contentsOf: URL(fileURLWithPath: folder.path("metrics.json"))))
        )
        // Progress is silent; findings about the data are not.
        let lines = outcome.stderr.split(separator: "\n")
        #expect(lines.count == 2 && lines.allSatisfy { $0.hasPrefix("note: 1 images with an empty ") })
    }

    /// Every choice of metric gives its number, whichever others are there.
    @Test func meteorAndSpiceFromTheDataFile() throws {
        let fixture = try CaptionFixtures.meteor().tokenised
        let files = try CaptionFixtures.write(
            fixture.images.map { ($0.image_id, $0.references, $0.candidate) }, to: folder)
        let data = folder.path("meteor-en.bin")
        let made = try Gmail.run(["data", "meteor", "--from", CaptionFixtures.meteorTables, "--out", data])
        #expect(made.status == 0 && made.stdout.contains("written"), "\(made.stderr)")
        let again = try Gmail.run(["data", "meteor", "--from", CaptionFixtures.meteorTables, "--out", data])
        #expect(again.status == 0 && again.stdout.contains("up to date"))

        let outcome = try evaluate(files, ["--meteor-data", data, "--per-image", folder.path("images.jsonl")])
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let report = try report()
        #expect(
            report.metrics.map(\.name)
                == ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr", "SPICE"])
        let meteor = try #require(report["METEOR"])
        #expect(abs(try #require(meteor.value) - fixture.corpus) <= Self.tolerance)
        #expect(meteor.protocol.variant.hasPrefix("meteor-1.5-en-norm;data="))
        #expect(meteor.protocol.sha256["meteorData"]?.count == 64)
        let rows = try perImage()
        for (row, image) in zip(rows, fixture.images) {
            #expect(abs(try #require(row["METEOR"] as? Double) - image.score) <= Self.tolerance)
        }

        let spice = try #require(report["SPICE"])
        #expect(spice.protocol.metric == "spice-native" && spice.protocol.variant.hasPrefix("spice-native/"))
        #expect(spice.protocol.sha256["spiceParser"]?.count == 64 && spice.protocol.sha256["meteorData"]?.count == 64)
        #expect(
            spice.parts?.map(\.name) == ["Relation", "Attribute", "Object", "Color", "Size", "Cardinality"])
        let values = try rows.map { try #require($0["SPICE"] as? Double) }
        #expect(abs(try #require(spice.value) - values.reduce(0, +) / Double(values.count)) <= Self.tolerance)
        #expect(values.contains { $0 > 0 } && values.allSatisfy { (0...1).contains($0) })
        // Objects are in every caption; numbers are not.
        #expect(rows.allSatisfy { $0["SPICE_Object"] is Double })
        #expect(rows.contains { $0["SPICE_Cardinality"] is NSNull })
    }

    @Test func meteorWithoutData() throws {
        let outcome = try evaluate(captionFiles(), ["--metrics", "meteor", "--meteor", "stem,exact"])
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let metric = try #require(try report()["METEOR"])
        #expect(
            metric.protocol.variant == "meteor-1.5-en-norm;modules=exact+stem;data=none,no-function-words")
        #expect((0.01..<1).contains(try #require(metric.value)))
    }

    @Test func defaultsSayWhatIsLeftOut() throws {
        let files = try CaptionFixtures.write([(1, ["a dog"], "a cat")], to: folder)
        let outcome = try evaluate(files, ["--quiet"])
        #expect(outcome.status == 0)
        #expect(
            try report().metrics.map(\.name) == ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "ROUGE_L", "CIDEr"])
        let notes = outcome.stderr.split(separator: "\n")
        #expect(notes.count == 3)
        #expect(
            notes.first?.hasPrefix(
                "note: left out meteor and spice: METEOR's data file '\(folder.path("no-data"))/meteor-en.bin' does "
                    + "not exist; make it once with: pip download") == true)
        #expect(notes[1] == "note: left out wmd: it needs --word-vectors FILE")
        #expect(notes.last?.hasPrefix("note: CIDEr of one image is 0 whatever its caption") == true)
    }

    @Test func wordVectorsJoinTheDefaults() throws {
        let vectors = try folder.write("dog 0 0\ncat 3 4\n", to: "vectors.txt")
        let files = try CaptionFixtures.write([(1, ["a dog"], "a cat"), (2, ["the dog"], "dog")], to: folder)
        let outcome = try evaluate(files, ["--word-vectors", vectors])
        #expect(outcome.status == 0)
        let metric = try #require(try report()["WMD"])
        #expect(abs(try #require(metric.value) - (exp(-5) + 1) / 2) <= Self.tolerance)
        #expect(metric.protocol.sha256["wordVectors"] == ContentHash.sha256(of: "dog 0 0\ncat 3 4\n"))
    }

    @Test func findingsNameImages() throws {
        let references = try folder.write(
            #"{"1": ["a dog", ""], "2": ["a cat"], "4": ["a bird"]}"#, to: "references.json")
        let candidates = try folder.write(
            #"[{"image_id": 1, "caption": "a dog"}, {"image_id": 3, "caption": "a cow"}, "#
                + #"{"image_id": 1, "caption": "a pig"}, {"image_id": 2, "caption": " "}]"#, to: "candidates.json")
        let outcome = try evaluate(
            ["--references", references, "--candidates", candidates], ["--metrics", "rouge", "--quiet"])
        #expect(outcome.status == 0)
        let report = try report()
        #expect(report.images == 2)
        #expect(
            report.findings == [
                .init(kind: "candidatesWithoutReferences", count: 1, image_ids: [3]),
                .init(kind: "referencesWithoutCandidates", count: 1, image_ids: [4]),
                .init(kind: "duplicateCandidates", count: 1, image_ids: [1]),
                .init(kind: "emptyCandidates", count: 1, image_ids: [2]),
                .init(kind: "emptyReferences", count: 1, image_ids: [1]),
            ])
        #expect(
            outcome.stderr.contains(
                "note: 1 candidates without references (3); left out: there is nothing to compare them with\n"))
    }

    /// What goes wrong, the exit code, and what is said. `$` stands for the folder.
    struct Failure: Sendable, CustomTestStringConvertible {
        let name: String
        var references = #"{"1": ["a dog"]}"#
        var candidates = #"{"1": ["a dog"]}"#
        let options: [String]
        let status: Int32
        let message: String

        var testDescription: String { name }
    }

    static let failures: [Failure] = [
        Failure(
            name: "missing file", options: ["--metrics", "bleu", "--references", "$/absent.json"], status: 1,
            message: "error: cannot read '$/absent.json': "),
        Failure(
            name: "broken JSON", candidates: "[\n {\"image_id\": 1 \"caption\": \"a\"}]",
            options: ["--metrics", "bleu"],
            status: 1,
            message: "error: '$/candidates.json' is not valid JSON: line 2, column 17: expected ',' or '}', got "),
        Failure(
            name: "another layout", references: "7", options: ["--metrics", "bleu"], status: 1,
            message:
                "error: '$/references.json' holds captions in no layout that is read here: got a number, expected COCO captions "
        ),
        Failure(
            name: "no common images", candidates: #"{"2": ["a dog"]}"#, options: ["--metrics", "bleu"], status: 1,
            message: "error: no image has both references and a candidate: 1 images with references (such as 1), "
                + "1 with candidates (such as 2); check that both files use the same image ids\n"),
        Failure(
            name: "no captions", candidates: "[]", options: ["--metrics", "bleu"], status: 1,
            message: "error: no images to score: "),
        Failure(
            name: "output that cannot be written", options: ["--metrics", "bleu", "--out", "$/no/such/m.json"],
            status: 1, message: "error: cannot write '$/no/such/m.json': "),
        Failure(
            name: "METEOR without data", options: ["--metrics", "meteor"], status: 1,
            message:
                "error: METEOR's data file '$/no-data/meteor-en.bin' does not exist; make it once with: pip download "
                + "--no-deps pycocoevalcap==1.2 && gmail data meteor --from pycocoevalcap-1.2-py3-none-any.whl "
                + "(without it only --meteor exact,stem can be computed)\n"),
        Failure(
            name: "SPICE without data", options: ["--metrics", "spice"], status: 1,
            message: "error: SPICE reads WordNet's synsets from METEOR's data file, and '$/no-data/meteor-en.bin' does "
                + "not exist; make it once with: pip download --no-deps pycocoevalcap==1.2 && gmail data meteor "
                + "--from pycocoevalcap-1.2-py3-none-any.whl\n"),
        Failure(
            name: "a data file that is asked for and absent", options: ["--meteor-data", "$/absent.bin"], status: 1,
            message: "error: METEOR's data file '$/absent.bin' does not exist; "),
        Failure(
            name: "a data file that is none", options: ["--meteor-data", "$/references.json"], status: 1,
            message: "error: METEOR's data file '$/references.json' is not usable: "),
        Failure(
            name: "the jar is not there", options: ["--metrics", "spice", "--spice-jar", "$/spice-1.0.jar"], status: 1,
            message: "error: SPICE jar '$/spice-1.0.jar': no such file; "),
        Failure(
            name: "vectors that are not there", options: ["--metrics", "wmd", "--word-vectors", "$/v.bin"], status: 1,
            message: "error: cannot read '$/v.bin': "),
        Failure(
            name: "vectors of other words",
            options: ["--metrics", "wmd", "--word-vectors", "$/references.json"], status: 1,
            message: "error: word vectors '$/references.json': expected vectors of words in the captions, got none for "
                + "any of their 2 words (captions are in lower case)\n"),
        Failure(
            name: "wmd without vectors", options: ["--metrics", "wmd"], status: 2,
            message: "Error: metric 'wmd' needs word vectors: add --word-vectors FILE (word2vec .bin, .safetensors or "
                + "GloVe text)\n"),
        Failure(
            name: "vectors without wmd", options: ["--metrics", "bleu", "--word-vectors", "v.bin"], status: 2,
            message: "Error: --word-vectors is for wmd: add it to --metrics\n"),
        Failure(
            name: "modules without meteor", options: ["--metrics", "bleu", "--meteor", "exact"], status: 2,
            message: "Error: --meteor is for meteor: add it to --metrics\n"),
        Failure(
            name: "unknown metric", options: ["--metrics", "bleu,blue"], status: 2,
            message: "unknown metric 'blue'; expected some of bleu, meteor, rouge, cider, cider-plain, spice, wmd, "
                + "separated by commas"),
        Failure(
            name: "unknown module", options: ["--meteor", "exact,stemm"], status: 2,
            message: "unknown METEOR module 'stemm'. Expected some of: exact, stem, synonym, paraphrase"),
        Failure(name: "unknown option", options: ["--metricks", "bleu"], status: 2, message: "Error: Unknown option"),
    ]

    @Test(arguments: failures)
    func failuresAreExplained(_ failure: Failure) throws {
        let files = [
            "--references", try folder.write(failure.references, to: "references.json"),
            "--candidates", try folder.write(failure.candidates, to: "candidates.json"),
        ]
        func filled(_ text: String) -> String { text.replacing("$", with: folder.url.path) }
        let outcome = try evaluate(files, failure.options.map(filled))
        #expect(outcome.status == failure.status, "\(outcome.stderr)")
        #expect(outcome.stderr.contains(filled(failure.message)), "\(outcome.stderr)")
        #expect(outcome.stdout == "")
        // A failed run leaves no output that could be taken for a result.
        #expect(!FileManager.default.fileExists(atPath: folder.path("metrics.json")))
    }

    @Test func helpAndMissingArguments() throws {
        let help = try Gmail.run(["evaluate", "captions", "--help"])
        #expect(help.status == 0 && help.stdout.contains("--meteor-data") && help.stderr == "")
        let none = try Gmail.run(["evaluate", "captions"])
        #expect(none.status == 2 && none.stderr.contains("Missing expected argument '--references <file>'"))
    }
}
