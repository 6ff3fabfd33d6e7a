import CaptionFiles

/// Runs metrics over one set of captions.
public struct CaptionEvaluation: Sendable {
    public let metrics: [any CaptionMetric]

    public init(metrics: [any CaptionMetric]) { self.metrics = metrics }

    /// What a run reports while it works.
    public enum Progress: Sendable {
        case started(metric: String, index: Int, of: Int)
        case finished(metric: String, scores: [CaptionScore])
    }

    /// Every metric's scores, in the order of `metrics`.
    ///
    /// - Throws: the first metric's error; `CaptionDataError.noImages` without captions.
    public func run(
        _ captions: TokenizedCaptions, progress: (Progress) -> Void = { _ in }
    ) throws -> CaptionResults {
        guard !captions.imageIDs.isEmpty else { throw CaptionDataError.noImages }
        var scores: [CaptionScore] = []
        for (index, metric) in metrics.enumerated() {
            progress(.started(metric: metric.name, index: index, of: metrics.count))
            let made = try metric.evaluate(captions)
            progress(.finished(metric: metric.name, scores: made))
            scores += made
        }
        return CaptionResults(imageIDs: captions.imageIDs, scores: scores)
    }
}

/// The scores of a run.
public struct CaptionResults: Sendable {
    public let imageIDs: [ImageID]
    public let scores: [CaptionScore]

    public init(imageIDs: [ImageID], scores: [CaptionScore]) {
        self.imageIDs = imageIDs
        self.scores = scores
    }

    /// The score called `name` (`Bleu_4`), if it was computed.
    public subscript(name: String) -> CaptionScore? { scores.first { $0.name == name } }
}
