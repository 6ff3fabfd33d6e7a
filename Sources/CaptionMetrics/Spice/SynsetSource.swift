/// Tells SPICE which words may mean the same: WordNet, as METEOR 1.5 carries it.
///
/// SPICE calls two concepts similar when they share a word or a synset. The synsets of a phrase are those of the phrase
/// itself and those of its base form (exceptions first, then the suffix rules), exactly METEOR's synonym look-up.
public protocol SynsetSource: Sendable {
    /// The synset identifiers of a lower-case phrase whose words are joined by `_`; empty when the phrase is unknown.
    ///
    /// The order of the identifiers and repeated identifiers do not matter.
    func synsets(of phrase: String) -> [Int32]
}

/// METEOR's own look-up, over its data file.
extension WordNetLookup: SynsetSource {}

/// Synsets in a dictionary, for tests and for callers that have a table of their own.
public struct SynsetTable: SynsetSource {
    private let table: [String: [Int32]]

    /// A source that answers from `table` (phrase to synset identifiers) and with nothing for every other phrase.
    public init(_ table: [String: [Int32]]) {
        self.table = table
    }

    public func synsets(of phrase: String) -> [Int32] {
        table[phrase] ?? []
    }
}
