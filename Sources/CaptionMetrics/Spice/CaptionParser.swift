/// Our own small parser of captions: tagger, lemmatiser, arc-hybrid dependency parser and arc labeller.
///
/// It is deterministic and may be used from several threads at once. `spice-parser train` trains it; docs/spice.md
/// describes the training data and the accuracy.
public struct CaptionParser: Sendable {
    @_spi(Training) public let tagger: CaptionTagger
    @_spi(Training) public let transitions: SparseLinearModel
    @_spi(Training) public let labeler: ArcLabeler
    @_spi(Training) public let lemmatizer: Lemmatizer
    /// Hash of the file from which the parser was read, for protocol tags; empty for a parser that was just trained.
    public let hash: String

    @_spi(Training) public init(
        tagger: CaptionTagger, transitions: SparseLinearModel, labeler: ArcLabeler, lemmatizer: Lemmatizer,
        hash: String = ""
    ) {
        self.hash = hash
        self.tagger = tagger
        self.transitions = transitions
        self.labeler = labeler
        self.lemmatizer = lemmatizer
    }

    /// The basic dependency tree of a tokenised caption.
    ///
    /// Punctuation is left out of the parse: it is attached to the root word by `punct`.
    ///
    /// - Parameter tokens: words from the PTB tokenizer; upper case is lowered.
    public func parse(_ tokens: [String]) -> DependencyParse {
        let forms = tokens.map { $0.lowercased() }
        let kept = forms.indices.filter { Self.punctuation[forms[$0]] == nil }
        let shapes = kept.map { TokenShape(forms[$0]) }
        let tags = tagger.tag(shapes)
        let heads = self.heads(shapes: shapes, tags: tags)
        let labels = labeler.label(shapes: shapes, tags: tags, heads: heads)
        var words = forms.map { form in
            DependencyParse.Word(form: form, tag: Self.punctuation[form] ?? "", lemma: form)
        }
        let root = heads.firstIndex(of: heads.count).map { kept[$0] + 1 } ?? 0
        var edges = forms.indices.map { DependencyParse.Edge("punct", root, $0 + 1) }
        for (i, place) in kept.enumerated() {
            let tag = CaptionTagger.tags[Int(tags[i])]
            words[place].tag = tag
            words[place].lemma = lemmatizer.lemma(of: forms[place], tag: tag)
            edges[place].relation = ArcLabeler.labels[Int(labels[i])]
            edges[place].governor = heads[i] == heads.count ? 0 : kept[heads[i]] + 1
        }
        // Only punctuation: the first mark is the root of the others.
        if kept.isEmpty, !edges.isEmpty {
            for i in edges.indices { edges[i].governor = i == 0 ? 0 : 1 }
            edges[0].relation = "root"
        }
        return DependencyParse(words: words, edges: edges)
    }

    private static let punctuation = [
        ".": ".", "!": ".", "?": ".", ",": ",", ";": ":", ":": ":", "--": ":", "-": ":", "...": ":", "``": "``",
        "''": "''", "`": "``", "'": "''", "\"": "''",
    ]

    /// Governors counted from 0; the word count stands for the root.
    @_spi(Training) public func heads(shapes: [TokenShape], tags: [UInt8]) -> [Int] {
        var state = TransitionState(count: shapes.count)
        var features = FeatureBuffer()
        var scores = [Int32](repeating: 0, count: 3)
        while !state.isFinal {
            state.features(shapes: shapes, tags: tags, into: &features)
            for c in scores.indices { scores[c] = 0 }
            transitions.addScores(of: features, to: &scores)
            var best = TransitionState.Transition.shift
            var bestScore = Int32.min
            for transition in TransitionState.Transition.allCases
            where state.allows(transition) && scores[transition.rawValue] > bestScore {
                best = transition
                bestScore = scores[transition.rawValue]
            }
            state.apply(best)
        }
        return state.heads
    }
}
