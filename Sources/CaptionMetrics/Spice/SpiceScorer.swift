import Files
import Foundation

/// SPICE (Anderson et al., ECCV 2016) with our own parser in place of CoreNLP's.
///
/// Candidate and references become scene graphs, whose tuples are compared up to WordNet synonyms. The stages after the
/// parser equal the reference tool. The parser does not, so values carry the tag ``protocolTag`` and must not be mixed
/// with the jar's. docs/spice.md reports how close they are.
///
/// The same captions always give the same values, on any number of cores.
public struct SpiceScorer: Sendable {
    public let parser: CaptionParser
    private let synsets: any SynsetSource

    /// - Parameters:
    ///   - parser: ``CaptionParser/bundled()``, or one that you trained.
    ///   - synsets: METEOR's WordNet look-up.
    public init(parser: CaptionParser, synsets: any SynsetSource) {
        self.parser = parser
        self.synsets = synsets
    }

    /// Identifies what computed the values: `spice-native`, the version of the parser's file and the start of its hash.
    public var protocolTag: String {
        "spice-native/\(CaptionParser.fileVersion) weights=\(parser.hash.prefix(12))"
    }

    /// Parsing takes time with the square of a caption's words; METEOR's aligner has the same limit.
    static let mostWords = 10_000

    /// Scores candidates against their references.
    ///
    /// - Parameters:
    ///   - candidates: one caption per image, PTB-tokenised, lower case, tokens separated by single blanks.
    ///   - references: the captions of each image, likewise.
    /// - Throws: ``SpiceError/counts(candidates:references:)`` if the two differ in length,
    ///   ``SpiceError/captionTooLong(image:words:limit:)``.
    public func evaluate(candidates: [String], references: [[String]]) throws -> SpiceResult {
        guard candidates.count == references.count else {
            throw SpiceError.counts(candidates: candidates.count, references: references.count)
        }
        for (image, captions) in zip(candidates, references).map({ [$0] + $1 }).enumerated() {
            for caption in captions where caption.utf8.count > 2 * Self.mostWords {
                let words = caption.utf8.reduce(1) { $1 == 0x20 ? $0 + 1 : $0 }
                guard words <= Self.mostWords else {
                    throw SpiceError.captionTooLong(image: image, words: words, limit: Self.mostWords)
                }
            }
        }
        let captions = Array(Set(candidates).union(references.flatMap { $0 })).sorted()
        let tuples = Parallel.mapBlocks(captions.count) { $0.map { self.tuples(of: captions[$0]) } }
        let table = Dictionary(uniqueKeysWithValues: zip(captions, tuples))
        let scorer = SpiceTupleScorer(synsets: synsets)
        // A few large blocks, so that each block looks every word up once.
        let blockLength = max(1, (candidates.count + 15) / 16)
        let images = Parallel.mapBlocks(candidates.count, blockSize: blockLength) { range in
            var concepts = SceneConceptTable(source: synsets)
            return range.map { i in
                scorer.score(
                    candidate: table[candidates[i]] ?? [], references: references[i].map { table[$0] ?? [] },
                    concepts: &concepts)
            }
        }
        return SpiceResult(images: images)
    }

    /// The scene graph tuples of one tokenised caption.
    public func tuples(of caption: String) -> [SceneTuple] {
        parse(of: caption).collapsed().sceneTuples()
    }

    /// The basic dependency tree of one tokenised caption.
    public func parse(of caption: String) -> DependencyParse {
        parser.parse(caption.split(whereSeparator: \.isWhitespace).map(String.init))
    }
}

/// Why SPICE cannot be computed.
public enum SpiceError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case counts(candidates: Int, references: Int)
    case captionTooLong(image: Int, words: Int, limit: Int)
    /// No file with WordNet's synsets at `path`.
    case synsetsMissing(path: String)

    public var description: String {
        switch self {
        case .captionTooLong(let image, let words, let limit):
            "image \(image) (counted from 0) has a caption of \(words) words; SPICE takes at most \(limit)"
        case .counts(let candidates, let references):
            "SPICE: \(candidates) candidates but \(references) sets of references; expected one set per candidate"
        case .synsetsMissing(let path):
            "SPICE reads WordNet's synsets from METEOR's data file, and '\(path)' does not exist; make it once with: "
                + MeteorData.howToMake
        }
    }

    public var errorDescription: String? { description }
}
