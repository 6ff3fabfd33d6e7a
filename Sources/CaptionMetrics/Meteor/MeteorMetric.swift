/// METEOR as a metric of a suite: the number that coco-caption calls `METEOR`.
///
/// The corpus value is the score of the summed statistics, not the mean of the images' scores.
public struct MeteorMetric: CaptionMetric {
    public let name = "meteor"
    public let scorer: MeteorScorer

    public init(scorer: MeteorScorer) { self.scorer = scorer }

    /// - Parameters:
    ///   - data: the compiled tables; nil for the variant without them.
    ///   - modules: all four make the metric that papers report.
    /// - Throws: as `MeteorScorer.init`.
    public init(data: MeteorData?, modules: [MeteorModule] = MeteorModule.allCases) throws(MeteorError) {
        scorer = try MeteorScorer(data: data, modules: modules)
    }

    /// - Throws: `MeteorError.captionTooLong`, `.tooManyMatches` for the first image at fault.
    public func evaluate(_ captions: TokenizedCaptions) throws -> [CaptionScore] {
        let result = try scorer.evaluate(candidates: captions.candidates, references: captions.references)
        let tag = CaptionProtocol(
            metric: "meteor", variant: scorer.protocolTag, captions: captions,
            additionalHashes: scorer.data.map { ["meteorData": $0.sourceHash] } ?? [:])
        return [CaptionScore(name: "METEOR", corpus: result.corpus, perImage: result.perImage, protocolTag: tag)]
    }
}
