/// The WordNet 3.0 look-up that METEOR and SPICE share: the synsets of a word and those of its base form.
///
/// A base form comes from the list of irregular forms if the word is on it (`geese`, `ran`), otherwise from WordNet's
/// suffix rules, tried in order until one gives a word that WordNet has. Parts of speech are not distinguished.
public struct WordNetLookup: Sendable {
    private let data: MeteorData

    public init(data: MeteorData) { self.data = data }

    /// Opens the compiled file at `path`, or at the default place.
    /// - Throws: as `MeteorData.open`.
    public init(path: String? = nil) throws(MeteorError) { data = try MeteorData.open(path: path) }

    /// Synset numbers of a word or phrase, ascending, without repetition; empty if WordNet has none.
    /// - Parameter word: in lower case; blanks are read as `_`, with which WordNet joins phrases.
    public func synsets(of word: String) -> [Int32] {
        let (own, base) = synsetsApart(of: word.utf8.map { $0 == 0x20 ? 0x5F : $0 })
        return Set(own).union(base).sorted()
    }

    /// The word's own synsets, and those of its base form.
    func synsetsApart(of word: [UInt8]) -> (own: [Int32], base: [Int32]) {
        let id = data.wordID(word)
        let own = id.map(row) ?? []
        if let id, data.wordFlags[id] & MeteorLayout.WordFlag.irregular != 0 {
            var all: Set<Int32> = []
            for i in Int(data.baseOffsets[id])..<Int(data.baseOffsets[id + 1]) {
                all.formUnion(row(Int(data.bases[i])))
            }
            return (own, all.sorted())
        }
        // A word too short for a suffix is its own base form.
        if word.count <= 2 || word.suffix(2).elementsEqual([0x73, 0x73]) { return (own, own) }
        for rule in Self.suffixRules where word.count >= rule.suffix.count && word.hasSuffix(rule.suffix) {
            let stem = word.dropLast(rule.suffix.count) + rule.ending
            if let id = data.wordID(Array(stem)), data.wordFlags[id] & MeteorLayout.WordFlag.synsetKey != 0 {
                return (own, row(id))
            }
        }
        return (own, [])
    }

    private func row(_ id: Int) -> [Int32] {
        Array(data.synsetIDs[Int(data.synsetOffsets[id])..<Int(data.synsetOffsets[id + 1])])
    }

    /// WordNet's rules of detachment (morphy): nouns, then verbs, then adjectives.
    private static let suffixRules: [(suffix: [UInt8], ending: [UInt8])] = [
        ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"),
        ("ies", "y"), ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"),
        ("ing", ""), ("er", ""), ("est", ""), ("er", "e"), ("est", "e"),
    ].map { (Array($0.0.utf8), Array($0.1.utf8)) }
}

extension [UInt8] {
    fileprivate func hasSuffix(_ suffix: [UInt8]) -> Bool {
        count >= suffix.count && self[(count - suffix.count)...].elementsEqual(suffix)
    }
}
