import Datasets
import Images
import Torch

extension FeatureCache {
    /// Computes the missing features of image files.
    ///
    /// The last bits of a feature may depend on its batch, so batches are cut from the whole list before the cache is
    /// consulted: a fill that was interrupted gives the same bits as one that was not.
    /// - Parameters:
    ///   - paths: distinct.
    ///   - advanced: gets the number of files that are done, repeatedly; what it throws ends the fill, and what was
    ///     computed is kept.
    ///   - encode: preprocessed pixels `[n, 3, S, S]` to `[n, dimension]`.
    /// - Returns: for each path its key, or why the file cannot be read.
    /// - Throws: what `encode` throws, and ``TrainingError`` of the cache.
    public func fillImages(
        _ paths: [String], preprocessing: ImagePreprocessing, advanced: (_ count: Int) throws -> Void,
        encode: (Tensor) throws -> Tensor
    ) throws -> [Result<FeatureKey, any Error>] {
        var results: [Result<FeatureKey, any Error>] = []
        for path in paths { results.append(Result { try key(ofFile: path) }) }
        var readable: [(index: Int, key: FeatureKey)] = []
        for (index, result) in results.enumerated() {
            if case .success(let key) = result { readable.append((index, key)) }
        }
        let size = 64
        let chunks = stride(from: 0, to: readable.count, by: size).map {
            Array(readable[$0..<min($0 + size, readable.count)])
        }
        let missing = chunks.filter { chunk in !chunk.allSatisfy { contains($0.key) } }
        try advanced(paths.count - missing.reduce(0) { $0 + $1.count })
        guard !missing.isEmpty else { return results }
        let due = missing.flatMap { $0 }
        // Every chunk but the last has `size` files, so the feed's batches equal the chunks.
        let feed = try ImageFeed(paths: due.map { paths[$0.index] }, preprocessing: preprocessing, batchSize: size)
        do {
            while let batch = feed.next() {
                if batch.count > 0 { try insert(batch.indices.map { due[$0].key }, encode(batch.tensor())) }
                for failure in batch.failures { results[due[failure.index].index] = .failure(failure.error) }
                try advanced(batch.count + batch.failures.count)
            }
        } catch {
            try flush()
            throw error
        }
        try flush()
        return results
    }
}
