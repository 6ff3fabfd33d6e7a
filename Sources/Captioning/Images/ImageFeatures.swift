import Datasets
import Foundation
import Images
import Torch
import Training

/// An image file and the encoder that reads it.
struct RoutedImage: Hashable {
    let path: String
    let route: ImageRoute
}

/// Embeddings of image files for training, computed once per image and kept on disk (`FeatureCache`).
///
/// Captions of one image share one row; a second run with the same weights, preprocessing and files computes nothing.
/// The cache holds what the towers give, projections are applied when rows are read. Features of f_r are those that
/// `gmail align` caches, so a captioner trained after it finds them.
final class ImageFeatures {
    private let reader: ImageReader
    private let caches: [ImageRoute: FeatureCache]
    /// Content keys of files that could be read.
    private var keys: [RoutedImage: FeatureKey] = [:]
    /// Why the others could not.
    private(set) var failures: [RoutedImage: String] = [:]

    /// - Parameter folder: the cache; several runs may share it.
    init(reader: ImageReader, routes: Set<ImageRoute>, folder: String) throws {
        self.reader = reader
        var caches: [ImageRoute: FeatureCache] = [:]
        for route in routes {
            caches[route] = try FeatureCache(
                path: folder,
                space: FeatureSpace(
                    name: route == .original ? "real image" : "generated image",
                    weightsHash: reader.towerHash(route), preprocessingHash: reader.preprocessing.canonicalJSON,
                    precision: reader.precision.rawValue, dimension: reader.towerSize))
        }
        self.caches = caches
    }

    private func cache(_ route: ImageRoute) throws -> FeatureCache {
        guard let cache = caches[route] else {
            preconditionFailure("features of route \(route) were asked for, none were prepared")
        }
        return cache
    }

    /// Whether an image that was prepared has features.
    func contains(_ image: RoutedImage) -> Bool { keys[image] != nil }

    /// What the captioner sees of the images, in their order: `[images.count, d]` on the reader's device.
    func callAsFunction(_ images: [RoutedImage]) throws -> Tensor {
        var parts: [Tensor] = []
        var order: [Int] = []
        for route in ImageRoute.allCases {
            let own = images.indices.filter { images[$0].route == route }
            guard !own.isEmpty else { continue }
            let rows = try cache(route).features(own.map { keys[images[$0]]! }).to(reader.device)  // [own, E]
            parts.append(reader.project(rows, route))
            order += own
        }
        if parts.count == 1 { return parts[0] }
        var places = [Int](repeating: 0, count: order.count)
        for (row, index) in order.enumerated() { places[index] = row }
        return Tensor.cat(parts).indexSelect(0, Tensor(places).to(reader.device))
    }

    /// Computes what is missing of the images, which may repeat.
    /// - Parameter progress: distinct images done and their total.
    func prepare(_ images: [RoutedImage], progress: (_ done: Int, _ total: Int) -> Void) throws {
        var seen = Set(keys.keys).union(failures.keys)
        let distinct = images.filter { seen.insert($0).inserted }
        var done = 0
        for route in ImageRoute.allCases {
            let own = distinct.filter { $0.route == route }
            guard !own.isEmpty else { continue }
            try fill(own, cache(route), route) { count in
                done += count
                progress(done, distinct.count)
            }
        }
    }

    private func fill(
        _ images: [RoutedImage], _ cache: FeatureCache, _ route: ImageRoute, advanced: (_ count: Int) -> Void
    ) throws {
        var readable: [RoutedImage] = []
        for image in images {
            do {
                keys[image] = try cache.key(ofFile: image.path)
                readable.append(image)
            } catch {
                failures[image] = "\(error)"
            }
        }
        // A feature's last bits may depend on its batch, so chunks are cut from the whole list before looking at the cache.
        let chunkSize = 64
        let chunks = stride(from: 0, to: readable.count, by: chunkSize).map {
            Array(readable[$0..<min($0 + chunkSize, readable.count)])
        }
        let missing = chunks.filter { chunk in !chunk.allSatisfy { cache.contains(keys[$0]!) } }
        advanced(images.count - missing.reduce(0) { $0 + $1.count })
        guard !missing.isEmpty else { return }
        let due = missing.flatMap { $0 }
        // Every chunk but the last has `chunkSize` images, so the feed's batches are the chunks.
        let feed = try ImageFeed(
            paths: due.map(\.path), preprocessing: reader.preprocessing, batchSize: chunkSize)
        while let batch = feed.next() {
            if batch.count > 0 {
                let features = reader.tower(batch.tensor().to(reader.device), route)
                try cache.insert(batch.indices.map { keys[due[$0]]! }, features)
            }
            for failure in batch.failures {
                keys[due[failure.index]] = nil
                failures[due[failure.index]] = "\(failure.error)"
            }
            advanced(batch.count + batch.failures.count)
        }
        try cache.flush()
    }
}
