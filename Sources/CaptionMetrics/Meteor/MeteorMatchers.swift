/// A possible match: some words of the test sentence stand for some words of the reference.
struct MeteorMatch: Equatable {
    var module: MeteorModule
    var referenceStart: Int
    var referenceLength: Int
    var testStart: Int
    var testLength: Int
}

/// All possible matches of one pair, and how many of them cover each word.
struct MeteorCandidates {
    /// In the order in which the search tries them: by reference start, then as the matchers found them.
    var matches: [MeteorMatch] = []
    /// Row table: reference position to its matches.
    var offsets: [Int] = [0]
    var testCoverage: [Int] = []
    var referenceCoverage: [Int] = []
}

/// Finds all possible matches of a pair: exact, then stem, then synonym, then paraphrase.
///
/// It keeps its buffers from pair to pair and belongs to one thread.
final class MeteorMatchers {
    /// Pairs with more possible matches are refused; only long captions that repeat a few words over and over have so
    /// many.
    static let candidateLimit = 1_000_000

    /// The image being scored, for error messages.
    var image = 0

    private let vocabulary: MeteorVocabulary
    private let modules: [MeteorModule]
    private var found: [MeteorMatch] = []
    private var lengths = (test: 0, reference: 0)
    /// One bit per word of the paraphrase table: whether it occurs in the sentence that is searched for right sides.
    private var present = [UInt64](repeating: 0, count: 1 << 10)

    init(vocabulary: MeteorVocabulary, modules: [MeteorModule]) {
        self.vocabulary = vocabulary
        self.modules = modules
    }

    /// - Throws: `MeteorError.tooManyMatches`.
    func candidates(test: MeteorSentence, reference: MeteorSentence) throws(MeteorError) -> MeteorCandidates {
        found.removeAll(keepingCapacity: true)
        lengths = (test.count, reference.count)
        let testEntries = test.words.map { vocabulary.entries[Int($0)] }
        let referenceEntries = reference.words.map { vocabulary.entries[Int($0)] }
        // Equal sentences are matched only word by word.
        let active = test == reference ? modules.filter { $0 == .exact } : modules
        for module in active {
            switch module {
            case .exact:
                try matchWords(.exact, testEntries, referenceEntries) { $0.key == $1.key }
            case .stem:
                try matchWords(.stem, testEntries, referenceEntries) { $0.stem == $1.stem && $0.key != $1.key }
            case .synonym:
                let vocabulary = vocabulary
                try matchWords(.synonym, testEntries, referenceEntries) {
                    $0.synsetMask & $1.synsetMask != 0 && $0.key != $1.key && Self.shareSynset($0, $1, vocabulary)
                }
            case .paraphrase:
                guard let data = vocabulary.data else { continue }
                let testIDs = testEntries.map(\.paraphraseWord)
                let referenceIDs = referenceEntries.map(\.paraphraseWord)
                try matchPhrases(from: referenceIDs, to: testIDs, data) { start, length, other, otherLength in
                    MeteorMatch(
                        module: .paraphrase, referenceStart: start, referenceLength: length, testStart: other,
                        testLength: otherLength)
                }
                try matchPhrases(from: testIDs, to: referenceIDs, data) { start, length, other, otherLength in
                    MeteorMatch(
                        module: .paraphrase, referenceStart: other, referenceLength: otherLength, testStart: start,
                        testLength: length)
                }
            }
        }
        return grouped(testCount: test.count, referenceCount: reference.count)
    }

    private func add(_ match: MeteorMatch) throws(MeteorError) {
        guard found.count < Self.candidateLimit else {
            throw .tooManyMatches(
                image: image, testWords: lengths.test, referenceWords: lengths.reference, limit: Self.candidateLimit)
        }
        found.append(match)
    }

    @inline(__always)
    private func matchWords(
        _ module: MeteorModule, _ test: [MeteorVocabulary.Entry], _ reference: [MeteorVocabulary.Entry],
        _ matches: (MeteorVocabulary.Entry, MeteorVocabulary.Entry) -> Bool
    ) throws(MeteorError) {
        for j in reference.indices {
            for i in test.indices where matches(reference[j], test[i]) {
                try add(
                    MeteorMatch(module: module, referenceStart: j, referenceLength: 1, testStart: i, testLength: 1))
            }
        }
    }

