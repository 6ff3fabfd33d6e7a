import Alignment
import Datasets
import Encoders
import Files
import Foundation
import Images
import Terminal
import Torch

/// Embeds pairs with the base model and, with a run, with the aligned one: every file is decoded once for both.
struct GapEmbeddings {
    /// Embeddings of both kinds of image in one space.
    struct Side {
        /// One row per distinct real image of the kept pairs.
        let real: EmbeddingRows
        /// One row per kept pair.
        let generated: EmbeddingRows
    }

    let before: Side
    let after: Side?
    /// One row per kept pair; nil without a text encoder.
    let text: EmbeddingRows?
    /// For each kept pair, its row among the real images.
    let realRow: [Int]
    /// Ids of the kept pairs.
    let ids: [String]
    let truncatedCaptions: Int
    let skipped: [GapReport.Skipped]

    /// - Parameters:
    ///   - base: the encoder without alignment; `aligned`: the same encoder with one.
    ///   - text: nil if the encoder reads only images.
    /// - Throws: `GapError.nothingReadable`; errors of encoder and tokenizer.
    init(
        _ pairs: [Pair], manifest: PairsManifest, base: ImageReader, aligned: ImageReader?, text reader: TextReader?,
        batchSize: Int, quiet: Bool
    ) throws {
        var order: [ExactString: Int] = [:]
        var realPaths: [String] = []
        // The manifest was opened with real images required, so no pair is lost here.
        let pairs = pairs.filter { $0.real != nil }
        for case let path? in pairs.map(\.real) where order[ExactString(path)] == nil {
            order[ExactString(path)] = realPaths.count
            realPaths.append(path)
        }
        let generatedPaths = pairs.map(\.generated)
        let progress = JobProgress(
            "embedding", total: realPaths.count + generatedPaths.count + (reader == nil ? 0 : pairs.count),
            unit: "inputs", quiet: quiet)
        var skipped: [GapReport.Skipped] = []

        func images(_ paths: [String], as modality: Modality) throws -> (base: Rows, aligned: Rows) {
            var rows = (base: Rows(), aligned: Rows())
            let feed = try ImageFeed(
                paths: paths.map(manifest.resolve), preprocessing: base.preprocessing,
                batchSize: min(batchSize, paths.count))
            while let batch = feed.next() {
                for failure in batch.failures {
                    skipped.append(
                        .init(path: paths[failure.index], kind: modality.rawValue, reason: "\(failure.error)"))
                    progress.say("skipped \(failure.error)")
                }
                if batch.count > 0 {
                    let pixels = batch.tensor()
                    rows.base.append(try base.features(pixels, .original), of: batch.indices)
                    if let aligned {
                        let route = ImageRoute(of: modality, isAligned: true)
                        rows.aligned.append(try aligned.features(pixels, route), of: batch.indices)
                    }
                }
                progress.advance(by: batch.count + batch.failures.count)
            }
            return rows
        }
        let real = try images(realPaths, as: .real)
        let generated = try images(generatedPaths, as: .generated)

        // A pair counts if both images could be read; real images without such a pair are left out.
        var kept: [Int] = []
        var keptReal: [Int] = []
        var place: [Int: Int] = [:]
        var realRow: [Int] = []
        for (index, pair) in pairs.enumerated() {
            guard let path = pair.real, let position = order[ExactString(path)], let row = real.base.row[position],
                generated.base.row[index] != nil
            else { continue }
            kept.append(index)
            if place[row] == nil {
                place[row] = keptReal.count
                keptReal.append(row)
            }
            realRow.append(place[row] ?? 0)
        }
        guard !kept.isEmpty else {
            throw GapError.nothingReadable(
                manifest: manifest.path, pairs: pairs.count, first: skipped.first?.reason ?? "no reason known")
        }
        let keptGenerated = kept.compactMap { generated.base.row[$0] }
        func side(_ real: Rows, _ generated: Rows) throws -> Side {
            Side(
                real: try real.rows("real images").rows(keptReal),
                generated: try generated.rows("generated images").rows(keptGenerated))
        }
        before = try side(real.base, generated.base)
        after = aligned == nil ? nil : try side(real.aligned, generated.aligned)

        var captions = Rows()
        var truncated = 0
        if let reader {
            for first in stride(from: 0, to: kept.count, by: batchSize) {
                let range = first..<min(first + batchSize, kept.count)
                try inferenceMode {
                    let (features, cut) = try reader.features(range.map { pairs[kept[$0]].caption })
                    truncated += cut.count
                    captions.append(features, of: Array(range))
                }
                progress.advance(by: range.count)
            }
            // Captions of skipped pairs need no embedding, but the progress bar counted them.
            if kept.count < pairs.count { progress.advance(by: pairs.count - kept.count) }
        }
        text = reader == nil ? nil : try captions.rows("captions")
        truncatedCaptions = truncated
        self.realRow = realRow
        self.skipped = skipped
        ids = kept.map { pairs[$0].id }
    }

    func statistics(_ side: Side) throws -> GapStatistics {
        try GapStatistics(real: side.real, realRow: realRow, generated: side.generated, text: text)
    }

    func diagnosis(_ side: Side, temperature: Double?, batchSize: Int) throws -> GapDiagnosis {
        try GapDiagnosis(
            real: side.real, realRow: realRow, generated: side.generated, text: text, temperature: temperature,
            batchSize: batchSize)
    }

    /// Embeddings from the model, and the input to which each row belongs.
    private struct Rows {
        var values: [Float] = []
        var dimension = 0
        /// By input index; absent for a file that could not be read.
        var row: [Int: Int] = [:]

        mutating func append(_ features: Tensor, of inputs: [Int]) {
            dimension = features.size(1)
            let dense = features.to(.cpu).to(.float32).contiguous()
            dense.withUnsafeBytes { values += $0.bindMemory(to: Float.self) }
            for input in inputs { row[input] = row.count }
        }

        func rows(_ what: String) throws -> EmbeddingRows {
            try EmbeddingRows(values, dimension: dimension, what: what)
        }
    }
}
