/// Chooses among the possible matches of a pair by METEOR's beam search over reference positions.
///
/// This is the search with which the published numbers were made. Its peculiarities decide many alignments:
/// - A match that is alone at its reference start, and whose words on both sides no other match covers, is fixed
///   beforehand.
/// - In the search, matches weigh 1 if exact and 1/2 otherwise (not the weights of the score), and sums are kept as
///   integers: every addition drops the half. So a stem, synonym or paraphrase match of one word adds nothing.
/// - The distance |reference start - test start| of a chosen match is added to the path from which it was chosen, after
///   the new path was copied. So it counts for later siblings and for the path that chooses nothing, but not for the
///   path that has the match.
///
/// It keeps its buffers from pair to pair and belongs to one thread.
final class MeteorAligner {
    struct Alignment {
        /// In the order of the reference.
        var matches: [MeteorMatch] = []
        var chunks = 0
    }

    /// A partial alignment. The words that it uses are kept beside it, in `used`.
    private struct Path {
        var testSum = 0
        var referenceSum = 0
        var chunks = 0
        var distance = 0
        /// The next reference position that this path has not passed.
        var next = 0
        /// Where the test side of the last match ended; -1 after a skipped word.
        var end = -1
        /// The last chosen match, as a place in `chosen`; -1 without one.
        var last = -1
    }

    /// A path of the next round that is not copied yet: its parent, and the match it adds, if any.
    private struct Child {
        var path: Path
        var parent: Int
        var match: Int
    }

    /// Order of paths: larger sum, fewer chunks, smaller distance, earlier.
    private struct Rank {
        var sum: Int
        var chunks: Int
        var distance: Int
        var child: Int

        func precedes(_ other: Rank) -> Bool {
            if sum != other.sum { return sum > other.sum }
            if chunks != other.chunks { return chunks < other.chunks }
            if distance != other.distance { return distance < other.distance }
            return child < other.child
        }
    }

    private var paths: [Path] = []
    private var children: [Child] = []
    private var ranks: [Rank] = []
    /// Matches that any path has chosen: the candidate, and the place of the choice before it.
    private var chosen: [(match: Int, before: Int)] = []
    /// Bit sets of used words per path, `stride` words of 64 each: reference first, then test.
    private var used: [UInt64] = []
    private var usedNext: [UInt64] = []
    private var referenceStride = 0
    private var stride = 0

    func align(_ candidates: MeteorCandidates, testCount: Int, referenceCount: Int) -> Alignment {
        guard !candidates.matches.isEmpty else { return Alignment() }
        referenceStride = (referenceCount + 63) / 64
        stride = referenceStride + (testCount + 63) / 64
        chosen.removeAll(keepingCapacity: true)
        used.removeAll(keepingCapacity: true)
        used.append(contentsOf: repeatElement(0, count: stride))
        let fixed = fixMatches(candidates, referenceCount: referenceCount)

        paths.removeAll(keepingCapacity: true)
        paths.append(Path())
        for position in 0..<referenceCount {
            children.removeAll(keepingCapacity: true)
            for index in paths.indices {
                advance(index, at: position, candidates: candidates, fixed: fixed)
            }
            if children.isEmpty { children.append(Child(path: paths[0], parent: 0, match: -1)) }
            keepBest(candidates)
        }
        return finish(candidates, fixed: fixed)
    }

    /// Finds the matches without a rival and marks their words as used; -1 where there is none.
    private func fixMatches(_ candidates: MeteorCandidates, referenceCount: Int) -> [Int] {
        var fixed = [Int](repeating: -1, count: referenceCount)
        for position in 0..<referenceCount {
            let first = candidates.offsets[position]
            guard candidates.offsets[position + 1] - first == 1 else { continue }
            let match = candidates.matches[first]
            let referenceAlone = (0..<match.referenceLength).allSatisfy {
                candidates.referenceCoverage[match.referenceStart + $0] == 1
            }
            let testAlone = (0..<match.testLength).allSatisfy { candidates.testCoverage[match.testStart + $0] == 1 }
            guard referenceAlone, testAlone else { continue }
            fixed[position] = first
            mark(match, in: &used, at: 0)
        }
        return fixed
    }

