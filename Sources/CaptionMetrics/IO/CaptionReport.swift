import Foundation

/// Writes results as files other programs read.
public enum CaptionReport {
    /// `metrics.json`: every corpus score with the protocol that made it, and what was found in the data.
    public static func metrics(_ results: CaptionResults, findings: [CaptionPairing.Finding]) throws -> Data {
        let report = Report(
            images: results.imageIDs.count,
            metrics: results.scores.map { score in
                Report.Metric(
                    name: score.name, value: score.corpus.isFinite ? score.corpus : nil,
                    protocol: Report.Tag(
                        metric: score.protocolTag.metric, variant: score.protocolTag.variant,
                        tokenizer: score.protocolTag.tokenizer, sha256: score.protocolTag.dataHashes))
            },
            findings: findings.map {
                Report.Finding(
                    kind: $0.kind.rawValue, count: $0.imageIDs.count, rule: $0.kind.rule,
                    imageIDs: $0.imageIDs.map(JSONImageID.init))
            })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(report) + Data("\n".utf8)
    }

    /// One line of JSON per image: its id, and every score by name; `null` where a metric is undefined.
    public static func perImage(_ results: CaptionResults) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        let keys = try results.scores.map { String(decoding: try encoder.encode($0.name), as: UTF8.self) }
        var text = ""
        for (index, id) in results.imageIDs.enumerated() {
            text += "{\"image_id\": " + String(decoding: try encoder.encode(JSONImageID(id)), as: UTF8.self)
            for (key, score) in zip(keys, results.scores) {
                let value = score.perImage[index]
                text += ", \(key): " + (value.isFinite ? "\(value)" : "null")
            }
            text += "}\n"
        }
        return Data(text.utf8)
    }

    private struct Report: Encodable {
        struct Tag: Encodable {
            let metric, variant, tokenizer: String
            let sha256: [String: String]
        }
        struct Metric: Encodable {
            let name: String
            let value: Double?
            let `protocol`: Tag
        }
        struct Finding: Encodable {
            let kind: String
            let count: Int
            let rule: String
            let imageIDs: [JSONImageID]

            enum CodingKeys: String, CodingKey {
                case kind, count, rule
                case imageIDs = "image_ids"
            }
        }
        let images: Int
        let metrics: [Metric]
        let findings: [Finding]
    }

    private struct JSONImageID: Encodable {
        let id: ImageID

        init(_ id: ImageID) { self.id = id }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch id {
            case .number(let number): try container.encode(number)
            case .name(let name): try container.encode(name)
            }
        }
    }
}
