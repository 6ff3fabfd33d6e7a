import Datasets
import Files
import Foundation
import Images
import ModelFolders
import Torch
import Training

/// An image file and the encoder that reads it.
public struct RoutedImage: Hashable, Sendable {
    public let path: ExactString
    public let route: ImageRoute

    public init(path: String, route: ImageRoute) {
        self.path = ExactString(path)
        self.route = route
    }
}

/// Embeddings of image files for training, computed once per image and kept on disk (`FeatureCache`).
///
/// Captions of one image share one row; a second run with the same model, preprocessing and files computes nothing. An
/// interrupted fill continues where it was, to the same bits. The cache holds the outputs of the encoders, and
/// projections are applied when rows are read, so a captioner finds the features of `f_r` that an alignment has cached.
public final class ImageFeatures {
    private let reader: ImageReader
    private let input: ImageInput
    private let caches: [ImageRoute: FeatureCache]
    /// Content keys of files that could be read.
    private var keys: [RoutedImage: FeatureKey] = [:]
    /// Why the others could not be read.
    public private(set) var failures: [RoutedImage: String] = [:]

    /// - Parameters:
    ///   - model: the encoder's fingerprint.
    ///   - folder: the cache; several runs may share it.
    ///   - input: what is read from each image.
    public init(
        reader: ImageReader, model: ModelFingerprint, routes: Set<ImageRoute>, input: ImageInput = .embedding,
        folder: String
    ) throws {
        self.reader = reader
        self.input = input
        let (name, dimension) =
            switch input {
            case .embedding: ("image", reader.towerSize)
            case .states(let layer):
                ("states \(layer)", reader.encoder.image.imageStateCount * reader.encoder.image.imageStateSize)
            }
        caches = try Dictionary(
            uniqueKeysWithValues: routes.map { route in
                let space = FeatureSpace(
                    name: name, model: reader.towerIdentity(route, model: model),
                    input: reader.preprocessing.canonicalJSON, precision: "\(reader.dtype)", dimension: dimension)
                return (route, try FeatureCache(path: folder, space: space))
            })
    }

    private func cache(_ route: ImageRoute) -> FeatureCache {
        guard let cache = caches[route] else {
            preconditionFailure("features of route \(route) were asked for, none were prepared")
        }
        return cache
    }

    /// Whether an image that was prepared has features.
    public func contains(_ image: RoutedImage) -> Bool { keys[image] != nil }

    /// The input of a downstream model for the images, in their order: `[images.count, d]` on the reader's device, or
    /// `[images.count, T, D]` for states.
    /// - Throws: `AlignmentError.missingInput` for an image without features.
    public func callAsFunction(_ images: [RoutedImage]) throws -> Tensor {
        switch input {
        case .embedding: try rows(images) { reader.project($0, $1) }
        case .states:
            try rows(images) { rows, _ in
                rows.reshaped(rows.size(0), -1, reader.encoder.image.imageStateSize)  // [n, T, D]
            }
        }
    }

    /// The outputs of the encoders for the images, before any projection: `[images.count, E]`; only for embeddings.
    public func towers(_ images: [RoutedImage]) throws -> Tensor { try rows(images) { features, _ in features } }

    private func rows(_ images: [RoutedImage], _ finish: (Tensor, ImageRoute) -> Tensor) throws -> Tensor {
        var parts: [Tensor] = []
        var order: [Int] = []
        for route in ImageRoute.allCases {
            let own = images.indices.filter { images[$0].route == route }
            guard !own.isEmpty else { continue }
            let wanted = try own.map { index in
                guard let key = keys[images[index]] else {
                    throw AlignmentError.missingInput(
                        what: "features of '\(images[index].path)'",
                        reason: failures[images[index]] ?? "are needed and were not computed")
                }
                return key
            }
            parts.append(finish(try cache(route).features(wanted).to(reader.device), route))  // [own, …]
            order += own
        }
        if parts.count == 1 { return parts[0] }
        var places = [Int](repeating: 0, count: order.count)
        for (row, index) in order.enumerated() { places[index] = row }
        return Tensor.cat(parts).indexSelect(0, Tensor(places).to(reader.device))
    }

    /// Computes the missing features of the images, which may repeat.
    /// - Parameter progress: gets the number of distinct images done and their total.
    public func prepare(_ images: [RoutedImage], progress: (_ done: Int, _ total: Int) throws -> Void) throws {
        var seen = Set(keys.keys).union(failures.keys)
        let distinct = images.filter { seen.insert($0).inserted }
        var done = 0
        for route in ImageRoute.allCases {
            let own = distinct.filter { $0.route == route }
            guard !own.isEmpty else { continue }
            let result = try cache(route).fillImages(
                own.map(\.path.string), preprocessing: reader.preprocessing,
                advanced: { count in
                    done += count
                    try progress(done, distinct.count)
                },
                encode: { pixels in
                    switch input {
                    case .embedding: try reader.tower(pixels.to(reader.device), route)
                    case .states(let layer):
                        try reader.states(pixels, route, layer: layer).reshaped(pixels.size(0), -1)  // [n, T·D]
                    }
                })
            for (image, key) in zip(own, result) {
                switch key {
                case .success(let key): keys[image] = key
                case .failure(let error): failures[image] = "\(error)"
                }
            }
        }
    }
}
