import CaptionFiles
import Files
import Synchronization

/// What every caption metric reads: per image, its reference captions and one candidate, tokenised.
///
/// A tokenised caption is its tokens joined by single blanks, lower-cased, as `PTBTokenizer.tokenize` returns it. The
/// caller decides the order of the images, and every score keeps it.
public struct TokenizedCaptions: Sendable {
    /// One per image, all different.
    public let imageIDs: [ImageID]
    /// Per image, at least one caption.
    public let references: [[String]]
    /// Per image, one caption.
    public let candidates: [String]
    /// The tokenizer's name, for protocol tags.
    public let tokenizer: String
    /// SHA-256 of the files the captions come from, by role (`references`, `candidates`), for protocol tags.
    public let dataHashes: [String: String]

    let index: SharedIndex

    /// Captions that are tokenised already.
    ///
    /// - Throws: `CaptionDataError` when the arrays differ in length, an id repeats or an image has no reference.
    public init(
        imageIDs: [ImageID], references: [[String]], candidates: [String], tokenizer: String,
        dataHashes: [String: String] = [:]
    ) throws {
        guard imageIDs.count == references.count, imageIDs.count == candidates.count else {
            throw CaptionDataError.unequalCounts(
                images: imageIDs.count, references: references.count, candidates: candidates.count)
        }
        var seen = Set<ImageID>()
        for (id, captions) in zip(imageIDs, references) {
            guard seen.insert(id).inserted else { throw CaptionDataError.repeatedImage(id) }
            guard !captions.isEmpty else { throw CaptionDataError.noReferences(id) }
        }
        self.imageIDs = imageIDs
        self.references = references
        self.candidates = candidates
        self.tokenizer = tokenizer
        self.dataHashes = dataHashes
        index = SharedIndex()
    }

    /// Tokenises raw captions with the PTB tokenizer: all references in one run, all candidates in another.
    ///
    /// - Throws: as the other initialiser.
    public init(
        imageIDs: [ImageID], rawReferences: [[String]], rawCandidates: [String], dataHashes: [String: String] = [:]
    ) throws {
        let flat = rawReferences.flatMap { $0 }
        // Two texts, two cores.
        let lines = Parallel.map(2) { PTBTokenizer().tokenize($0 == 0 ? flat : rawCandidates) }
        var next = 0
        let references = rawReferences.map { captions in
            defer { next += captions.count }
            return Array(lines[0][next..<next + captions.count])
        }
        try self.init(
            imageIDs: imageIDs, references: references, candidates: lines[1], tokenizer: PTBTokenizer.protocolName,
            dataHashes: dataHashes)
    }

    /// The words of every caption as numbers, split as Python's `split()` does. Made once.
    var words: WordIndex { index.words(of: self) }
    /// The same, split at single blanks only.
    var blankSeparatedWords: WordIndex { index.blankSeparatedWords(of: self) }
    /// The n-grams of `words`. Made once.
    var nGrams: NGramIndex { index.nGrams(of: self) }
}

/// Indexes that several metrics need, made when the first asks.
final class SharedIndex: Sendable {
    private struct State {
        var words: WordIndex?
        var blankSeparatedWords: WordIndex?
        var nGrams: NGramIndex?
    }

    private let state = Mutex(State())

    func words(of captions: TokenizedCaptions) -> WordIndex {
        state.withLock { Self.words(&$0, captions) }
    }

    private static func words(_ state: inout State, _ captions: TokenizedCaptions) -> WordIndex {
        if let known = state.words { return known }
        let made = WordIndex(captions, separator: .whitespace)
        state.words = made
        return made
    }

    func blankSeparatedWords(of captions: TokenizedCaptions) -> WordIndex {
        state.withLock { state in
            if let known = state.blankSeparatedWords { return known }
            let made = WordIndex(captions, separator: .blank)
            state.blankSeparatedWords = made
            return made
        }
    }

    func nGrams(of captions: TokenizedCaptions) -> NGramIndex {
        state.withLock { state in
            if let known = state.nGrams { return known }
            let made = NGramIndex(Self.words(&state, captions))
            state.nGrams = made
            return made
        }
    }
}
