import Files
import Foundation
import Safetensors

/// METEOR's tables, mapped from the compiled file: paraphrases, WordNet synsets and base forms, function words,
/// non-breaking prefixes.
///
/// Opening costs milliseconds and almost no memory, because pages are read when a look-up touches them.
/// `MeteorData.compile` (command: `gmail data meteor`) makes the file from pip's pycocoevalcap 1.2. The tables are
/// under LGPL 2.1 (METEOR) and the Princeton WordNet 3.0 licence, so they are taken from there at set-up and not
/// shipped.
///
/// It may be shared between threads, because everything is read-only.
public final class MeteorData: @unchecked Sendable {
    /// The path from which the file was opened.
    public let path: String
    /// SHA-256 over the sources from which the file was made, hexadecimal.
    public let sourceHash: String

    /// Mapped as long as this object lives.
    private let file: MappedFile

    let wordOffsets: UnsafeBufferPointer<UInt32>
    let wordBytes: UnsafeBufferPointer<UInt8>
    let wordSlots: UnsafeBufferPointer<UInt32>
    let wordFlags: UnsafeBufferPointer<UInt8>
    let synsetOffsets: UnsafeBufferPointer<UInt32>
    let synsetIDs: UnsafeBufferPointer<Int32>
    let baseOffsets: UnsafeBufferPointer<UInt32>
    let bases: UnsafeBufferPointer<UInt32>
    let leftOffsets: UnsafeBufferPointer<UInt32>
    let leftWords: UnsafeBufferPointer<UInt16>
    let leftSlots: UnsafeBufferPointer<UInt32>
    let blockOffsets: UnsafeBufferPointer<UInt32>
    let blocks: UnsafeBufferPointer<UInt16>
    let longestLeft: UnsafeBufferPointer<UInt8>

    /// The first twelve digits of `sourceHash`, enough to distinguish data files in a protocol tag.
    public var tag: String { String(sourceHash.prefix(12)) }

    /// Opens the file at the default place, or the one in `path`.
    /// - Throws: `MeteorError.dataMissing` (its text says how to make the file), `.dataUnreadable`, `.dataFormat`.
    public static func open(path: String? = nil) throws(MeteorError) -> MeteorData {
        try MeteorData(path: path ?? defaultPath())
    }

    /// `$GMAIL_DATA_DIR/meteor-en.bin`, or else `$XDG_DATA_HOME/gmail/meteor-en.bin`, or else the same under
    /// `~/.local/share`.
    public static func defaultPath(environment: [String: String] = ProcessInfo.processInfo.environment) -> String {
        func folder(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        if let folder = folder("GMAIL_DATA_DIR") { return folder + "/meteor-en.bin" }
        if let folder = folder("XDG_DATA_HOME") { return folder + "/gmail/meteor-en.bin" }
        return (folder("HOME") ?? NSHomeDirectory()) + "/.local/share/gmail/meteor-en.bin"
    }

    /// How to get the data file, for messages.
    static let howToMake =
        "pip download --no-deps pycocoevalcap==1.2 && gmail data meteor --from pycocoevalcap-1.2-py3-none-any.whl"

    init(path: String) throws(MeteorError) {
        let file: MappedFile
        do { file = try MappedFile(path: path) } catch {
            if case .cannotOpen(_, errorText(ENOENT)) = error { throw .dataMissing(path: path) }
            throw .dataUnreadable(path: path, reason: "\(error)")
        }
        guard file.bytes.count >= MeteorLayout.headerLength else {
            throw .dataFormat(
                path: path,
                problem: "\(file.bytes.count) bytes, shorter than the header of \(MeteorLayout.headerLength)")
        }
        let bytes = file.bytes
        let sections = try Sections(bytes, path: path)
        self.path = path
        self.file = file
        sourceHash = ContentHash.hexadecimal(Array(bytes[16..<(16 + MeteorLayout.sourceHashLength)]))
        wordOffsets = sections.array(.wordOffsets)
        wordBytes = sections.array(.wordBytes)
        wordSlots = sections.array(.wordSlots)
        wordFlags = sections.array(.wordFlags)
        synsetOffsets = sections.array(.synsetOffsets)
        synsetIDs = sections.array(.synsets)
        baseOffsets = sections.array(.baseOffsets)
        bases = sections.array(.bases)
        leftOffsets = sections.array(.leftOffsets)
        leftWords = sections.array(.leftWords)
        leftSlots = sections.array(.leftSlots)
        blockOffsets = sections.array(.blockOffsets)
        blocks = sections.array(.blocks)
        longestLeft = sections.array(.longestLeft)
    }

    // MARK: - Look-ups

    /// The id of a word; nil if no table has it.
    func wordID(_ word: UnsafeBufferPointer<UInt8>) -> Int? {
        let mask = wordSlots.count - 1
        var slot = Int(MeteorLayout.hash(word)) & mask
        while wordSlots[slot] != 0 {
            let id = Int(wordSlots[slot]) - 1
            let (start, end) = (Int(wordOffsets[id]), Int(wordOffsets[id + 1]))
            if end - start == word.count,
                memcmp(wordBytes.baseAddress! + start, word.baseAddress ?? wordBytes.baseAddress!, word.count) == 0
            {
                return id
            }
            slot = (slot + 1) & mask
        }
        return nil
    }

    func wordID(_ word: [UInt8]) -> Int? { word.withUnsafeBufferPointer { wordID($0) } }

    func isFunctionWord(_ id: Int) -> Bool { wordFlags[id] & MeteorLayout.WordFlag.functionWord != 0 }

    func prefix(_ word: [UInt8]) -> MeteorNormalizer.Prefix {
        guard let id = wordID(word) else { return .none }
        if wordFlags[id] & MeteorLayout.WordFlag.prefix != 0 { return .always }
        return wordFlags[id] & MeteorLayout.WordFlag.numericPrefix != 0 ? .beforeNumbers : .none
    }

    /// The number of words in the paraphrase table; their ids come first and fit into 16 bits.
    var paraphraseWordCount: Int { longestLeft.count }

    /// The left side of the paraphrase table that consists of exactly these words.
    func leftSide(_ words: UnsafeBufferPointer<UInt16>) -> Int? {
        let mask = leftSlots.count - 1
        var slot = Int(MeteorLayout.hash(words)) & mask
        while leftSlots[slot] != 0 {
            let id = Int(leftSlots[slot]) - 1
            let (start, end) = (Int(leftOffsets[id]), Int(leftOffsets[id + 1]))
            if end - start == words.count,
                memcmp(leftWords.baseAddress! + start, words.baseAddress!, words.count * 2) == 0
            {
                return id
            }
            slot = (slot + 1) & mask
        }
        return nil
    }
}

// MARK: - Opening

extension MeteorData {
    /// The header's table of sections, checked: what passes can be read without leaving the bounds.
    private struct Sections {
        let bytes: UnsafeRawBufferPointer
        var places: [(offset: Int, count: Int)] = []

