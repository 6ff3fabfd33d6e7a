import Files
import Foundation

/// Collects METEOR's tables and lays them out as `MeteorLayout` says.
struct MeteorDataBuilder {
    private var words = ByteInterner(minimumSlots: 1 << 16)
    private var flags: [Int: UInt8] = [:]
    private var synsets: [Int: [Int32]] = [:]
    private var bases: [Int: [UInt32]] = [:]

    private var paraphraseWords = 0
    private var lefts = ByteInterner(minimumSlots: 1 << 16)  // as the bytes of their UInt16 ids
    private var rights: [UInt16] = []
    /// Left side and place in `rights` of each entry, in the order of the source.
    private var entryLefts: [UInt32] = []
    private var entryStarts: [UInt32] = []

    // MARK: - Paraphrases

    /// Reads entries of three lines: probability (METEOR does not use it), phrase, paraphrase.
    mutating func addParaphrases(from sources: MeteorSources) throws(MeteorError) {
        var lines = LineReader()
        var line = 0
        var left = 0
        let table = "of paraphrases"
        func addLine(_ text: UnsafeBufferPointer<UInt8>, to builder: inout MeteorDataBuilder) throws(MeteorError) {
            line += 1
            switch line % 3 {
            case 1: break
            case 2: left = try builder.left(text, table: table, line: line)
            default: try builder.addEntry(left, text, table: table, line: line)
            }
        }
        try sources.readParaphrases { chunk throws(MeteorError) in
            try lines.add(chunk) { text throws(MeteorError) in try addLine(text, to: &self) }
        }
        try lines.finish { text throws(MeteorError) in try addLine(text, to: &self) }
        guard line % 3 == 0 else {
            throw .malformedTable(
                table: table, line: line, expected: "entries of three lines", got: "an end within an entry")
        }
        paraphraseWords = words.count
    }

    private mutating func phrase(
        _ text: UnsafeBufferPointer<UInt8>, table: String, line: Int
    ) throws(MeteorError) -> [UInt16] {
        var ids: [UInt16] = []
        var start = 0
        for i in 0...text.count where i == text.count || text[i] == 0x20 {
            if i > start {
                let (id, _) = words.intern(UnsafeBufferPointer(rebasing: text[start..<i]))
                guard id <= UInt16.max else {
                    throw .malformedTable(
                        table: table, line: line, expected: "at most 65536 different words", got: "more")
                }
                ids.append(UInt16(id))
            }
            start = i + 1
        }
        guard !ids.isEmpty, ids.count <= UInt8.max else {
            throw .malformedTable(
                table: table, line: line, expected: "a phrase of 1 to 255 words", got: "\(ids.count) words")
        }
        return ids
    }

    private mutating func left(
        _ text: UnsafeBufferPointer<UInt8>, table: String, line: Int
    ) throws(MeteorError) -> Int {
        let ids = try phrase(text, table: table, line: line)
        return ids.withUnsafeBytes { lefts.intern($0.bindMemory(to: UInt8.self)).id }
    }

    private mutating func addEntry(
        _ left: Int, _ text: UnsafeBufferPointer<UInt8>, table: String, line: Int
    ) throws(MeteorError) {
        let ids = try phrase(text, table: table, line: line)
        entryLefts.append(UInt32(left))
        entryStarts.append(UInt32(rights.count))
        rights.append(UInt16(ids.count))
        rights += ids
    }

    // MARK: - WordNet, function words, prefixes

    mutating func addSynsets(_ text: [UInt8]) throws(MeteorError) {
        try forEachPair(text, table: "english.synsets") { key, values, line throws(MeteorError) in
            let id = words.intern(key).id
            var numbers: Set<Int32> = []
            for value in values {
                guard let number = Int32(String(decoding: value, as: UTF8.self)) else {
                    throw .malformedTable(
                        table: "english.synsets", line: line, expected: "synset numbers",
                        got: "'\(String(decoding: value, as: UTF8.self))'")
                }
                numbers.insert(number)
            }
            flags[id, default: 0] |= MeteorLayout.WordFlag.synsetKey
            synsets[id] = numbers.sorted()
        }
    }

