/// A normalised sentence: the number of each word in a `MeteorVocabulary`.
struct MeteorSentence: Equatable {
    var words: [Int32]
    var count: Int { words.count }
}

/// What the matchers must know about each word, found once per word.
///
/// It belongs to one thread; a batch has one per worker.
final class MeteorVocabulary {
    struct Entry {
        /// METEOR's word key: Java's `String.hashCode`. Words with one key count as the same word.
        var key: Int32
        /// The key of the stem.
        var stem: Int32
        /// Id in the paraphrase table, or -1.
        var paraphraseWord: Int32
        var isFunctionWord: Bool
        /// One bit per synset number modulo 64: two words without a common bit have no common synset.
        var synsetMask: UInt64
        /// Place in `synsets`.
        var synsetStart: Int32
        var synsetEnd: Int32
    }

    let data: MeteorData?
    private(set) var entries: [Entry] = []
    private(set) var synsets: [Int32] = []

    private let modules: [MeteorModule]
    private let normalizer: MeteorNormalizer
    private let lookup: WordNetLookup?
    private var interner = ByteInterner()
    private var stemmer = SnowballEnglish()

    init(data: MeteorData?, modules: [MeteorModule]) {
        self.data = data
        self.modules = modules
        lookup = data.map(WordNetLookup.init(data:))
        normalizer = MeteorNormalizer { data?.prefix($0) ?? .none }
    }

    func sentence(_ text: String) -> MeteorSentence {
        MeteorSentence(words: normalizer.tokens(text).map(number))
    }

    private func number(_ word: [UInt8]) -> Int32 {
        let (id, isNew) = word.withUnsafeBufferPointer { interner.intern($0) }
        if isNew { entries.append(describe(word)) }
        return Int32(id)
    }

    private func describe(_ word: [UInt8]) -> Entry {
        let units = Array(String(decoding: word, as: UTF8.self).utf16)
        let key = Self.javaHash(units)
        var entry = Entry(
            key: key, stem: key, paraphraseWord: -1, isFunctionWord: false, synsetMask: 0,
            synsetStart: Int32(synsets.count), synsetEnd: Int32(synsets.count))
        if modules.contains(.stem) { entry.stem = Self.javaHash(stemmer.stem(units)) }
        guard let data else { return entry }
        if let id = data.wordID(word) {
            entry.isFunctionWord = data.isFunctionWord(id)
            if id < data.paraphraseWordCount { entry.paraphraseWord = Int32(id) }
        }
        if modules.contains(.synonym), let lookup {
            let (own, base) = lookup.synsetsApart(of: word)
            let all = Set(own).union(base).sorted()
            for synset in all { entry.synsetMask |= 1 << UInt64(UInt32(bitPattern: synset) & 63) }
            synsets += all
            entry.synsetEnd = Int32(synsets.count)
        }
        return entry
    }

    /// Java's `String.hashCode`: h = 31 h + unit over UTF-16, modulo 2^32.
    static func javaHash(_ units: [UInt16]) -> Int32 {
        var hash: Int32 = 0
        for unit in units { hash = hash &* 31 &+ Int32(unit) }
        return hash
    }
}
