import Alignment
import Foundation
import Torch

/// What `gmail evaluate retrieval` computes and writes.
public struct RetrievalEvaluation: Codable {
    public struct Data: Codable {
        public var captions: String
        public var captionsSHA256: String
        public var images: String
        public var format: String
        public var split: String?
        /// Images of the file that were left out, because no caption names them.
        public var imagesWithoutCaption: Int

        enum CodingKeys: String, CodingKey {
            case captions, images, format, split
            case captionsSHA256 = "captions_sha256"
            case imagesWithoutCaption = "images_without_caption"
        }

        init(captions: String, images: String, _ data: RetrievalSet) throws {
            self.captions = captions
            captionsSHA256 = data.contentHash
            self.images = images
            format = data.format.rawValue
            split = data.split
            imagesWithoutCaption = data.withoutCaption
        }
    }

    public var version = 1
    public var task = "retrieval"
    public var protocolTag: String
    public var metrics: RetrievalMetrics
    public var dtype: String
    public var device: String
    public var model: FeatureSidecar.Model
    public var preprocessing: FeatureSidecar.Preprocessing
    public var run: FeatureSidecar.Run?
    public var data: Data
    public var truncatedCaptions: Int

    enum CodingKeys: String, CodingKey {
        case version, task, metrics, dtype, device, model, preprocessing, run, data
        case protocolTag = "protocol"
        case truncatedCaptions = "truncated_captions"
    }

    /// - Parameter rowsBeside: a path in a folder with room for the features during the computation.
    /// - Throws: `RetrievalError.unreadableImages` if an image cannot be decoded, because recall over fewer images
    ///   would be another number; `.anotherSpace`; errors of encoder and tokenizer.
    public init(
        _ embedder: Embedder, _ data: RetrievalSet, captions: String, images: String, rowsBeside: String
    ) async throws {
        var sidecar = FeatureSidecar()
        var summary = EmbedSummary(
            device: "\(embedder.reader.device)", dtype: "\(embedder.reader.dtype)", kernel: nil)
        let fingerprint = embedder.fingerprint()
        let text = try embedder.reader.encoder.textReader()
        guard embedder.dimension == text.encoder.textEmbeddingDimension else {
            throw RetrievalError.anotherSpace(
                image: embedder.dimension, text: text.encoder.textEmbeddingDimension)
        }
        let imageRows = try FeatureRows(beside: rowsBeside, name: "images", dimension: embedder.dimension)
        try embedder.embedImages(data.images.map { "\(images)/\($0)" }, into: imageRows, &sidecar, &summary)
        if let first = sidecar.skipped.first {
            throw RetrievalError.unreadableImages(
                count: sidecar.skipped.count, total: data.images.count, first: first.reason)
        }
        let textRows = try FeatureRows(
            beside: rowsBeside, name: "texts", dimension: text.encoder.textEmbeddingDimension)
        try embedder.embedTexts(data.captions, text, into: textRows, &sidecar, &summary)
        try await embedder.describe(&sidecar, fingerprint)
        self.init(
            metrics: try Retrieval.metrics(
                images: imageRows.tensor(), texts: textRows.tensor(), imageOfText: data.imageOfCaption),
            sidecar: sidecar, data: try .init(captions: captions, images: images, data))
    }

    init(metrics: RetrievalMetrics, sidecar: FeatureSidecar, data: Data) {
        self.metrics = metrics
        protocolTag = metrics.protocolTag + ", features in \(sidecar.dtype)"
        dtype = sidecar.dtype
        device = sidecar.device
        model = sidecar.model
        preprocessing = sidecar.preprocessing
        run = sidecar.run
        self.data = data
        truncatedCaptions = sidecar.truncatedTexts.count
    }

    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}
