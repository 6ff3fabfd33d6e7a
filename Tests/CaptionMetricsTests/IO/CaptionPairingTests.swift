import CaptionFiles
import Foundation
import Testing

@testable import CaptionMetrics

@Suite struct CaptionPairingTests {
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

    @Test func pairingReportsWhatDoesNotFit() throws {
        let references = try CaptionFile(
            Array(#"{"3": ["a dog", " "], "1": ["b"], "2": ["c"], "9": ["z"]}"#.utf8), path: "r")
        let candidates = try CaptionFile(
            Array(
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
        let references = try CaptionFile(Array(#"{"3": ["a"]}"#.utf8), path: "r")
        let candidates = try CaptionFile(Array(#"{"a": ["b"]}"#.utf8), path: "c")
        #expect(
            throws: CaptionDataError.noCommonImages(
                references: 1, candidates: 1, referenceExample: "3", candidateExample: "a")
        ) { try CaptionPairing(references: references, candidates: candidates) }
    }
}
