import Datasets
import Encoders
import Files
import ModelFolders
import Torch
import Training

/// Embeddings of the sides that do not change while `f_g` trains: real images through `f_r`, captions through `h`.
///
/// They are computed before the first step for exactly the pairs that the run will see, in an order that depends only
/// on the manifest, and kept on disk (`FeatureCache`). An interrupted fill continues where it was, and a second run
/// with the same model and files computes nothing.
final class FrozenFeatures {
    private let manifest: PairsManifest
    private let images: ImageFeatures
    private let textCache: FeatureCache?

    /// - Parameters:
    ///   - reader: reads with the base model, without an alignment.
    ///   - model: the fingerprint of the base model.
    ///   - folder: the cache; several runs may share it.
    ///   - textDimension: dimension of the text encoder's embeddings; nil without one.
    init(
        manifest: PairsManifest, reader: ImageReader, model: ModelFingerprint, folder: String, textDimension: Int?
    ) throws {
        self.manifest = manifest
        images = try ImageFeatures(reader: reader, model: model, routes: [.original], folder: folder)
        textCache = try textDimension.map { dimension in
            try FeatureCache(
                path: folder,
                space: FeatureSpace(
                    // The fingerprint covers the tokenizer.
                    name: "text", model: model.sha256, input: "", precision: "\(reader.dtype)", dimension: dimension))
        }
    }

    /// Embeddings of the pairs' real images, `[pairs.count, E]`.
    func real(_ pairs: [Pair]) throws -> Embeddings<Real> {
        Embeddings<Real>(
            try images.towers(
                pairs.map { pair in
                    guard let real = pair.real else {
                        throw AlignmentError.missingInput(
                            what: "real image of '\(pair.id)'", reason: "the loss compares with")
                    }
                    return image(real)
                }))
    }

    /// Pairs whose two images went through `f_r`.
    struct Originals {
        /// `[n, E]` each, row i of one pair.
        let generated: Tensor
        let real: Tensor
        let ids: [String]
        let realIDs: [ExactString]
        /// Pairs without a readable image on each side.
        let skipped: [SkippedSample]
    }

    /// Computes what is missing of both images of `indices`.
    /// - Parameter progress: gets the number of distinct images done and their total.
    /// - Throws: `AlignmentError.missingInput` if no pair is readable.
    func originals(
        _ indices: [Int], progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
    ) throws -> Originals {
        let pairs = try indices.map { (index: $0, pair: try manifest.pair(at: $0)) }
        let sides = try pairs.map { entry in
            guard let real = entry.pair.real else {
                throw AlignmentError.missingInput(
                    what: "real image of '\(entry.pair.id)'", reason: "the loss compares with")
            }
            return (generated: image(entry.pair.generated), real: image(real))
        }
        try images.prepare(sides.flatMap { [$0.generated, $0.real] }, progress: progress)
        var skipped: [SkippedSample] = []
        var kept: [Int] = []
        for (place, side) in sides.enumerated() {
            if let reason = images.failures[side.generated] ?? images.failures[side.real] {
                skipped.append(
                    SkippedSample(index: pairs[place].index, id: pairs[place].pair.id, reason: reason))
            } else {
                kept.append(place)
            }
        }
        guard !kept.isEmpty else {
            throw AlignmentError.missingInput(
                what: "readable images of '\(manifest.path)'",
                reason: skipped.first?.reason ?? "it has no pairs; needed are")
        }
        return Originals(
            generated: try images.towers(kept.map { sides[$0].generated }),
            real: try images.towers(kept.map { sides[$0].real }), ids: kept.map { pairs[$0].pair.id },
            realIDs: kept.map { ExactString(pairs[$0].pair.real ?? pairs[$0].pair.id) }, skipped: skipped)
    }

    /// Embeddings of the pairs' captions, `[pairs.count, E]`.
    func text(_ pairs: [Pair]) throws -> Tensor {
        guard let textCache else { throw AlignmentError.noText }
        return try textCache.features(pairs.map { FeatureCache.key(ofText: $0.caption) })
    }

    /// The same of their short captions.
    func shortText(_ pairs: [Pair]) throws -> Tensor {
        guard let textCache else { throw AlignmentError.noText }
        return try textCache.features(pairs.map { FeatureCache.key(ofText: $0.shortCaption) })
    }

    /// Paths of real images that were asked for and could not be read.
    var unreadableImages: Set<ExactString> { Set(images.failures.keys.map(\.path)) }

    private func image(_ path: String) -> RoutedImage {
        RoutedImage(path: manifest.resolve(path), route: .original)
    }

    /// Computes the missing features of the real images of `indices`. When the pair of an unreadable file is due, the
    /// loader reports the file, counts it, and stops at the recipe's limit.
    /// - Parameter progress: gets the number of distinct images done and their total.
    func fillReal(_ indices: [Int], progress: (_ done: Int, _ total: Int) throws -> Void) throws {
        try images.prepare(try indices.compactMap { try manifest.pair(at: $0).real.map(image) }, progress: progress)
    }

    /// Computes what is missing of the captions of `indices`, and of their short captions.
    /// - Parameter encode: captions to `[n, E]`.
    func fillText(_ indices: [Int], withShort: Bool, encode: ([String]) throws -> Tensor) throws {
        guard let textCache else { throw AlignmentError.noText }
        let captions = try indices.flatMap { index in
            let pair = try manifest.pair(at: index)
            return withShort ? [pair.caption, pair.shortCaption] : [pair.caption]
        }
        try textCache.fill(captions.map(FeatureCache.key(ofText:)), chunkSize: 256) { chunk in
            try encode(chunk.map { captions[$0] })
        }
    }
}
