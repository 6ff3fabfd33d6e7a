/// A token that is found in the text as a whole, before the text is split in any other way.
struct AddedToken: Sendable, Hashable {
    let content: [UInt8]
    /// White space before the token belongs to it.
    var takesSpaceBefore = false
    /// White space after the token belongs to it.
    var takesSpaceAfter = false
    /// The token is found only where no letter, digit or underscore touches it.
    var isSingleWord = false
    /// The token is normalised and searched in the normalised text, not in the text as given.
    var isNormalized = false
}

/// Finds added tokens in a text, as the `tokenizers` library does: the leftmost match counts, and among several the
/// longest.
struct AddedTokenMatcher: Sendable {
    private struct Candidate {
        let pattern: [UInt8]
        let token: AddedToken
        let id: Int32
    }

    /// The candidates by the first byte of their pattern, the longest first.
    private var candidates = [[Candidate]](repeating: [], count: 256)
    private let isEmpty: Bool

    /// - Parameter tokens: the patterns to find, each a token's content as it stands or normalised.
    init(_ tokens: [(pattern: [UInt8], token: AddedToken, id: Int32)]) {
        isEmpty = tokens.allSatisfy(\.pattern.isEmpty)
        for (pattern, token, id) in tokens.sorted(by: { $0.pattern.count > $1.pattern.count }) where !pattern.isEmpty {
            candidates[Int(pattern[0])].append(Candidate(pattern: pattern, token: token, id: id))
        }
    }

    /// Calls `piece` for the stretches between tokens and `token` for the tokens, in order.
    func split(
        _ text: UnsafeBufferPointer<UInt8>, piece: (UnsafeBufferPointer<UInt8>) -> Void, token: (Int32) -> Void
    ) {
        guard !isEmpty else {
            if !text.isEmpty { piece(text) }
            return
        }
        var start = 0
        var i = 0
        while i < text.count {
            guard let match = match(text, at: i) else {
                i += 1
                continue
            }
            let first = i
            // Text that a match covers is never searched again, even if the match is rejected.
            i += match.pattern.count
            if match.token.isSingleWord, endsInWord(text[..<first]) || beginsWithWord(text[i...]) { continue }
            let from = match.token.takesSpaceBefore ? max(start, startOfSpace(text, before: first)) : first
            if start < from { piece(UnsafeBufferPointer(rebasing: text[start..<from])) }
            token(match.id)
            start = match.token.takesSpaceAfter ? endOfSpace(text, from: i) : i
        }
        if start < text.count { piece(UnsafeBufferPointer(rebasing: text[start...])) }
    }

    private func match(_ text: UnsafeBufferPointer<UInt8>, at i: Int) -> Candidate? {
        candidates[Int(text[i])].first { candidate in
            i + candidate.pattern.count <= text.count
                && text[i..<i + candidate.pattern.count].elementsEqual(candidate.pattern)
        }
    }

    // MARK: Neighbours

    private func endsInWord(_ text: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        guard let last = text.lastIndex(where: { $0 & 0xC0 != 0x80 }) else { return false }
        return isWord(scalar(text, at: last))
    }

    private func beginsWithWord(_ text: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        text.isEmpty ? false : isWord(scalar(text, at: text.startIndex))
    }

    private func scalar(_ text: Slice<UnsafeBufferPointer<UInt8>>, at i: Int) -> Unicode.Scalar {
        String(decoding: text[i...].prefix(4), as: UTF8.self).unicodeScalars.first!
    }

    /// `\w` of Rust's `regex` (UTS #18, annex C).
    private func isWord(_ scalar: Unicode.Scalar) -> Bool {
        let properties = scalar.properties
        if properties.isAlphabetic || properties.isJoinControl { return true }
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
        default: return false
        }
    }

    private func startOfSpace(_ text: UnsafeBufferPointer<UInt8>, before end: Int) -> Int {
        let scanner = TextScanner(text: text)
        var start = end
        while start > 0 {
            var i = start - 1
            while i > 0, text[i] & 0xC0 == 0x80 { i -= 1 }
            guard scanner.character(at: i).kind == .space else { break }
            start = i
        }
        return start
    }

    private func endOfSpace(_ text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        start < text.count ? TextScanner(text: text).endOfRun(.space, from: start) : start
    }
}
