/// Finds what a mistyped name was probably meant to be, for messages that say "did you mean".
public enum NearestName {
    /// The candidate at the smallest edit distance (insert, delete, substitute; a wrong capital counts half), if a third of
    /// the letters or two letters suffice to get there; the first of several at the same distance.
    ///
    /// Only the first 256 bytes of a name and the first 10,000 candidates count, because names come from files.
    public static func find(_ name: String, in candidates: some Sequence<String>) -> String? {
        let target = Array(name.utf8.prefix(256))
        var best: String?
        var limit = max(4, target.count * 2 / 3) + 1
        for candidate in candidates.prefix(10_000) {
            let other = Array(candidate.utf8.prefix(256))
            guard 2 * abs(other.count - target.count) < limit else { continue }
            let distance = halfSteps(target, other)
            if distance < limit { (best, limit) = (candidate, distance) }
        }
        return best
    }

    private static func halfSteps(_ a: [UInt8], _ b: [UInt8]) -> Int {
        func isLetter(_ x: UInt8) -> Bool { (0x61...0x7A).contains(x | 0x20) }
        var row = (0...b.count).map { $0 * 2 }
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = (i + 1) * 2
            for (j, y) in b.enumerated() {
                let cost = x == y ? 0 : isLetter(x) && x ^ y == 0x20 ? 1 : 2
                let substituted = diagonal + cost
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, diagonal + 2, row[j] + 2)
            }
        }
        return row[b.count]
    }
}
