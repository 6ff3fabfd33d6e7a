import Alignment
import Images
import Training

/// Captions image files in order, a batch at a time, decoding ahead.
public struct CaptionRunner {
    public let captioner: Captioner
    public let modality: Modality
    public let decoding: CaptionDecoding
    public let batchSize: Int

    public init(captioner: Captioner, modality: Modality, decoding: CaptionDecoding, batchSize: Int) {
        self.captioner = captioner
        self.modality = modality
        self.decoding = decoding
        self.batchSize = batchSize
    }

    /// - Parameters:
    ///   - firstIndex: place of the first path in the list over which sampling is reproducible.
    ///   - body: gets the index of every path, in order, with its caption or the reason why the file cannot be read.
    public func run(
        _ paths: [String], firstIndex: Int = 0,
        _ body: (_ index: Int, _ result: Result<Caption, any Error>) throws -> Void
    ) throws {
        // This comes before any image is read: it is not an image's fault if the captioner has no encoder of generated
        // images.
        _ = try captioner.route(of: modality)
        // Packed weights are copies: for few images, weights stay where the file is mapped.
        if paths.count >= 64 { try captioner.reader.prepareForBatches() }
        let feed = try ImageFeed(
            paths: paths, preprocessing: captioner.reader.preprocessing, batchSize: min(batchSize, paths.count))
        while let batch = feed.next() {
            var results: [Int: Result<Caption, any Error>] = [:]
            for failure in batch.failures { results[failure.index] = .failure(failure.error) }
            if batch.count > 0 {
                // Sampling depends on the place in the list, so an unreadable file does not change the numbers of
                // others.
                for run in Self.runs(batch.indices) {
                    let rows = batch.tensor()[run]
                    let captions = try captioner.captions(
                        rows, modality: modality, decoding, firstIndex: firstIndex + batch.indices[run.lowerBound])
                    for (row, caption) in zip(run, captions) { results[batch.indices[row]] = .success(caption) }
                }
            }
            for index in results.keys.sorted() { try body(index, results[index]!) }
        }
    }

    /// Stretches of rows with consecutive indices.
    private static func runs(_ indices: [Int]) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var start = 0
        for row in 1..<max(1, indices.count) where indices[row] != indices[row - 1] + 1 {
            runs.append(start..<row)
            start = row
        }
        runs.append(start..<indices.count)
        return runs
    }
}
