import Datasets
import Encoders
import Foundation
import Images
import Torch
import Training

/// Embeddings of the sides that do not change while `f_g` trains: real images through `f_r`, captions through `h`.
///
/// Computed before the first step for exactly the pairs that the run will see, in an order that depends on the manifest
/// alone, and kept on disk (`FeatureCache`): an interrupted fill goes on where it was, and a second run with the same
/// weights, preprocessing and files computes nothing.
final class FrozenFeatures {
    private let manifest: PairsManifest
    private let realCache: FeatureCache
    private let textCache: FeatureCache
    /// Content keys of real images by manifest path; absent for a file that cannot be read.
    private var realKeys: [String: FeatureKey] = [:]
    /// Real images, by manifest path, that `fillReal` could not read: pairs of theirs have no features.
    private(set) var unreadable: Set<String> = []

    /// - Parameters:
    ///   - folder: the cache; several runs may share it.
    ///   - weightsHash: of the CLIP model's weights.
    init(
        manifest: PairsManifest, folder: String, weightsHash: String, preprocessing: ImagePreprocessing,
        precision: Precision,
        dimension: Int
    ) throws {
        self.manifest = manifest
        realCache = try FeatureCache(
            path: folder,
            space: FeatureSpace(
                name: "real image", weightsHash: weightsHash, preprocessingHash: preprocessing.canonicalJSON,
                precision: precision.rawValue, dimension: dimension))
        textCache = try FeatureCache(
            path: folder,
            space: FeatureSpace(
                name: "text", weightsHash: weightsHash, preprocessingHash: "clip-bpe", precision: precision.rawValue,
                dimension: dimension))
    }

    /// Embeddings of the pairs' real images, `[pairs.count, E]`.
    func real(_ pairs: [Pair]) throws -> Embeddings<Real> {
        Embeddings<Real>(try realCache.features(try pairs.map(key)))
    }

    /// Embeddings of the pairs' captions, `[pairs.count, E]`.
    func text(_ pairs: [Pair]) throws -> Tensor {
        try textCache.features(pairs.map { FeatureCache.key(ofText: $0.caption) })
    }

    private func key(_ pair: Pair) throws -> FeatureKey {
        guard let real = pair.real, let key = realKeys[real] else {
            throw AlignmentError.missingInput(
                what: "features of the real image of '\(pair.id)'", reason: "the loss compares with")
        }
        return key
    }

    /// Computes what is missing of the real images of `indices`.
    /// - Parameters:
    ///   - encode: preprocessed pixels `[n, 3, S, S]` to `[n, E]`.
    ///   - progress: distinct images done and their total.
    func fillReal(
        _ indices: [Int], preprocessing: ImagePreprocessing, progress: (_ done: Int, _ total: Int) -> Void,
        encode: (Tensor) -> Tensor
    ) throws {
        var paths: [String] = []
        var seen: Set<String> = []
        for index in indices {
            guard let real = try manifest.pair(at: index).real, seen.insert(real).inserted else { continue }
            do {
                realKeys[real] = try realCache.key(ofFile: manifest.resolve(real))
                paths.append(real)
            } catch {
                // The loader reports the file when its pair is due, counts it and stops at the recipe's limit.
                unreadable.insert(real)
            }
        }
        // A feature's last bits may depend on its batch, so chunks are cut from the whole list before looking at the cache.
        let chunkSize = 64
        let chunks = stride(from: 0, to: paths.count, by: chunkSize).map {
            Array(paths[$0..<min($0 + chunkSize, paths.count)])
        }
        let missing = chunks.filter { chunk in !chunk.allSatisfy { realCache.contains(realKeys[$0]!) } }
        var done = paths.count - missing.reduce(0) { $0 + $1.count }
        progress(done, paths.count)
        guard !missing.isEmpty else { return }
        let due = missing.flatMap { $0 }
        // Every chunk but the last of the manifest has `chunkSize` paths, so the feed's batches are the chunks.
        let feed = try ImageFeed(paths: due.map(manifest.resolve), preprocessing: preprocessing, batchSize: chunkSize)
        while let batch = feed.next() {
            if batch.count > 0 {
                let features = encode(batch.tensor())
                try realCache.insert(batch.indices.map { realKeys[due[$0]]! }, features)
            }
            for failure in batch.failures {
                realKeys[due[failure.index]] = nil
                unreadable.insert(due[failure.index])
            }
            done += batch.count + batch.failures.count
            progress(done, paths.count)
        }
        try realCache.flush()
    }

    /// Computes what is missing of the captions of `indices`.
    /// - Parameter encode: captions to `[n, E]`.
    func fillText(_ indices: [Int], encode: ([String]) throws -> Tensor) throws {
        let captions = try indices.map { try manifest.pair(at: $0).caption }
        try textCache.fill(captions.map(FeatureCache.key(ofText:)), chunkSize: 256) { chunk in
            try encode(chunk.map { captions[$0] })
        }
    }
}
