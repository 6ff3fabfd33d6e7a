/// Decides which token ends a sequence.
///
/// A stop string counts if its last byte is in the newest token, at any place; further bytes of the token are kept.
/// What was there before the newest token ended nothing, so the prompt alone never stops a sequence.
final class StopConditions {
    private let tokens: Set<Int>
    private let strings: [(text: String, bytes: [UInt8])]
    private let reach: Int
    private let bytesOfToken: ((Int) throws -> [UInt8])?
    private var known: [Int: [UInt8]] = [:]

    init(_ settings: GenerationSettings, bytesOfToken: ((Int) throws -> [UInt8])?) {
        tokens = Set(settings.stopTokens)
        strings = settings.stopStrings.map { ($0, Array($0.utf8)) }
        reach = strings.map(\.bytes.count).max() ?? 0
        self.bytesOfToken = bytesOfToken
    }

    /// How `token` ends a sequence with `history` (including prompt tokens); nil if it does not.
    func ending(_ token: Int, after history: some BidirectionalCollection<Int>) throws -> GeneratedSequence.Ending? {
        if tokens.contains(token) { return .stopToken(token) }
        guard !strings.isEmpty else { return nil }
        let new = try bytes(of: token)
        var tail: [UInt8] = []  // the bytes before the token, reversed
        var last = history.endIndex
        while tail.count < reach - 1, last > history.startIndex {
            last = history.index(before: last)
            tail.append(contentsOf: try bytes(of: history[last]).reversed())
        }
        let text = tail.prefix(max(0, reach - 1)).reversed() + new
        for (name, wanted) in strings {
            // The first place at which the occurrence reaches into the newest token.
            let first = max(0, text.count - new.count - wanted.count + 1)
            guard text.count >= wanted.count, first <= text.count - wanted.count else { continue }
            for start in first...text.count - wanted.count
            where text[start..<start + wanted.count].elementsEqual(wanted) {
                return .stopString(name)
            }
        }
        return nil
    }

    private func bytes(of token: Int) throws -> [UInt8] {
        if let found = known[token] { return found }
        let bytes = try bytesOfToken?(token) ?? []
        known[token] = bytes
        return bytes
    }
}
