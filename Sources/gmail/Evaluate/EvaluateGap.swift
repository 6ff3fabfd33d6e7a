import Alignment
import ArgumentParser
import Datasets
import Encoders
import Evaluation
import Files
import Foundation
import Images
import Safetensors
import Terminal
import Torch

/// `gmail evaluate gap`: how far apart real and generated images lie, before and after alignment.
struct EvaluateGap: ParsableCommand {
    enum MapChoice: String, CaseIterable, ExpressibleByArgument {
        case none, pca, tsne
    }

    static let configuration = CommandConfiguration(
        commandName: "gap",
        abstract: "Measure the gap between real and generated images, before and after alignment.",
        discussion: """
            Cosines of paired embeddings (real/generated, real/text, generated/text) and the distance between the \
            centroids of both kinds of image: through the base model, and with --run through the aligned one. Beside \
            --out FILE.json come FILE-map.json and FILE.svg, a map of up to 1,000 pairs.

              gmail evaluate gap --model clip-vit-base-patch32 --run runs/a --pairs validation.jsonl --out gap.json
            """)

    @Option(help: "Folder of the CLIP model.", completion: .directory)
    var model: String

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp("A run of gmail align, measured as \"after\".", valueName: "folder"))
    var runFolder: String?

    @Option(help: ArgumentHelp("Pairs of real and generated images (JSON Lines).", valueName: "file"))
    var pairs: String

    @Option(help: "Only this many pairs, from the first.")
    var limit: Int?

    @Option(help: "The map: tsne (pca below \(GapMap.fewestPairsForTSNE) pairs), pca or none.")
    var map = MapChoice.tsne

    @Option(help: "Chooses the map's pairs when there are more than \(GapMap.mostPairs).")
    var seed: UInt64 = 0

    @Option(help: ArgumentHelp("Where the numbers go (JSON).", valueName: "file"))
    var out: String

    @OptionGroup var compute: ComputeOptions

    @Option(help: "Images or captions per batch.")
    var batchSize = 64

    @Flag(help: "Print the report as JSON on standard output.")
    var json = false

    @Flag(help: "No progress.")
    var quiet = false

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit is \(limit), expected 1 or more") }
        guard batchSize >= 1 else { throw ValidationError("--batch-size is \(batchSize), expected 1 or more") }
    }

    func run() throws {
        let manifest = try PairsManifest(path: pairs)
        let wanted = try (0..<min(limit ?? manifest.count, manifest.count)).map { try manifest.pair(at: $0) }
        let (device, dtype) = try compute.resolve()
        let clip = try CLIPModel(folder: model, dtype: dtype, device: device)
        let weightsHash = try FileHashes().sha256(of: CLIPCheckpoint.path(folder: model))
        let aligned = try runFolder.map { try AlignedModel(run: $0, clip: clip, weightsHash: weightsHash) }
        let processor = try CLIPProcessor(folder: model, configuration: clip.configuration)

        let embeddings = try GapEmbeddings(
            wanted, manifest: manifest, clip: clip, aligned: aligned, processor: processor, model: model,
            device: device, batchSize: batchSize, quiet: quiet)
        let before = try embeddings.statistics(embeddings.before)
        let after = try embeddings.after.map(embeddings.statistics)
        let mapFiles = try draw(embeddings, before, after, step: aligned?.step)
        let report = GapReport(
            protocolTag: .init(
                model: model, modelSHA256: weightsHash,
                preprocessingSHA256: ContentHash.sha256(of: processor.preprocessing.canonicalJSON),
                pairsSHA256: manifest.contentHash, dtype: "\(dtype)", device: "\(device)", run: runFolder,
                runStep: aligned?.step, clipFlow: aligned?.flow.rawValue, pairs: embeddings.realRow.count),
            counts: .init(
                requested: wanted.count, pairs: embeddings.realRow.count, realImages: embeddings.before.real.count,
                generatedImages: embeddings.before.generated.count, truncatedCaptions: embeddings.truncatedCaptions),
            before: before, after: after, skipped: embeddings.skipped, mapFiles: mapFiles)
        try AtomicFile.write(report.json(), to: out)
        if json {
            try Terminal.output(report.json(), terminator: "")
        } else if !quiet {
            try Terminal.output(report.text)
            try Terminal.output("\(([out] + (mapFiles ?? [])).joined(separator: ", ")) written")
        }
    }

    private struct MapFile: Encodable {
        var version = 1
        let seed: UInt64
        /// Ids in the manifest, one per pair of the maps.
        let ids: [String]
        let before: GapMap
        let after: GapMap?
    }

    /// Writes map data and drawing; nil when no map is wanted.
    private func draw(
        _ embeddings: GapEmbeddings, _ before: GapStatistics, _ after: GapStatistics?, step: Int?
    ) throws -> [String]? {
        let wanted: GapMapMethod
        switch self.map {
        case .none: return nil
        case .pca: wanted = .pca
        case .tsne: wanted = .tsne
        }
        let total = embeddings.realRow.count
        let chosen = GapMap.sample(pairs: total, seed: seed)
        let method = GapMap.method(wanted, pairs: chosen.count)
        if method != wanted, !quiet {
            Terminal.note("\(total) pairs are too few for t-SNE (\(GapMap.fewestPairsForTSNE)): the map is PCA's")
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
