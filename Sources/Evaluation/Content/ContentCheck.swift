import Alignment
import Datasets
import Encoders
import Foundation

/// Whether generated images show what their captions say: their similarity with the caption, against the one that the
/// real image of the same caption has.
public struct ContentCheck: Sendable {
    /// One pair.
    public struct Row: Sendable, Equatable, Encodable {
        /// From 1, the worst.
        public let rank: Int
        public let id: String
        /// Cosine of the generated image with the caption.
        public let generatedText: Double
        /// Cosine of the real image with the caption.
        public let realText: Double
        /// The first less the second.
        public var difference: Double { generatedText - realText }
        /// Of the manifest's pairs, from 0.
        public let index: Int

        enum CodingKeys: String, CodingKey {
            case rank, id, difference
            case generatedText = "generated_text"
            case realText = "real_text"
        }

        public func encode(to encoder: any Encoder) throws {
            var values = encoder.container(keyedBy: CodingKeys.self)
            try values.encode(rank, forKey: .rank)
            try values.encode(id, forKey: .id)
            try values.encode(difference, forKey: .difference)
            try values.encode(generatedText, forKey: .generatedText)
            try values.encode(realText, forKey: .realText)
        }
    }

    /// From the worst to the best: by the difference, and in the manifest's order where it is equal.
    public let rows: [Row]
    /// Pairs of the manifest.
    public let pairs: Int
    /// Files that could not be read.
    public let skipped: [GapReport.Skipped]
    public let truncatedCaptions: Int

    /// Embeds every pair with an encoder without alignment.
    /// - Throws: `GapError`, `ContentError.noText`, errors of encoder and files.
    public init(_ manifest: PairsManifest, _ reader: ImageReader, batchSize: Int, quiet: Bool) throws {
        guard reader.encoder.text != nil else { throw ContentError.noText(model: reader.encoder.folder.path) }
        let all = try (0..<manifest.count).map { try manifest.pair(at: $0) }
        let embeddings = try GapEmbeddings(
            all, manifest: manifest, base: reader, aligned: nil, text: reader.encoder.textReader(),
            batchSize: batchSize, quiet: quiet)
        guard let text = embeddings.text else { throw ContentError.noText(model: reader.encoder.folder.path) }
        var places: [String: Int] = [:]
        for (index, pair) in all.enumerated() { places[pair.id] = index }
        try self.init(
            real: embeddings.before.real, realRow: embeddings.realRow, generated: embeddings.before.generated,
            text: text, ids: embeddings.ids, indices: embeddings.ids.map { places[$0] ?? 0 }, pairs: all.count,
            skipped: embeddings.skipped, truncatedCaptions: embeddings.truncatedCaptions)
    }

    init(
        real: EmbeddingRows, realRow: [Int], generated: EmbeddingRows, text: EmbeddingRows, ids: [String],
        indices: [Int], pairs: Int, skipped: [GapReport.Skipped], truncatedCaptions: Int
    ) throws {
        guard text.dimension == real.dimension else {
            throw GapError.unequalDimensions(first: real.dimension, second: text.dimension)
        }
        let real = try real.normalized(what: "real images")
        let generated = try generated.normalized(what: "generated images")
        let text = try text.normalized(what: "captions")
        let scores = ids.indices.map { (own: generated.dot($0, text, $0), real: real.dot(realRow[$0], text, $0)) }
        let order = ids.indices.sorted {
            let (a, b) = (scores[$0].own - scores[$0].real, scores[$1].own - scores[$1].real)
            return a != b ? a < b : indices[$0] < indices[$1]
        }
        rows = order.enumerated().map { place, row in
            Row(
                rank: place + 1, id: ids[row], generatedText: scores[row].own, realText: scores[row].real,
                index: indices[row])
        }
        self.pairs = pairs
        self.skipped = skipped
        self.truncatedCaptions = truncatedCaptions
    }

    /// The pairs that stay when a share of the worst goes, by their place in the manifest; unreadable ones go too.
    /// - Parameter share: 0...1 of the readable pairs, rounded down to whole pairs.
    public func kept(withoutWorst share: Double) -> [Int] {
        rows.dropFirst(Int(share * Double(rows.count))).map(\.index).sorted()
    }
}

/// Why the content could not be checked.
public enum ContentError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case noText(model: String)

    public var description: String {
        switch self {
        case .noText(let model):
            "'\(model)' has no text encoder, and content is judged against captions; give a CLIP with both encoders"
        }
    }

    public var errorDescription: String? { description }
}