    mutating func addExceptions(_ text: [UInt8]) throws(MeteorError) {
        try forEachPair(text, table: "english.exceptions") { base, forms, _ throws(MeteorError) in
            let baseID = UInt32(words.intern(base).id)
            for form in forms {
                let id = words.intern(form).id
                flags[id, default: 0] |= MeteorLayout.WordFlag.irregular
                bases[id, default: []].append(baseID)
            }
        }
    }

    mutating func addFunctionWords(_ text: [UInt8]) {
        for line in TextLines(text, path: "function words") where !line.bytes.isEmpty {
            flags[words.intern(line.bytes).id, default: 0] |= MeteorLayout.WordFlag.functionWord
        }
    }

    mutating func addPrefixes(_ text: [UInt8]) {
        for line in TextLines(text, path: "prefixes") where line.bytes.first != UInt8(ascii: "#") {
            let fields = line.bytes.split(separator: 0x20)
            guard let word = fields.first else { continue }
            let numeric = fields.dropFirst().contains { $0.elementsEqual("#NUMERIC_ONLY#".utf8) }
            flags[words.intern(word).id, default: 0] |=
                numeric ? MeteorLayout.WordFlag.numericPrefix : MeteorLayout.WordFlag.prefix
        }
    }

    /// Files whose lines come in twos: a word, then blank-separated values.
    private func forEachPair(
        _ text: [UInt8], table: String,
        _ body: (ArraySlice<UInt8>, [ArraySlice<UInt8>], Int) throws(MeteorError) -> Void
    ) throws(MeteorError) {
        let lines = TextLines(text, path: table).map(\.bytes)
        guard lines.count % 2 == 0 else {
            throw .malformedTable(
                table: table, line: lines.count, expected: "an even number of lines", got: "\(lines.count)")
        }
        for i in stride(from: 0, to: lines.count, by: 2) {
            guard !lines[i].isEmpty else {
                throw .malformedTable(table: table, line: i + 1, expected: "a word", got: "an empty line")
            }
            try body(lines[i], lines[i + 1].split(separator: 0x20), i + 2)
        }
    }

    // MARK: - Layout

