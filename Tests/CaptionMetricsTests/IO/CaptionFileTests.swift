import Foundation
import TestSupport
import Testing

@testable import CaptionMetrics

@Suite struct CaptionFileTests {
    private func read(_ text: String) throws -> [CaptionFile.Entry] {
        try CaptionFile(Data(text.utf8), path: "f.json").entries
    }

    @Test(arguments: [
        #"{"info": {"a": [1, 2.5e3, null, true]}, "images": [{"id": 7}], "annotations": [{"image_id": 7, "id": 1, "caption": "a dog"}, {"caption": "b \"c\" \u00e9\n", "image_id": 7}]}"#,
        #"[{"image_id": 7, "caption": "a dog", "x": {"y": []}}, {"image_id": 7, "caption": "b \"c\" é\n"}]"#,
        #"{"7": ["a dog", {"id": 3, "caption": "b \"c\" é\n"}]}"#,
        "\u{FEFF}" + #" { "7" : [ "a dog" , "b \"c\" \u00E9\u000a" ] } "#,
    ])
    func readsEveryLayout(_ text: String) throws {
        #expect(
            try read(text) == [
                .init(imageID: .number(7), caption: "a dog"), .init(imageID: .number(7), caption: "b \"c\" é\n"),
            ])
    }

    @Test func readsSurrogatePairsAndNames() throws {
        #expect(try read(#"{"img_1": "\ud83d\ude00"}"#) == [.init(imageID: .name("img_1"), caption: "😀")])
    }

    /// What a user sees, in full.
    @Test(arguments: [
        (
            #"[{"image_id": 1, "caption": "a"},]"#,
            "'f.json', entry 1: expected an object with 'image_id' and 'caption', got another value"
        ),
        (#"[{"image_id": 1}]"#, "'f.json', entry 0 (image 1): expected 'caption', a string, got an entry without it"),
        (#"[{"caption": "a"}]"#, "'f.json', entry 0: expected 'image_id', got an entry without it"),
        (
            #"[{"image_id": 1.5, "caption": "a"}]"#,
            "'f.json' is not valid JSON: line 1, column 15: expected an image id (a whole number or a string), got '1.5, \"captio'"
        ),
        (
            "{\"1\": [\"a\"\n \"b\"]}",
            "'f.json' is not valid JSON: line 2, column 2: expected ',' or ']', got '\"b\"]}'"
        ),
        (
            #"{"1": ["a"]"#,
            "'f.json' is not valid JSON: line 1, column 12: expected ',' or '}', got the end of the file"
        ),
        (#"{"1": 5}"#, "'f.json', image 1: expected captions: strings, or objects with 'caption', got another value"),
        (#"["a\x"]"#, "'f.json', entry 0: expected an object with 'image_id' and 'caption', got another value"),
        (
            "\"a\"",
            "'f.json' has an unknown layout: expected COCO captions {\"annotations\": [{\"image_id\", \"caption\"}]}, COCO results [{\"image_id\", \"caption\"}], or {\"image id\": [\"caption\", …]}"
        ),
        ("[] x", "'f.json' is not valid JSON: line 1, column 4: expected the end of the file, got 'x'"),
    ])
    func saysWhatIsWrong(_ text: String, _ message: String) {
        #expect {
            try read(text)
        } throws: { error in
            #expect("\(error)" == message)
            return error is CaptionDataError
        }
    }

    @Test func otherMessages() {
        let messages: [(CaptionDataError, String)] = [
            (.noImages, "no images to score: expected at least one image with references and a candidate"),
            (.noReferences(.number(3)), "image 3 has no reference caption: expected at least one"),
            (
                .repeatedImage(.name("x")),
                "image x occurs twice: each image has one entry, with all its references and one candidate"
            ),
            (
                .unequalCounts(images: 1, references: 2, candidates: 3),
                "captions do not pair up: 1 images, 2 lists of references, 3 candidates; all three must be equal in number"
            ),
            (
                .noCommonImages(references: 2, candidates: 1, referenceExample: "7", candidateExample: "a.jpg"),
                "no image has both references and a candidate: 2 images with references (such as 7), 1 with candidates "
                    + "(such as a.jpg); check that both files use the same image ids"
            ),
            (
                .wordVectors(path: "v.bin", expected: "x", got: "y"), "word vectors 'v.bin': expected x, got y"
            ),
        ]
        for (error, message) in messages {
            #expect(error.description == message && error.localizedDescription == message)
        }
    }

    @Test func deepNestingIsRefused() {
        #expect(throws: CaptionDataError.self) { try read(String(repeating: "[", count: 100_000)) }
        #expect(throws: CaptionDataError.self) {
            try read(#"{"info": "# + String(repeating: "[", count: 100_000))
        }
    }

    @Test func brokenFilesThrow() throws {
        let whole = Array(#"{"annotations": [{"image_id": 7, "caption": "a \"b\" \u00e9 c"}], "x": -1.5}"#.utf8)
        for length in 0..<whole.count {
            #expect(throws: CaptionDataError.self) { try CaptionFile(Data(whole[..<length]), path: "f") }
        }
        var generator = SeededGenerator(state: 3)
        for _ in 0..<2000 {
            var bytes = whole
            for _ in 0..<3 {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            // Either is fine; a crash is not.
            _ = Result { try CaptionFile(Data(bytes), path: "f") }
        }
    }

    @Test func pairingReportsWhatDoesNotFit() throws {
        let references = try CaptionFile(
            Data(#"{"3": ["a dog", " "], "1": ["b"], "2": ["c"], "9": ["z"]}"#.utf8), path: "r")
        let candidates = try CaptionFile(
            Data(
                #"[{"image_id": 2, "caption": ""}, {"image_id": 3, "caption": "x"}, {"image_id": 3, "caption": "y"}, {"image_id": 8, "caption": "q"}, {"image_id": 1, "caption": "w"}]"#
                    .utf8), path: "c")
        let pairing = try CaptionPairing(references: references, candidates: candidates)
        #expect(pairing.imageIDs == [.number(3), .number(1), .number(2)])
        #expect(pairing.candidates == ["x", "w", ""])
        #expect(
            pairing.findings.map(\.summary) == [
                "1 candidates without references (8); left out: there is nothing to compare them with",
                "1 images with references but no candidate (9); left out: only images with a candidate are scored",
                "1 images with more than one candidate (3); the first candidate of the image is scored, the others are ignored",
                "1 images with an empty candidate (2); scored as captions without words",
                "1 images with an empty reference (3); kept as references without words",
            ])
        let results = try CaptionEvaluation(metrics: [BLEU(), CIDEr()]).run(pairing.tokenized())
        let report = try JSONSerialization.jsonObject(with: CaptionReport.metrics(results, findings: pairing.findings))
        let object = try #require(report as? [String: Any])
        #expect(object["images"] as? Int == 3)
        let metric = try #require((object["metrics"] as? [[String: Any]])?.last)
        #expect(metric["name"] as? String == "CIDEr")
        let tag = try #require(metric["protocol"] as? [String: Any])
        #expect(tag["metric"] as? String == "cider-d" && tag["tokenizer"] as? String == "ptb-coco")
        #expect((tag["sha256"] as? [String: String])?["references"] == references.hash)
        let lines = try CaptionReport.perImage(results).split(separator: 0x0A)
        #expect(lines.count == 3)
        let first = try #require(try JSONSerialization.jsonObject(with: lines[0]) as? [String: Any])
        #expect(first["image_id"] as? Int == 3 && first["Bleu_4"] is Double)
    }

    @Test func strangersAreAnError() throws {
        let references = try CaptionFile(Data(#"{"3": ["a"]}"#.utf8), path: "r")
        let candidates = try CaptionFile(Data(#"{"a": ["b"]}"#.utf8), path: "c")
        #expect(
            throws: CaptionDataError.noCommonImages(
                references: 1, candidates: 1, referenceExample: "3", candidateExample: "a")
        ) { try CaptionPairing(references: references, candidates: candidates) }
    }
}
