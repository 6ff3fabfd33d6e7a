import CaptionFiles
import Foundation

/// Writes results as files other programs read.
public enum CaptionReport {
    /// `metrics.json`: every corpus score with the protocol that made it, and what was found in the data.
    /// - Parameter tags: what else tells these numbers from others: the captioner, its decoding, the split; nil leaves the
    ///   key out.
    public static func metrics(
        _ results: CaptionResults, findings: [CaptionPairing.Finding], tags: [String: String]? = nil
    ) throws -> Data {
        let report = Report(
            images: results.imageIDs.count,
            metrics: results.scores.map { score in
                Report.Metric(
                    name: score.name, value: Report.finite(score.corpus),
                    protocol: Report.Tag(
                        metric: score.protocolTag.metric, variant: score.protocolTag.variant,
                        tokenizer: score.protocolTag.tokenizer, sha256: score.protocolTag.dataHashes),
                    parts: score.parts.isEmpty
                        ? nil : score.parts.map { Report.Part(name: $0.name, value: Report.finite($0.corpus)) },
                    note: score.note)
            },
            findings: findings.map {
                Report.Finding(
                    kind: $0.kind.rawValue, count: $0.imageIDs.count, rule: $0.kind.rule,
                    imageIDs: $0.imageIDs)
            },
            tags: tags)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(report) + Data("\n".utf8)
    }

    /// One line of JSON per image: its id, and every score by name, parts as `SPICE_Color`; `null` where a metric is
    /// undefined.
    public static func perImage(_ results: CaptionResults) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        var columns: [(key: String, values: [Double])] = []
        for score in results.scores {
            columns.append((try key(score.name, encoder), score.perImage))
            for part in score.parts {
                columns.append((try key("\(score.name)_\(part.name)", encoder), part.perImage))
            }
        }
        var text = ""
        for (index, id) in results.imageIDs.enumerated() {
            text += "{\"image_id\": " + String(decoding: try encoder.encode(id), as: UTF8.self)
            for column in columns {
                let value = column.values[index]
                text += ", \(column.key): " + (value.isFinite ? "\(value)" : "null")
            }
            text += "}\n"
        }
        return Data(text.utf8)
    }

    private static func key(_ name: String, _ encoder: JSONEncoder) throws -> String {
        String(decoding: try encoder.encode(name), as: UTF8.self)
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
            let parts: [Part]?
            let note: String?
        }
        struct Part: Encodable {
            let name: String
            let value: Double?
        }
        struct Finding: Encodable {
            let kind: String
            let count: Int
            let rule: String
            let imageIDs: [ImageID]

            enum CodingKeys: String, CodingKey {
                case kind, count, rule
                case imageIDs = "image_ids"
            }
        }
        static func finite(_ value: Double) -> Double? { value.isFinite ? value : nil }

        let images: Int
        let metrics: [Metric]
        let findings: [Finding]
        let tags: [String: String]?
    }
}
