import Alignment
import Datasets
import Encoders
import Files
import Foundation
import ModelFolders
import Torch

/// Measures the gap between real and generated images before and after alignment, as `gmail evaluate gap` does.
public struct GapMeasurement {
    /// The map's method; nil draws none.
    public var map: GapMapMethod?
    /// Chooses the map's pairs if there are more than `GapMap.mostPairs`.
    public var seed: UInt64
    /// How many pairs are used, from the first; nil for all.
    public var limit: Int?
    public var batchSize: Int
    public var quiet: Bool
    /// Takes lines for the user.
    public var note: (String) -> Void

    public init(
        map: GapMapMethod?, seed: UInt64 = 0, limit: Int? = nil, batchSize: Int = 64, quiet: Bool = true,
        note: @escaping (String) -> Void = { _ in }
    ) {
        self.map = map
        self.seed = seed
        self.limit = limit
        self.batchSize = batchSize
        self.quiet = quiet
        self.note = note
    }

    /// Embeds the pairs and writes `out`, and beside it `…-map.json` and `….svg`.
    /// - Parameter embedder: with an alignment, it is measured as "after"; without one there is only a "before".
    /// - Returns: the report and the files written.
    /// - Throws: `GapError`, `DatasetError`, errors of encoder and files.
    public func write(pairs: String, _ embedder: Embedder, to out: String) async throws -> (GapReport, [String]) {
        let manifest = try PairsManifest(path: pairs)
        let wanted = try (0..<min(limit ?? manifest.count, manifest.count)).map { try manifest.pair(at: $0) }
        let reader = embedder.reader
        let fingerprint = embedder.fingerprint()
        let base = ImageReader(encoder: reader.encoder, aligned: nil, dtype: reader.dtype)
        let embeddings = try GapEmbeddings(
            wanted, manifest: manifest, base: base, aligned: reader.aligned == nil ? nil : reader,
            text: reader.encoder.text == nil ? nil : reader.encoder.textReader(), batchSize: batchSize, quiet: quiet)
        let before = try embeddings.statistics(embeddings.before)
        let after = try embeddings.after.map(embeddings.statistics)
        note("looking for what kind of gap it is")
        let loss = reader.aligned?.recipe?.loss ?? .init()
        let batch = reader.aligned?.recipe?.training.batchSize ?? Self.paperBatch
        let diagnoses = GapReport.Diagnoses(
            before: try embeddings.diagnosis(embeddings.before, temperature: loss.temperature.value, batchSize: batch),
            // The temperature is chosen for pairs that are not aligned yet.
            after: try embeddings.after.map { try embeddings.diagnosis($0, temperature: nil, batchSize: batch) })
        let mapFiles = try draw(embeddings, before, after, step: reader.aligned?.step, out)
        var sidecar = FeatureSidecar()
        try await embedder.describe(&sidecar, fingerprint)
        let report = GapReport(
            protocolTag: .init(
                model: sidecar.model.path, modelSHA256: sidecar.model.sha256,
                preprocessingSHA256: sidecar.preprocessing.sha256, pairsSHA256: manifest.contentHash,
                dtype: "\(reader.dtype)", device: "\(reader.device)", run: reader.aligned?.path,
                runStep: reader.aligned?.step, clipFlow: reader.aligned?.flow.rawValue,
                pairs: embeddings.realRow.count),
            counts: .init(
                requested: wanted.count, pairs: embeddings.realRow.count, realImages: embeddings.before.real.count,
                generatedImages: embeddings.before.generated.count, truncatedCaptions: embeddings.truncatedCaptions),
            before: before, after: after, gap: diagnoses, skipped: embeddings.skipped, mapFiles: mapFiles)
        try AtomicFile.write(report.json(), to: out)
        return (report, [out] + (mapFiles ?? []))
    }

    /// The paper's batch, in which a temperature is fitted unless a run says otherwise.
    static let paperBatch = 256

    private struct MapFile: Encodable {
        var version = 1
        let seed: UInt64
        /// Ids of the manifest's pairs, one per pair of the maps.
        let ids: [String]
        let before: GapMap
        let after: GapMap?
    }

    /// Writes map data and drawing; nil if no map is wanted.
    private func draw(
        _ embeddings: GapEmbeddings, _ before: GapStatistics, _ after: GapStatistics?, step: Int?, _ out: String
    ) throws -> [String]? {
        guard let wanted = self.map else { return nil }
        let total = embeddings.realRow.count
        let chosen = GapMap.sample(pairs: total, seed: seed)
        let method = GapMap.method(wanted, pairs: chosen.count)
        if method != wanted {
            note("\(total) pairs are too few for t-SNE (\(GapMap.fewestPairsForTSNE)): the map is PCA's")
        }
        func map(_ side: GapEmbeddings.Side) throws -> GapMap {
            try GapMap(
                real: side.real, realRow: embeddings.realRow, generated: side.generated, pairs: chosen, method: method)
        }
        let first = try map(embeddings.before)
        let second = try embeddings.after.map(map)
        func panel(_ title: String, _ statistics: GapStatistics, _ map: GapMap) -> GapMapSVG.Panel {
            GapMapSVG.Panel(
                title: title,
                subtitle: String(
                    format: "paired cosine %.3f, centroid distance %.3f", statistics.realGenerated.mean,
                    statistics.centroidDistance),
                map: map)
        }
        var panels = [panel("Before alignment", before, first)]
        if let second, let after { panels.append(panel("After alignment (step \(step ?? 0))", after, second)) }
        let stem = out.hasSuffix(".json") ? String(out.dropLast(5)) : out
        let name = method == .tsne ? "t-SNE, perplexity \(String(format: "%.0f", first.perplexity ?? 0))" : "PCA"
        let svg = GapMapSVG.render(
            title: "Real and generated images in CLIP's space", panels: panels,
            footer:
                "\(name); \(chosen.count) of \(total) pairs; numbers are of all \(total); each panel has its own scale")
        let data = MapFile(
            seed: seed, ids: chosen.map { embeddings.ids[$0] }, before: first, after: second)
        try AtomicFile.write(GapReport.encode(data, pretty: false), to: "\(stem)-map.json")
        try AtomicFile.write(svg, to: "\(stem).svg")
        return ["\(stem)-map.json", "\(stem).svg"]
    }
}
