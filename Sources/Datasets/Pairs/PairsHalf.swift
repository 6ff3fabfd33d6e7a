import Randomness

/// A part of a pairs manifest: what is aligned on one half and used on the other has not seen its images.
///
/// The path of the real image decides, as the manifest has it (the id of a pair without one), so that all pairs of an
/// image are in one half, and in the same half of every manifest that names it so.
public enum PairsHalf: String, Sendable, CaseIterable {
    case all
    case first
    case second

    func contains(_ pair: Pair) -> Bool {
        guard self != .all else { return true }
        var random = SplitMix64(seed: IDSet.hash(pair.real ?? pair.id))
        return (random.next() & 1 == 0) == (self == .first)
    }
}