    /// Adds to `children` the continuations of one path at a reference position: one per possible match, and one
    /// without.
    private func advance(_ index: Int, at position: Int, candidates: MeteorCandidates, fixed: [Int]) {
        var path = paths[index]
        let bits = index * stride
        if isUsed(bits, position) {
            if position < path.next {
                children.append(Child(path: path, parent: index, match: -1))
            } else if fixed[path.next] >= 0 {
                let match = candidates.matches[fixed[path.next]]
                Self.take(match, &path)
                path.distance += abs(match.referenceStart - match.testStart)
                children.append(Child(path: path, parent: index, match: -1))
            }
            return
        }
        for place in candidates.offsets[position]..<candidates.offsets[position + 1] {
            let match = candidates.matches[place]
            guard isFree(match, bits) else { continue }
            var child = path
            Self.take(match, &child)
            children.append(Child(path: child, parent: index, match: place))
            path.distance += abs(match.referenceStart - match.testStart)
        }
        if path.end != -1 {
            path.chunks += 1
            path.end = -1
        }
        path.next += 1
        children.append(Child(path: path, parent: index, match: -1))
    }

    private static func take(_ match: MeteorMatch, _ path: inout Path) {
        if match.module == .exact {
            path.testSum += match.testLength
            path.referenceSum += match.referenceLength
        } else {
            path.testSum += match.testLength / 2
            path.referenceSum += match.referenceLength / 2
        }
        if path.end != -1, match.testStart != path.end { path.chunks += 1 }
        path.next = match.referenceStart + match.referenceLength
        path.end = match.testStart + match.testLength
    }

    /// Makes the best children the paths of the next round.
    private func keepBest(_ candidates: MeteorCandidates) {
        ranks.removeAll(keepingCapacity: true)
        for (index, child) in children.enumerated() {
            let path = child.path
            let rank = Rank(
                sum: path.testSum + path.referenceSum, chunks: path.chunks, distance: path.distance, child: index)
            if ranks.count == MeteorParameters.beamSize {
                guard rank.precedes(ranks[ranks.count - 1]) else { continue }
                ranks.removeLast()
            }
            var place = ranks.count
            while place > 0, rank.precedes(ranks[place - 1]) { place -= 1 }
            ranks.insert(rank, at: place)
        }
        paths.removeAll(keepingCapacity: true)
        usedNext.removeAll(keepingCapacity: true)
        for rank in ranks {
            let child = children[rank.child]
            var path = child.path
            let start = usedNext.count
            usedNext.append(contentsOf: used[(child.parent * stride)..<((child.parent + 1) * stride)])
            if child.match >= 0 {
                mark(candidates.matches[child.match], in: &usedNext, at: start)
                chosen.append((child.match, path.last))
                path.last = chosen.count - 1
            }
            paths.append(path)
        }
        swap(&used, &usedNext)
    }

    private func finish(_ candidates: MeteorCandidates, fixed: [Int]) -> Alignment {
        for index in paths.indices where paths[index].end != -1 { paths[index].chunks += 1 }
        var best = paths[0]
        for path in paths.dropFirst() {
            let (sum, bestSum) = (path.testSum + path.referenceSum, best.testSum + best.referenceSum)
            if sum > bestSum || (sum == bestSum && (path.chunks, path.distance) < (best.chunks, best.distance)) {
                best = path
            }
        }
        var matches = fixed.filter { $0 >= 0 }.map { candidates.matches[$0] }
        var place = best.last
        while place >= 0 {
            matches.append(candidates.matches[chosen[place].match])
            place = chosen[place].before
        }
        matches.sort { $0.referenceStart < $1.referenceStart }
        return Alignment(matches: matches, chunks: best.chunks)
    }

    // MARK: - Used words

    private func isUsed(_ bits: Int, _ position: Int) -> Bool {
        used[bits + position >> 6] & (1 << UInt64(position & 63)) != 0
    }

    private func isFree(_ match: MeteorMatch, _ bits: Int) -> Bool {
        for position in match.referenceStart..<(match.referenceStart + match.referenceLength)
        where used[bits + position >> 6] & (1 << UInt64(position & 63)) != 0 {
            return false
        }
        let test = bits + referenceStride
        for position in match.testStart..<(match.testStart + match.testLength)
        where used[test + position >> 6] & (1 << UInt64(position & 63)) != 0 {
            return false
        }
        return true
    }

    private func mark(_ match: MeteorMatch, in used: inout [UInt64], at bits: Int) {
        for position in match.referenceStart..<(match.referenceStart + match.referenceLength) {
            used[bits + position >> 6] |= 1 << UInt64(position & 63)
        }
        let test = bits + referenceStride
        for position in match.testStart..<(match.testStart + match.testLength) {
            used[test + position >> 6] |= 1 << UInt64(position & 63)
        }
    }
}