    func file(sourceHash: [UInt8]) -> [UInt8] {
        var file = [UInt8](repeating: 0, count: MeteorLayout.headerLength)
        func put<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
            withUnsafeBytes(of: value.littleEndian) { file.replaceSubrange(offset..<(offset + $0.count), with: $0) }
        }
        file.replaceSubrange(0..<8, with: MeteorLayout.magic)
        put(MeteorLayout.version, at: 8)
        put(UInt32(MeteorLayout.Section.allCases.count), at: 12)
        file.replaceSubrange(16..<(16 + MeteorLayout.sourceHashLength), with: sourceHash)
        func append<Element: FixedWidthInteger>(_ section: MeteorLayout.Section, _ array: [Element]) {
            precondition(MemoryLayout<Element>.size == section.elementSize, "section \(section)")
            while file.count % 8 != 0 { file.append(0) }
            let entry = 16 + MeteorLayout.sourceHashLength + section.rawValue * 16
            put(UInt64(file.count), at: entry)
            put(UInt64(array.count), at: entry + 8)
            // The arrays are little-endian in memory on every platform this package builds for.
            array.withUnsafeBytes { file += $0 }
        }
        append(.wordOffsets, words.offsets)
        append(.wordBytes, words.bytes)
        append(.wordSlots, words.slots)
        append(.wordFlags, (0..<words.count).map { flags[$0] ?? 0 })
        let synsetRows = rows(synsets)
        append(.synsetOffsets, synsetRows.offsets)
        append(.synsets, synsetRows.values)
        let baseRows = rows(bases)
        append(.baseOffsets, baseRows.offsets)
        append(.bases, baseRows.values)
        let left = leftTable()
        append(.leftOffsets, left.offsets)
        append(.leftWords, left.words)
        append(.leftSlots, left.slots)
        let grouped = groupedBlocks()
        append(.blockOffsets, grouped.offsets)
        append(.blocks, grouped.blocks)
        append(.longestLeft, left.longest)
        return file
    }

    private func rows<Value>(_ table: [Int: [Value]]) -> (offsets: [UInt32], values: [Value]) {
        var (offsets, values): ([UInt32], [Value]) = ([0], [])
        for id in 0..<words.count {
            values += table[id] ?? []
            offsets.append(UInt32(values.count))
        }
        return (offsets, values)
    }

    private func leftTable() -> (offsets: [UInt32], words: [UInt16], slots: [UInt32], longest: [UInt8]) {
        let ids = lefts.bytes.withUnsafeBytes { Array($0.bindMemory(to: UInt16.self)) }
        var longest = [UInt8](repeating: 0, count: paraphraseWords)
        var slotCount = 2
        while slotCount < lefts.count * 2 { slotCount *= 2 }
        var slots = [UInt32](repeating: 0, count: slotCount)
        ids.withUnsafeBufferPointer { all in
            for left in 0..<lefts.count {
                let phrase = UnsafeBufferPointer(
                    rebasing: all[Int(lefts.offsets[left] / 2)..<Int(lefts.offsets[left + 1] / 2)])
                let first = Int(phrase[0])
                longest[first] = max(longest[first], UInt8(phrase.count))
                var slot = Int(MeteorLayout.hash(phrase)) & (slotCount - 1)
                while slots[slot] != 0 { slot = (slot + 1) & (slotCount - 1) }
                slots[slot] = UInt32(left + 1)
            }
        }
        return (lefts.offsets.map { $0 / 2 }, ids, slots, longest)
    }

    /// Right sides gathered under their left side, each group in the order of the source.
    private func groupedBlocks() -> (offsets: [UInt32], blocks: [UInt16]) {
        var offsets = [UInt32](repeating: 0, count: lefts.count + 1)
        func size(_ entry: Int) -> Int { Int(rights[Int(entryStarts[entry])]) + 1 }
        for (entry, left) in entryLefts.enumerated() { offsets[Int(left) + 1] += UInt32(size(entry)) }
        for left in 0..<lefts.count { offsets[left + 1] += offsets[left] }
        var next = offsets
        var blocks = [UInt16](repeating: 0, count: rights.count)
        for (entry, left) in entryLefts.enumerated() {
            let (from, to) = (Int(entryStarts[entry]), Int(next[Int(left)]))
            for i in 0..<size(entry) { blocks[to + i] = rights[from + i] }
            next[Int(left)] += UInt32(size(entry))
        }
        return (offsets, blocks)
    }
}

/// Cuts a stream of chunks into lines.
private struct LineReader {
    private var carry: [UInt8] = []

    mutating func add(
        _ chunk: Data, _ line: (UnsafeBufferPointer<UInt8>) throws(MeteorError) -> Void
    ) throws(MeteorError) {
        let bytes = [UInt8](chunk)
        var start = 0
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            if carry.isEmpty {
                try Self.hand(over: bytes[start..<end], to: line)
            } else {
                carry += bytes[start..<end]
                try Self.hand(over: carry[...], to: line)
                carry.removeAll(keepingCapacity: true)
            }
            start = end + 1
        }
        carry += bytes[start...]
    }

    mutating func finish(_ line: (UnsafeBufferPointer<UInt8>) throws(MeteorError) -> Void) throws(MeteorError) {
        if !carry.isEmpty { try Self.hand(over: carry[...], to: line) }
        carry = []
    }

    private static func hand(
        over slice: ArraySlice<UInt8>, to line: (UnsafeBufferPointer<UInt8>) throws(MeteorError) -> Void
    ) throws(MeteorError) {
        let result = slice.withUnsafeBufferPointer { buffer -> Result<Void, MeteorError> in
            do throws(MeteorError) {
                try line(buffer)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }
}
