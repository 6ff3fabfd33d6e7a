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
    ///   - firstIndex: place of the first path in the list that sampling is reproducible over.
    ///   - body: gets every path's index, in order, with its caption or why the file cannot be read.
    public func run(
        _ paths: [String], firstIndex: Int = 0,
        _ body: (_ index: Int, _ result: Result<Caption, any Error>) throws -> Void
    ) throws {
        // Before any image is read: a captioner without an encoder of generated images has none of its own fault.
        _ = try captioner.route(of: modality)
        // Packed weights are copies: below some images, weights stay where the file is mapped.
        if paths.count >= 64 { try captioner.reader.prepareForBatches() }
        let feed = try ImageFeed(
            paths: paths, preprocessing: captioner.reader.preprocessing, batchSize: min(batchSize, paths.count))
        while let batch = feed.next() {
            var results: [Int: Result<Caption, any Error>] = [:]
            for failure in batch.failures { results[failure.index] = .failure(failure.error) }
            if batch.count > 0 {
                // Sampling goes by place in the list, so an unreadable file moves no other's numbers.
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

    /// Stretches of rows whose indices follow each other.
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
