import Foundation
import Testing

@testable import CaptionMetrics

/// METEOR and SPICE as metrics of a suite: their names, tags and parts, and their place in the reports.
@Suite struct MetricTests {
    private let captions: TokenizedCaptions

    init() throws {
        captions = try TokenizedCaptions(
            imageIDs: [.number(7), .name("b")], references: [["a small dog on a bed", "a dog"], ["two men"]],
            candidates: ["a dog on a bed", "a man"], tokenizer: "test", dataHashes: ["references": "r"])
    }

    @Test func meteor() throws {
        let data = try MeteorTestSupport.data.get()
        let score = try MeteorMetric(data: data).evaluate(captions)[0]
        #expect(score.name == "METEOR" && score.perImage.count == 2 && score.parts.isEmpty)
        let evaluation = try MeteorScorer(data: data).evaluate(
            candidates: captions.candidates, references: captions.references)
        #expect(score.corpus == evaluation.corpus && score.perImage == evaluation.perImage)
        #expect(score.protocolTag.metric == "meteor")
        #expect(score.protocolTag.variant == "meteor-1.5-en-norm;data=\(data.tag)")
        #expect(score.protocolTag.dataHashes == ["references": "r", "meteorData": data.sourceHash])

        let plain = try MeteorMetric(data: nil, modules: [.exact, .stem]).evaluate(captions)[0]
        #expect(plain.protocolTag.variant == "meteor-1.5-en-norm;modules=exact+stem;data=none,no-function-words")
        #expect(plain.protocolTag.dataHashes == ["references": "r"])
        // Two numbers that must not be compared never share a tag.
        let withData = try MeteorMetric(data: data, modules: [.exact, .stem]).evaluate(captions)[0]
        #expect(Set([score, plain, withData].map(\.protocolTag)).count == 3)
    }

    @Test func spice() throws {
        let data = try MeteorTestSupport.data.get()
        let parser = try CaptionParser.bundled()
        let metric = SpiceMetric(parser: parser, data: data)
        let score = try metric.evaluate(captions)[0]
        let result = try metric.scorer.evaluate(candidates: captions.candidates, references: captions.references)
        #expect(score.name == "SPICE" && score.corpus == result.corpus)
        #expect(score.perImage == result.images.map(\.all.f1))
        #expect(score.parts.map(\.name) == SpiceCategory.allCases.map(\.rawValue))
        #expect(score.protocolTag.metric == "spice-native")
        #expect(score.protocolTag.variant == metric.scorer.protocolTag)
        #expect(
            score.protocolTag.dataHashes
                == ["references": "r", "meteorData": data.sourceHash, "spiceParser": parser.hash])

        let size = try #require(score.parts.first { $0.name == "Size" })
        #expect(size.perImage[0] == 0 && size.perImage[1].isNaN && size.corpus == 0)
        let results = CaptionResults(imageIDs: captions.imageIDs, scores: [score])
        let lines = String(decoding: try CaptionReport.perImage(results), as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[0].hasPrefix("{\"image_id\": 7, \"SPICE\": \(score.perImage[0]), \"SPICE_Relation\": "))
        #expect(lines[1].hasPrefix("{\"image_id\": \"b\", ") && lines[1].contains("\"SPICE_Size\": null"))
        let report = String(decoding: try CaptionReport.metrics(results, findings: []), as: UTF8.self)
        // A colour that nobody names is a part without a value.
        #expect(report.contains("\"name\" : \"Color\"\n") && report.contains("\"name\" : \"SPICE\""))
    }
}
