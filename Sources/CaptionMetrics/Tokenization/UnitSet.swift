/// A set of UTF-16 code units, kept as sorted, disjoint, non-adjacent closed ranges.
///
/// Patterns of the lexer are written over code units, as in the reference scanner: a character outside the Basic
/// Multilingual Plane is two units, and neither belongs to any class.
struct UnitSet: Hashable, Sendable {
    private(set) var ranges: [ClosedRange<UInt16>]

    init(_ ranges: [ClosedRange<UInt16>] = []) {
        self.ranges = []
        let sorted = ranges.sorted { $0.lowerBound < $1.lowerBound }
        for range in sorted {
            if let last = self.ranges.last, Int(range.lowerBound) <= Int(last.upperBound) + 1 {
                self.ranges[self.ranges.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                self.ranges.append(range)
            }
        }
    }

    init(_ unit: UInt16) { ranges = [unit...unit] }

    /// Ranges given as a flat list `first, last, first, last, …`, the form of the generated tables.
    init(flat bounds: [UInt16]) {
        self.init(stride(from: 0, to: bounds.count, by: 2).map { bounds[$0]...bounds[$0 + 1] })
    }

    func union(_ other: UnitSet) -> UnitSet { UnitSet(ranges + other.ranges) }

    var complement: UnitSet {
        var result: [ClosedRange<UInt16>] = []
        var next = 0
        for range in ranges {
            if Int(range.lowerBound) > next { result.append(UInt16(next)...(range.lowerBound - 1)) }
            next = Int(range.upperBound) + 1
        }
        if next <= 0xFFFF { result.append(UInt16(next)...0xFFFF) }
        return UnitSet(result)
    }

    /// Members of this set that are not in `other`.
    func subtracting(_ other: UnitSet) -> UnitSet {
        complement.union(other).complement
    }

    func contains(_ unit: UInt16) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < unit { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].lowerBound <= unit
    }
}
