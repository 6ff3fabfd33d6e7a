/// Unicode normalisation form C over scalars (UAX #15).
///
/// The tables are our own (Unicode 14, as Python 3.11's `unicodedata`), because the standard library does not expose
/// its normaliser, and Foundation's on Linux follows another version. Text of later versions is normalised as far as
/// these tables go.
enum Normalization {
    /// `text` in form C.
    static func composed(_ text: [UInt32]) -> [UInt32] {
        guard needsWork(text) else { return text }
        var scalars: [UInt32] = []
        scalars.reserveCapacity(text.count + 8)
        for scalar in text { decompose(scalar, into: &scalars) }
        reorder(&scalars)
        compose(&scalars)
        return scalars
    }

    /// Whether anything in `text` could change. Below U+0300 everything is in form C already.
    private static func needsWork(_ text: [UInt32]) -> Bool { text.contains { $0 >= 0x300 } }

    private struct Tables {
        var decompositions: [UInt32: [UInt32]] = [:]
        /// Keyed by first << 32 | second.
        var compositions: [UInt64: UInt32] = [:]
        var classes: [UInt32: UInt8] = [:]

        init() {
            for pair in TableReader.pairs(
                NormalizationTable.decompositions, separators: [UInt8(ascii: "="), UInt8(ascii: "!")])
            {
                let scalar = TableReader.hexadecimal(pair.key)
                decompositions[scalar] = pair.scalars
                if pair.separator == UInt8(ascii: "=") {
                    compositions[UInt64(pair.scalars[0]) << 32 | UInt64(pair.scalars[1])] = scalar
                }
            }
            for (name, ranges) in TableReader.groups(NormalizationTable.combiningClasses) {
                for range in ranges { for scalar in range { classes[scalar] = UInt8(name)! } }
            }
        }
    }

    private static let tables = Tables()

    private static func combiningClass(_ scalar: UInt32) -> UInt8 {
        scalar < 0x300 ? 0 : tables.classes[scalar] ?? 0
    }

    // Hangul syllables are composed by arithmetic (Unicode, section 3.12).
    private static let syllables: ClosedRange<UInt32> = 0xAC00...0xD7A3
    private static let leads: Range<UInt32> = 0x1100..<0x1113
    private static let vowels: Range<UInt32> = 0x1161..<0x1176
    private static let trails: Range<UInt32> = 0x11A8..<0x11C3

    private static func decompose(_ scalar: UInt32, into output: inout [UInt32]) {
        if scalar < 0xC0 {
            output.append(scalar)
        } else if syllables.contains(scalar) {
            let index = scalar - 0xAC00
            output.append(0x1100 + index / 588)
            output.append(0x1161 + index % 588 / 28)
            if index % 28 != 0 { output.append(0x11A7 + index % 28) }
        } else if let parts = tables.decompositions[scalar] {
            for part in parts { decompose(part, into: &output) }
        } else {
            output.append(scalar)
        }
    }

    /// Sorts each run of combining marks by class, stably.
    private static func reorder(_ scalars: inout [UInt32]) {
        var start = 0
        while start < scalars.count {
            guard combiningClass(scalars[start]) != 0 else {
                start += 1
                continue
            }
            var end = start + 1
            while end < scalars.count, combiningClass(scalars[end]) != 0 { end += 1 }
            if end - start > 1 {
                // Indices break ties, because `sort` does not promise stability.
                let run = scalars[start..<end].enumerated().sorted {
                    (combiningClass($0.element), $0.offset) < (combiningClass($1.element), $1.offset)
                }
                scalars.replaceSubrange(start..<end, with: run.map(\.element))
            }
            start = end
        }
    }

    private static func compose(_ scalars: inout [UInt32]) {
        var written = 0
        var starter: Int?
        var lastClass: UInt8 = 0
        for read in 0..<scalars.count {
            let scalar = scalars[read]
            let scalarClass = combiningClass(scalar)
            if let at = starter {
                // A mark is blocked by a mark of the same or a higher class, or by another starter in between.
                let adjacent = written == at + 1
                if adjacent || (lastClass < scalarClass && lastClass != 0), let whole = composition(scalars[at], scalar)
                {
                    scalars[at] = whole
                    continue
                }
            }
            if scalarClass == 0 { starter = written }
            lastClass = scalarClass
            scalars[written] = scalar
            written += 1
        }
        scalars.removeSubrange(written...)
    }

    private static func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if leads.contains(first), vowels.contains(second) {
            return 0xAC00 + ((first - 0x1100) * 21 + (second - 0x1161)) * 28
        }
        if syllables.contains(first), (first - 0xAC00) % 28 == 0, trails.contains(second) {
            return first + (second - 0x11A7)
        }
        return tables.compositions[UInt64(first) << 32 | UInt64(second)]
    }
}
