import Files
import Foundation
import Safetensors

/// SPICE as a metric of a suite, with our own parser: its values may be compared with each other, not with the jar's.
///
/// The score's parts are the categories (`Object`, `Attribute`, `Relation`, `Color`, `Size`, `Cardinality`); an image
/// without reference tuples of a category does not have that part.
public struct SpiceMetric: CaptionMetric {
    public let name = "spice"
    public let scorer: SpiceScorer
    private let dataHash: String

    /// - Parameters:
    ///   - parser: `CaptionParser.bundled()`, or one that you trained.
    ///   - data: METEOR's tables, for WordNet's synsets.
    public init(parser: CaptionParser, data: MeteorData) {
        scorer = SpiceScorer(parser: parser, synsets: WordNetLookup(data: data))
        dataHash = data.sourceHash
    }

    public func evaluate(_ captions: TokenizedCaptions) throws -> [CaptionScore] {
        let result = try scorer.evaluate(candidates: captions.candidates, references: captions.references)
        let tag = CaptionProtocol(
            metric: "spice-native", variant: scorer.protocolTag, captions: captions,
            additionalHashes: ["spiceParser": scorer.parser.hash, "meteorData": dataHash])
        return [result.captionScore(tag)]
    }
}

/// SPICE as a metric of a suite, computed by the official jar (`SpiceJar`).
public struct SpiceJarMetric: CaptionMetric {
    public let name = "spice"
    public let jar: String
    public let java: String

    /// - Parameters:
    ///   - jar: path of `spice-1.0.jar`, with CoreNLP's jars in `lib` beside it.
    ///   - java: a path or a name found in `PATH`.
    public init(jar: String, java: String = "java") {
        self.jar = jar
        self.java = java
    }

    /// - Throws: `SpiceJarError` when something is missing or the jar fails.
    public func evaluate(_ captions: TokenizedCaptions) throws -> [CaptionScore] {
        let file = URL(fileURLWithPath: jar)
        let result = try SpiceJar.run(
            jar: file, references: captions.references, candidates: captions.candidates, java: java)
        let tag = CaptionProtocol(
            metric: SpiceJar.protocolTag, variant: "the official program with CoreNLP 3.6.0", captions: captions,
            additionalHashes: ["spiceJar": try ContentHash.sha256(ofFile: jar)])
        return [result.captionScore(tag)]
    }
}

extension SpiceResult {
    /// The scores as a suite reports them.
    func captionScore(_ tag: CaptionProtocol) -> CaptionScore {
        let parts = SpiceCategory.allCases.map { category in
            CaptionScore.Part(
                name: category.rawValue, corpus: categories[category] ?? .nan,
                perImage: images.map { $0.categories[category]?.f1 ?? .nan })
        }
        return CaptionScore(
            name: "SPICE", corpus: corpus, perImage: images.map(\.all.f1), protocolTag: tag, parts: parts)
    }
}
