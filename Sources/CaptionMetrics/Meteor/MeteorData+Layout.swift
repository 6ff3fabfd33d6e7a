/// The compiled data file: one header, then sections of plain little-endian arrays, each at a multiple of 8 bytes.
///
/// Words are interned once. Those of the paraphrase table come first, so that phrases are arrays of 16-bit ids; then
/// keys and base forms of WordNet, function words and prefixes. "Row table" below means: row i is `offsets[i] ..<
/// offsets[i + 1]`.
enum MeteorLayout {
    /// The first eight bytes of every data file.
    static let magic: [UInt8] = Array("GMLMETEO".utf8)
    /// Raised whenever the meaning of a section changes; older files are then compiled again.
    static let version: UInt32 = 1
    static let sourceHashLength = 32
    /// Magic, version, number of sections, hash of the sources, then offset and count (in elements) of each section.
    static let headerLength = 16 + sourceHashLength + Section.allCases.count * 16

    enum Section: Int, CaseIterable {
        /// Row table of UInt32: word id to its UTF-8 bytes.
        case wordOffsets
        case wordBytes
        /// Open-addressing hash table of UInt32, a power of two long: word id + 1, or 0 for a free slot.
        case wordSlots
        /// UInt8 of `WordFlag` per word.
        case wordFlags
        /// Row table: word id to its synsets, Int32, ascending.
        case synsetOffsets
        case synsets
        /// Row table: inflected form to the word ids of its irregular base forms, UInt32.
        case baseOffsets
        case bases
        /// Row table: left side of the paraphrase table to its word ids, UInt16.
        case leftOffsets
        case leftWords
        /// Hash table over left sides, as `wordSlots`.
        case leftSlots
        /// Row table: left side to its block of right sides. A block is a series of: word count, word ids (UInt16), in
        /// the order of the source.
        case blockOffsets
        case blocks
        /// UInt8 per word of the paraphrase table: words in the longest left side that starts with it.
        case longestLeft

        var elementSize: Int {
            switch self {
            case .wordBytes, .wordFlags, .longestLeft: 1
            case .leftWords, .blocks: 2
            default: 4
            }
        }
    }

    enum WordFlag {
        static let functionWord: UInt8 = 1
        static let prefix: UInt8 = 2
        static let numericPrefix: UInt8 = 4
        /// A key of the synset table, even one without synsets; such a word ends the search for a base form.
        static let synsetKey: UInt8 = 8
        /// A form of the exceptions table.
        static let irregular: UInt8 = 16
    }

    /// FNV-1a over bytes, folded to 32 bits.
    static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt32 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return UInt32(truncatingIfNeeded: hash ^ (hash >> 32))
    }

    /// The same hash over word ids.
    static func hash(_ words: UnsafeBufferPointer<UInt16>) -> UInt32 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for word in words { hash = (hash ^ UInt64(word)) &* 0x0000_0100_0000_01b3 }
        return UInt32(truncatingIfNeeded: hash ^ (hash >> 32))
    }
}
