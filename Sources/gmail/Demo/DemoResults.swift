import Evaluation
import Files
import Foundation

/// What a demo measured: the captioners of all data settings, retrieval, and the gap; over one seed or several.
struct DemoResults: Codable {
    /// One seed's numbers.
    struct Seed: Codable {
        var seed: UInt64
        /// By captioner, by metric; unscaled.
        var captioning: [String: [String: Double]]
        /// CLIP as it is, on real held-out scenes.
        var retrieval: RetrievalMetrics
        /// With the aligned projection for real images.
        var retrievalAligned: RetrievalMetrics
        var gapBefore: GapStatistics
        var gapAfter: GapStatistics
        /// Of each stage.
        var seconds: [StageTime]
        var report: String
    }

    struct StageTime: Codable {
        var stage: String
        var seconds: Double
    }

    var settings: DemoSettings
    var seeds: [Seed]

    /// Reads what the stages wrote.
    /// - Throws: `CommandError` naming the file that is not as its command writes it.
    static func read(_ layout: DemoLayout, seed: UInt64, times: [(title: String, seconds: Double)]) throws -> Seed {
        struct Captioning: Decodable {
            struct Metric: Decodable {
                let name: String
                let value: Double?
            }
            let metrics: [Metric]
        }
        struct RetrievalFile: Decodable { let metrics: RetrievalMetrics }
        struct Gap: Decodable {
            let before: GapStatistics
            let after: GapStatistics?
        }
        var captioning: [String: [String: Double]] = [:]
        for kind in DemoCaptioner.allCases {
            let file: Captioning = try decode("\(layout.captioner(kind.rawValue))/metrics.json")
            captioning[kind.rawValue] = Dictionary(
                file.metrics.compactMap { metric in metric.value.map { (metric.name, $0) } }, uniquingKeysWith: { $1 })
        }
        let before: RetrievalFile = try decode("\(layout.runs)/clip-retrieval.json")
        let after: RetrievalFile = try decode("\(layout.alignment)/retrieval.json")
        let gapFile = "\(layout.alignment)/gap.json"
        let gap: Gap = try decode(gapFile)
        guard let gapAfter = gap.after else {
            throw CommandError("'\(gapFile)' has no numbers after alignment; run again with --force")
        }
        return Seed(
            seed: seed, captioning: captioning, retrieval: before.metrics, retrievalAligned: after.metrics,
            gapBefore: gap.before, gapAfter: gapAfter,
            seconds: times.map { .init(stage: $0.title, seconds: $0.seconds) }, report: layout.report)
    }

    private static func decode<Value: Decodable>(_ path: String) throws -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(RegularFile.bytes(path)))
        } catch let error as DecodingError {
            throw CommandError(
                "'\(path)' is not what its command writes (\(error.shortReason)); run again with --force")
        } catch {
            throw CommandError("\(error); run again with --force")
        }
    }

    func json() throws -> [UInt8] { try [UInt8](Demo.encoder.encode(self)) + [UInt8(ascii: "\n")] }
}
