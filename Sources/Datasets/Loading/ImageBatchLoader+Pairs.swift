import Images

extension ImageBatchLoader {
    /// Which of a pair's images a batch carries, in the order of its streams.
    public enum PairStream: Sendable, Hashable, CaseIterable {
        case generated
        case real
    }

    /// A loader of a manifest's images.
    /// - Parameters:
    ///   - streams: which images, for example `[.generated, .real]`.
    ///   - needed: asked for every image on the loader's threads; false leaves its pixels out (features at hand).
    public convenience init<Batches: IteratorProtocol & Sendable>(
        _ batches: Batches, of manifest: PairsManifest, streams: [PairStream], preprocessing: ImagePreprocessing,
        options: Options = .init(), skipped: [SkippedSample] = [],
        needed: @escaping @Sendable (_ pair: Pair, _ stream: PairStream) -> Bool = { _, _ in true }
    ) throws where Batches.Element == SampledBatch {
        try self.init(
            batches, sampleCount: manifest.count, streams: streams.count, preprocessing: preprocessing,
            options: options, skipped: skipped
        ) { index in
            let pair = try manifest.pair(at: index)
            let images = streams.map { stream -> ImageSource? in
                let path = stream == .generated ? pair.generated : pair.real
                guard let path, needed(pair, stream) else { return nil }
                return .file(manifest.resolve(path))
            }
            return ImageSample(id: pair.id, images: images)
        }
    }
}