        init(_ bytes: UnsafeRawBufferPointer, path: String) throws(MeteorError) {
            self.bytes = bytes
            func fail(_ problem: String) -> MeteorError { .dataFormat(path: path, problem: problem) }
            guard bytes.prefix(8).elementsEqual(MeteorLayout.magic) else {
                throw fail("it does not start with GMLMETEO")
            }
            let version = bytes.load(fromByteOffset: 8, as: UInt32.self).littleEndian
            guard version == MeteorLayout.version else {
                throw fail("format version \(version), expected \(MeteorLayout.version)")
            }
            let count = bytes.load(fromByteOffset: 12, as: UInt32.self).littleEndian
            guard count == MeteorLayout.Section.allCases.count else {
                throw fail("\(count) sections, expected \(MeteorLayout.Section.allCases.count)")
            }
            for section in MeteorLayout.Section.allCases {
                let entry = 16 + MeteorLayout.sourceHashLength + section.rawValue * 16
                let offset = bytes.load(fromByteOffset: entry, as: UInt64.self).littleEndian
                let count = bytes.load(fromByteOffset: entry + 8, as: UInt64.self).littleEndian
                let end = count.multipliedReportingOverflow(by: UInt64(section.elementSize))
                let last = end.partialValue.addingReportingOverflow(offset)
                guard !end.overflow, !last.overflow, offset % 8 == 0, last.partialValue <= UInt64(bytes.count) else {
                    throw fail("section '\(section)' reaches beyond the end of the file (\(bytes.count) bytes)")
                }
                places.append((Int(offset), Int(count)))
            }
            if let problem = inconsistency() { throw fail(problem) }
        }

        func array<Element>(_ section: MeteorLayout.Section) -> UnsafeBufferPointer<Element> {
            let (offset, count) = places[section.rawValue]
            let start = (bytes.baseAddress! + offset).assumingMemoryBound(to: Element.self)
            return UnsafeBufferPointer(start: start, count: count)
        }

        private func count(_ section: MeteorLayout.Section) -> Int { places[section.rawValue].count }

        private func inconsistency() -> String? {
            let rowTables: [(MeteorLayout.Section, MeteorLayout.Section)] = [
                (.wordOffsets, .wordBytes), (.synsetOffsets, .synsets), (.baseOffsets, .bases),
                (.leftOffsets, .leftWords), (.blockOffsets, .blocks),
            ]
            for (offsets, rows) in rowTables {
                let table: UnsafeBufferPointer<UInt32> = array(offsets)
                guard table.first == 0, Int(table[table.count - 1]) == count(rows) else {
                    return "section '\(offsets)' does not span '\(rows)'"
                }
                for i in 1..<table.count where table[i] < table[i - 1] {
                    return "section '\(offsets)' is not ascending at \(i)"
                }
            }
            let words = count(.wordOffsets) - 1
            let lefts = count(.leftOffsets) - 1
            guard count(.wordFlags) == words, count(.synsetOffsets) == words + 1, count(.baseOffsets) == words + 1,
                count(.longestLeft) <= words, count(.blockOffsets) == lefts + 1
            else { return "sections of different lengths" }
            for (slots, limit) in [(MeteorLayout.Section.wordSlots, words), (.leftSlots, lefts)] {
                let table: UnsafeBufferPointer<UInt32> = array(slots)
                // A free slot ends every probe, so there must be at least one.
                guard table.count.nonzeroBitCount == 1, table.count > limit,
                    table.allSatisfy({ $0 <= UInt32(limit) }), table.contains(0)
                else { return "section '\(slots)' is not a hash table over \(limit) entries" }
            }
            let bases: UnsafeBufferPointer<UInt32> = array(.bases)
            guard bases.allSatisfy({ $0 < UInt32(words) }) else { return "section 'bases' names unknown words" }
            return nil
        }
    }
}

extension MeteorData {
    var byteCount: Int { file.bytes.count }

    /// Entries of the paraphrase table.
    var paraphraseCount: Int {
        var count = 0
        var place = 0
        while place < blocks.count {
            place += Int(blocks[place]) + 1
            count += 1
        }
        return count
    }
}