    private static func shareSynset(
        _ a: MeteorVocabulary.Entry, _ b: MeteorVocabulary.Entry, _ vocabulary: MeteorVocabulary
    ) -> Bool {
        var (i, j) = (Int(a.synsetStart), Int(b.synsetStart))
        while i < a.synsetEnd, j < b.synsetEnd {
            let (x, y) = (vocabulary.synsets[i], vocabulary.synsets[j])
            if x == y { return true }
            if x < y { i += 1 } else { j += 1 }
        }
        return false
    }

    /// Entries whose left side stands in `from`, shortest first, and every place of their right side in `to`.
    private func matchPhrases(
        from: [Int32], to: [Int32], _ data: MeteorData,
        _ match: (_ start: Int, _ length: Int, _ other: Int, _ otherLength: Int) -> MeteorMatch
    ) throws(MeteorError) {
        for id in to where id >= 0 { present[Int(id) >> 6] |= 1 << UInt64(id & 63) }
        defer { for id in to where id >= 0 { present[Int(id) >> 6] = 0 } }
        let ids = from.map { UInt16(truncatingIfNeeded: $0) }
        for start in from.indices where from[start] >= 0 {
            let longest = min(Int(data.longestLeft[Int(from[start])]), from.count - start)
            var length = 1
            while length <= longest, from[start + length - 1] >= 0 {
                let left = ids.withUnsafeBufferPointer {
                    data.leftSide(UnsafeBufferPointer(rebasing: $0[start..<(start + length)]))
                }
                if let left {
                    try forEachRightSide(of: left, in: to, data) { other, count throws(MeteorError) in
                        try add(match(start, length, other, count))
                    }
                }
                length += 1
            }
        }
    }

    /// Every right side of a left side, in the order of the table, at every place where it occurs in `to`.
    @inline(__always)
    private func forEachRightSide(
        of left: Int, in to: [Int32], _ data: MeteorData,
        _ body: (_ place: Int, _ count: Int) throws(MeteorError) -> Void
    ) throws(MeteorError) {
        var entry = Int(data.blockOffsets[left])
        let end = Int(data.blockOffsets[left + 1])
        while entry + 1 < end {
            let count = Int(data.blocks[entry])
            let words = entry + 1
            entry = words + count
            let first = data.blocks[words]
            // Most entries end here. The other tests matter only for a damaged file.
            guard present[Int(first) >> 6] & (1 << UInt64(first & 63)) != 0, count > 0, entry <= end else { continue }
            for place in to.indices where to[place] == Int32(first) && place + count <= to.count {
                if (1..<count).allSatisfy({ to[place + $0] == Int32(data.blocks[words + $0]) }) {
                    try body(place, count)
                }
            }
        }
    }

    /// Sorts by reference start, keeping the order in which matches were found, and counts how often each word is
    /// covered.
    private func grouped(testCount: Int, referenceCount: Int) -> MeteorCandidates {
        var result = MeteorCandidates()
        result.testCoverage = [Int](repeating: 0, count: testCount)
        result.referenceCoverage = [Int](repeating: 0, count: referenceCount)
        result.offsets = [Int](repeating: 0, count: referenceCount + 1)
        for match in found {
            result.offsets[match.referenceStart + 1] += 1
            for k in 0..<match.testLength { result.testCoverage[match.testStart + k] += 1 }
            for k in 0..<match.referenceLength { result.referenceCoverage[match.referenceStart + k] += 1 }
        }
        for j in 0..<referenceCount { result.offsets[j + 1] += result.offsets[j] }
        guard let filler = found.first else { return result }
        var next = result.offsets
        result.matches = [MeteorMatch](repeating: filler, count: found.count)
        for match in found {
            result.matches[next[match.referenceStart]] = match
            next[match.referenceStart] += 1
        }
        return result
    }
}
