/// A parsed sentence: words with Penn tags and lemmas, and relations between them in Universal Dependencies v1.
///
/// Words are counted from 1; governor 0 is the root. A *basic* parse is a tree (one governor each); a *collapsed* one,
/// from ``collapsed()``, carries prepositions in the relation names (`nmod:on_top_of`) and copies shared governors and
/// dependents of conjuncts, so it is a graph.
public struct DependencyParse: Hashable, Sendable {
    /// A word with its tag (Penn Treebank) and its lemma.
    public struct Word: Hashable, Sendable {
        public var form: String
        public var tag: String
        public var lemma: String

        public init(form: String, tag: String, lemma: String) {
            self.form = form
            self.tag = tag
            self.lemma = lemma
        }

        var isNoun: Bool { tag.hasPrefix("NN") }
        var isVerb: Bool { tag.hasPrefix("VB") }
        var isAdjective: Bool { tag.hasPrefix("JJ") }
    }

    /// `relation(governor, dependent)`.
    public struct Edge: Hashable, Sendable {
        public var relation: String
        public var governor: Int
        public var dependent: Int

        public init(_ relation: String, _ governor: Int, _ dependent: Int) {
            self.relation = relation
            self.governor = governor
            self.dependent = dependent
        }
    }

    public var words: [Word]
    public var edges: [Edge]

    public init(words: [Word], edges: [Edge]) {
        self.words = words
        self.edges = edges
    }

    /// The word at a position counted from 1.
    func word(_ position: Int) -> Word { words[position - 1] }
}
