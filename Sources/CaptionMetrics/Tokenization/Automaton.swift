/// A nondeterministic automaton over code units for a set of patterns, each with a number to report.
///
/// States either read one unit of a set and continue, or branch freely. An automaton is built once and never changed.
struct Automaton: Sendable {
    struct Reader: Sendable {
        /// Index into `sets`.
        let set: Int32
        let next: Int32
    }

    enum State: Sendable {
        case read(Reader)
        case branch([Int32])
        case accept(Int32)
    }

    private(set) var states: [State] = []
    private(set) var start: Int32 = 0
    private(set) var sets: [UnitSet] = []
    private var setIndex: [UnitSet: Int32] = [:]

    /// - Parameter patterns: pattern `i` reports `i`; when several match the same text, the lowest number counts.
    init(_ patterns: [Pattern]) {
        var entries: [Int32] = []
        for (number, pattern) in patterns.enumerated() {
            let end = add(.accept(Int32(number)))
            entries.append(add(pattern, before: end))
        }
        start = add(.branch(entries))
    }

    private mutating func add(_ state: State) -> Int32 {
        states.append(state)
        return Int32(states.count - 1)
    }

    /// Adds `pattern` so that it leads to `next`; returns its entry.
    private mutating func add(_ pattern: Pattern, before next: Int32) -> Int32 {
        switch pattern {
        case .set(let set):
            let index: Int32
            if let known = setIndex[set] {
                index = known
            } else {
                index = Int32(sets.count)
                sets.append(set)
                setIndex[set] = index
            }
            return add(.read(Reader(set: index, next: next)))
        case .sequence(let items):
            var entry = next
            for item in items.reversed() { entry = add(item, before: entry) }
            return entry
        case .choice(let branches):
            var entries: [Int32] = []
            for branch in branches { entries.append(add(branch, before: next)) }
            return add(.branch(entries))
        case .repeated(let item, let atLeast, let atMost):
            var entry = next
            if let atMost {
                for _ in atLeast..<max(atLeast, atMost) {
                    let inner = add(item, before: entry)
                    entry = add(.branch([inner, next]))
                }
            } else {
                let loop = add(.branch([]))
                let inner = add(item, before: loop)
                states[Int(loop)] = .branch([inner, next])
                entry = loop
            }
            for _ in 0..<atLeast { entry = add(item, before: entry) }
            return entry
        }
    }
}

/// The code units, grouped so that units that no pattern distinguishes share a class.
struct UnitClasses: Sendable {
    /// Class of each of the 65,536 code units.
    let classOfUnit: [UInt8]
    let count: Int
    /// One unit of each class, to ask sets about.
    let representative: [UInt16]

    init(separating sets: [UnitSet]) {
        var isBoundary = [Bool](repeating: false, count: 0x10001)
        isBoundary[0] = true
        for set in sets {
            for range in set.ranges {
                isBoundary[Int(range.lowerBound)] = true
                isBoundary[Int(range.upperBound) + 1] = true
            }
        }
        var classes = [UInt8](repeating: 0, count: 0x10000)
        var known: [[UInt64]: UInt8] = [:]
        var representatives: [UInt16] = []
        // One cursor per set: boundaries are visited in order, so no set is searched.
        var cursors = [Int](repeating: 0, count: sets.count)
        let words = (sets.count + 63) / 64
        var current: UInt8 = 0
        for unit in 0..<0x10000 {
            if isBoundary[unit] {
                var signature = [UInt64](repeating: 0, count: words)
                for (index, set) in sets.enumerated() {
                    while cursors[index] < set.ranges.count, Int(set.ranges[cursors[index]].upperBound) < unit {
                        cursors[index] += 1
                    }
                    if cursors[index] < set.ranges.count, Int(set.ranges[cursors[index]].lowerBound) <= unit {
                        signature[index / 64] |= 1 << UInt64(index % 64)
                    }
                }
                if let found = known[signature] {
                    current = found
                } else {
                    precondition(representatives.count < 256, "more than 256 character classes")
                    current = UInt8(representatives.count)
                    known[signature] = current
                    representatives.append(UInt16(unit))
                }
            }
            classes[unit] = current
        }
        classOfUnit = classes
        count = representatives.count
        representative = representatives
    }
}
