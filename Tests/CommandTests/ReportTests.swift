import Foundation
import FoundationXML
import Images
import Testing

/// `gmail report` from end to end on two small run folders.
@Suite struct ReportTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        for (name, rank, cider, caption) in [("plain", 4, 0.8, "a <dog> & a cat"), ("wide", 8, 0.9, "a dog")] {
            try FileManager.default.createDirectory(atPath: folder.path(name), withIntermediateDirectories: true)
            try folder.write(
                """
                name: "\(name)"
                paper:
                  table: "Table 11"
                  row: "rank 4"
                  numbers: {"CIDEr": 119.53}
                adapter:
                  rank: \(rank)
                training:
                  steps: 2
                  seed: 0

                """, to: "\(name)/recipe.yaml")
            try folder.write(
                """
                {"step": 0, "validation/loss": 3.5}
                {"step": 1, "loss": 3.25, "gradient_norm": 1}
                {"step": 2, "loss": 2.75, "gradient_norm": 0.5}

                """, to: "\(name)/metrics.jsonl")
            try folder.write(
                #"{"images": 1, "metrics": [{"name": "CIDEr", "value": \#(cider), "protocol": {"metric": "CIDEr", "variant": "v", "tokenizer": "PTB", "sha256": {}}}], "findings": []}"#,
                to: "\(name)/metrics.json")
            try folder.write(
                #"{"image_id": 7, "file": "seven.png", "path": "seven.png", "caption": "\#(caption)", "references": ["A dog."]}"#
                    + "\n", to: "\(name)/predictions.jsonl")
        }
        try FileManager.default.createDirectory(atPath: folder.path("photos"), withIntermediateDirectories: true)
        let image = try RGBImage(width: 20, height: 10, pixels: (0..<600).map { UInt8($0 % 251) })
        try Data(ImageWriter.png(image)).write(to: URL(fileURLWithPath: folder.path("photos/seven.png")))
    }

    @Test func twoRunsBecomeOnePage() throws {
        let outcome = try Gmail.run(
            ["report", "plain", "wide", "--images", "photos", "--out", "page.html", "--title", "Ranks"], in: folder.url)
        #expect(outcome.status == 0, "\(outcome.stderr)")
        #expect(outcome.stderr == "")
        #expect(
            outcome.stdout == """
                setting                 CIDEr
                ─────────────────────────────
                plain                   80.00
                wide                    90.00*
                published, other data
                rank 4 (Table 11)      119.53

                page.html written

                """)
        let page = try Data(contentsOf: URL(fileURLWithPath: folder.path("page.html")))
        let parser = XMLParser(data: page)
        #expect(parser.parse(), "\(parser.parserError.map { "\($0)" } ?? "")")
        let text = String(decoding: page, as: UTF8.self)
        for part in ["<title>Ranks</title>", "adapter.rank", "a &lt;dog&gt; &amp; a cat", "data:image/jpeg;base64,"] {
            #expect(text.contains(part), "\(part)")
        }
    }

    @Test func findingsForPrograms() throws {
        let outcome = try Gmail.run(["report", "plain", "wide", "--out", "page.html", "--json"], in: folder.url)
        #expect(outcome.status == 0)
        #expect(outcome.stderr == "note: no picture of seven.png: not found: seven.png\n")
        let object = try JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8))
        let root = try #require(object as? [String: Any])
        #expect((root["runs"] as? [[String: Any]])?.map { $0["label"] as? String } == ["plain", "wide"])
        #expect(((root["gallery"] as? [String: Any])?["missing"] as? [Any])?.count == 1)
    }

    @Test func badInput() throws {
        try folder.write("{\"step\": 1}\n{\"step\": }\n", to: "wide/metrics.jsonl")
        let cases: [([String], Int32, String)] = [
            (["nowhere"], 1, "error: 'nowhere' is not a run folder: it does not exist."),
            (["photos"], 1, "error: 'photos' is not a run folder: it has no recipe.yaml."),
            (["plain", "./plain"], 1, "error: run './plain' is given twice"),
            (["plain", "wide"], 1, "error: 'wide/metrics.jsonl', line 2 is not valid JSON"),
            (["plain", "--images", "nowhere"], 1, "error: --images 'nowhere' is not a folder"),
            (["plain", "--gallery", "1001"], 2, "--gallery is 1001, expected 0 to 1000"),
            ([], 2, "Missing expected argument '<runs> ...'"),
        ]
        for (arguments, status, text) in cases {
            let outcome = try Gmail.run(["report"] + arguments + ["--out", "bad.html"], in: folder.url)
            #expect(outcome.status == status, "\(arguments)")
            #expect(outcome.stderr.contains(text), "\(arguments): \(outcome.stderr)")
            #expect(!FileManager.default.fileExists(atPath: folder.path("bad.html")))
        }
    }
}
