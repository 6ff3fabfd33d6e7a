/// Our own small parser of captions: tagger, lemmatiser, arc-hybrid dependency parser and arc labeller.
///
/// Deterministic and safe to use from several threads at once. Trained by `spice-parser train`; docs/spice.md says on
/// what, and how well it does.
public struct CaptionParser: Sendable {
    package let tagger: CaptionTagger
    package let transitions: SparseLinearModel
    package let labeler: ArcLabeler
    package let lemmatizer: Lemmatizer
    /// Hash of the file the parser was read from, for protocol tags; empty for a parser just trained.
    public let hash: String

    package init(
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
    /// - Parameter tokens: words as the PTB tokenizer leaves them; upper case is lowered.
    public func parse(_ tokens: [String]) -> DependencyParse {
        parse(tokens, tags: nil)
    }

    /// The tree over given tags: for measuring the parser apart from the tagger.
    package func parse(_ tokens: [String], tags given: [UInt8]?) -> DependencyParse {
        let forms = tokens.map { $0.lowercased() }
        let shapes = forms.map { TokenShape($0) }
        let tags = given ?? tagger.tag(shapes)
        let heads = self.heads(shapes: shapes, tags: tags)
        let labels = labeler.label(shapes: shapes, tags: tags, heads: heads)
        let words = zip(forms, tags).map { form, tag in
            let tag = CaptionTagger.tags[Int(tag)]
            return DependencyParse.Word(form: form, tag: tag, lemma: lemmatizer.lemma(of: form, tag: tag))
        }
        let edges = heads.indices.map { i in
            DependencyParse.Edge(
                ArcLabeler.labels[Int(labels[i])], heads[i] == heads.count ? 0 : heads[i] + 1, i + 1)
        }
        return DependencyParse(words: words, edges: edges)
    }

    /// Governors counted from 0, the count for the root.
    package func heads(shapes: [TokenShape], tags: [UInt8]) -> [Int] {
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
