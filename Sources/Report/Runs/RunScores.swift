import Evaluation
import StrictJSON

/// A final number of a run, with the protocol that made it.
public struct RunScore: Sendable, Equatable {
    /// The name in the file: `Bleu_4`, `CIDEr`, …; `image_to_text R@1` for retrieval.
    public let name: String
    /// nil if the metric was undefined.
    public let value: Double?
    /// Everything that must be equal before two numbers may be compared, in words.
    public let protocolTag: String
    /// Hashes of the data that the metric read, by name.
    public let dataHashes: [String: String]
}

extension RunScore {
    /// Reads `metrics.json`; nil when there is none.
    /// - Throws: ``ReportError``.
    static func captions(_ path: String) throws -> [RunScore]? {
        guard let root = try JSONDocument.value(path) else { return nil }
        guard let metrics = root["metrics"]?.array else {
            throw ReportError.unexpectedContent(
                path: path, line: nil, expected: "a list under 'metrics', as gmail evaluate captions writes it",
                got: root["metrics"]?.kind ?? "no such key")
        }
        let images = root["images"]?.integer
        // Scores on other captions are other numbers, even if everything else is equal.
        let references = settings(of: root).filter { $0.key.hasSuffix("captions_sha256") }
        return try metrics.map { metric in
            guard let name = metric["name"]?.string else {
                throw ReportError.unexpectedContent(
                    path: path, line: nil, expected: "a text under 'name' of every metric",
                    got: metric["name"]?.kind ?? "no such key")
            }
            let value: Double?
            switch metric["value"] {
            case .number?: value = metric["value"]?.double
            case .null?: value = nil
            case let other:
                throw ReportError.unexpectedContent(
                    path: path, line: nil, expected: "a number or null under 'value' of \(name)",
                    got: other?.kind ?? "no such key")
            }
            let tag = metric["protocol"]
            var words = [
                tag?["metric"]?.string, tag?["variant"]?.string, tag?["tokenizer"]?.string.map { "tokenizer \($0)" },
            ].compactMap { $0 }
            if let images { words.append("\(images) images") }
            let hashes: [(String, String)] =
                (tag?["sha256"]?.members ?? []).compactMap { member in
                    member.value.string.map { (member.key, $0) }
                } + references.map { ($0.key, $0.value) }
            return RunScore(
                name: name, value: value, protocolTag: words.joined(separator: "; "),
                dataHashes: Dictionary(hashes, uniquingKeysWith: { first, _ in first }))
        }
    }

    /// Texts of `metrics.json` that say how its numbers were made: the decoding of a captioner, its encoder.
    static func settings(_ path: String) throws -> [(key: String, value: String)] {
        try JSONDocument.value(path).map(settings(of:)) ?? []
    }

    private static func settings(of root: JSONValue) -> [(key: String, value: String)] {
        var found: [(String, String)] = []
        func visit(_ value: JSONValue, _ key: String) {
            switch value {
            case .object(let members):
                for member in members { visit(member.value, key.isEmpty ? member.key : "\(key).\(member.key)") }
            case .string(let text): found.append((key, text))
            case .number(let text): found.append((key, text))
            case .bool(let flag): found.append((key, "\(flag)"))
            case .null, .array: break
            }
        }
        for member in root.members ?? [] where !["metrics", "findings", "images", "version"].contains(member.key) {
            visit(member.value, member.key)
        }
        return found
    }

    /// Reads `retrieval.json`; nil when there is none.
    static func retrieval(_ path: String) throws -> [RunScore]? {
        struct File: Decodable {
            let `protocol`: String
            let metrics: RetrievalMetrics
        }
        guard let file = try JSONDocument.decode(File.self, path) else { return nil }
        let directions = [("image_to_text", file.metrics.imageToText), ("text_to_image", file.metrics.textToImage)]
        return directions.flatMap { name, direction in
            [(1, direction.recallAt1), (5, direction.recallAt5), (10, direction.recallAt10)].map { k, value in
                RunScore(name: "\(name) R@\(k)", value: value, protocolTag: file.protocol, dataHashes: [:])
            }
        }
    }
}

/// The modality gap of a run: `gap.json`, and the points of the map beside it.
public struct RunGap: Sendable, Equatable {
    public let before: GapStatistics
    public let after: GapStatistics?
    /// What kind of gap it is; nil in files of before version 2.
    public let diagnoses: GapReport.Diagnoses?
    public let pairs: Int
    public let step: Int?
    /// nil if no map was drawn.
    public let map: Map?

    public struct Map: Sendable, Equatable, Decodable {
        public let before: GapMap
        public let after: GapMap?
    }

    /// - Returns: nil if there is no `gap.json`.
    static func read(folder: String) throws -> RunGap? {
        struct File: Decodable {
            struct Counts: Decodable { let pairs: Int }
            struct Tag: Decodable {
                let runStep: Int?
                enum CodingKeys: String, CodingKey { case runStep = "run_step" }
            }
            let before: GapStatistics
            let after: GapStatistics?
            let gap: GapReport.Diagnoses?
            let counts: Counts
            let `protocol`: Tag
        }
        guard let file = try JSONDocument.decode(File.self, "\(folder)/gap.json") else { return nil }
        let mapPath = "\(folder)/gap-map.json"
        let map = try JSONDocument.decode(Map.self, mapPath)
        for side in [map?.before, map?.after].compactMap({ $0 }) {
            let isSound =
                (side.real + side.generated).allSatisfy { $0.count == 2 && $0.allSatisfy(\.isFinite) }
                && side.realRow.count == side.generated.count
                && side.realRow.allSatisfy { side.real.indices.contains($0) }
            guard isSound else {
                throw ReportError.unexpectedContent(
                    path: mapPath, line: nil, expected: "points [x, y], and one 'real_row' for each generated image",
                    got: "points that do not pair")
            }
        }
        return RunGap(
            before: file.before, after: file.after, diagnoses: file.gap, pairs: file.counts.pairs,
            step: file.protocol.runStep, map: map)
    }
}
