extension DependencyParse {
    /// The tuples of this collapsed parse, in the order SPICE proposes them.
    public func sceneTuples() -> [SceneTuple] {
        SceneTupleExtractor.tuples(of: self)
    }

    /// The collapsed graph of this basic tree, in which shared governors and subjects of conjuncts are copied
    /// (Universal Dependencies v1 as CoreNLP 3.6 enhances them).
    ///
    /// Fixed phrases of two or three words (`next to`, `in front of`) become one preposition, whose first word heads
    /// the others by `mwe`. A preposition names the relation that it introduces (`nmod:next_to`), `nmod:agent` after a
    /// passive; conjunctions name `conj` in the same way.
    public func collapsed() -> DependencyParse {
        var graph = CollapsingGraph(self)
        graph.joinThreeWordPrepositions()
        graph.joinTwoWordPrepositions()
        graph.nameModifiers()
        graph.nameAndPropagateConjuncts()
        return DependencyParse(words: words, edges: graph.edges)
    }
}

/// The tree while it is being collapsed.
private struct CollapsingGraph {
    let words: [DependencyParse.Word]
    var edges: [DependencyParse.Edge]

    init(_ parse: DependencyParse) {
        words = parse.words
        edges = parse.edges
    }

    private func form(_ position: Int) -> String { words[position - 1].form.lowercased() }

    private func caseMarkers(of position: Int) -> [Int] {
        edges.filter { $0.governor == position && $0.relation == "case" }.map(\.dependent).sorted()
    }

    /// Prepositions of the shape preposition, noun, preposition.
    private static let threeWords: Set<String> = [
        "in front of", "on top of", "in addition to", "in place of", "in lieu of", "in spite of", "in case of",
        "by means of", "on behalf of", "on account of", "with respect to", "in accordance with", "by way of",
        "in view of", "in terms of", "in favor of", "in charge of", "in need of", "in search of", "in light of",
    ]

    /// Prepositions of two words whose first is otherwise an adverb, an adjective or a preposition.
    private static let twoWords: Set<String> = [
        "next to", "close to", "according to", "due to", "prior to", "because of", "instead of", "along with",
        "together with", "out of", "outside of", "inside of", "ahead of", "across from", "apart from", "aside from",
        "away from", "based on", "as of", "as to", "as for", "as per", "except for", "far from", "followed by",
        "irrespective of", "near to", "off of", "preparatory to", "regardless of", "such as", "thanks to",
        "contrary to", "depending on", "exclusive of", "as well as",
    ]

    mutating func joinThreeWordPrepositions() {
        for inner in edges where inner.relation == "nmod" {
            let (noun, object) = (inner.governor, inner.dependent)
            guard let outer = edges.first(where: { $0.dependent == noun && $0.relation == "nmod" }),
                let first = caseMarkers(of: noun).first, let last = caseMarkers(of: object).first,
                first == noun - 1, last == noun + 1,
                Self.threeWords.contains("\(form(first)) \(form(noun)) \(form(last))")
            else { continue }
            join([first, noun, last], heading: object, attachedTo: outer.governor)
        }
    }

    mutating func joinTwoWordPrepositions() {
        for inner in edges where inner.relation == "nmod" {
            let (adverb, object) = (inner.governor, inner.dependent)
            guard adverb > 0, let last = caseMarkers(of: object).first, last == adverb + 1,
                Self.twoWords.contains("\(form(adverb)) \(form(last))"),
                let outer = edges.first(where: { $0.dependent == adverb })
            else { continue }
            if ["advmod", "nmod", "dep"].contains(outer.relation) {
                join([adverb, last], heading: object, attachedTo: outer.governor)
            } else if outer.relation == "root" || outer.relation == "xcomp" {
                // The phrase is the predicate: its object takes its place and its dependents.
                join([adverb, last], heading: object, attachedTo: outer.governor, relation: outer.relation)
            }
        }
        // Two prepositions in a row that both belong to the same noun.
        for link in edges where link.relation == "case" {
            let (object, first) = (link.governor, link.dependent)
            guard edges.contains(DependencyParse.Edge("case", object, first + 1)),
                Self.twoWords.contains("\(form(first)) \(form(first + 1))")
            else { continue }
            edges.removeAll { $0.dependent == first + 1 }
            edges.append(DependencyParse.Edge("mwe", first, first + 1))
        }
    }

    /// Makes `phrase` one preposition of `object`, which is attached where the phrase was.
    private mutating func join(
        _ phrase: [Int], heading object: Int, attachedTo governor: Int, relation: String = "nmod"
    ) {
        edges.removeAll { phrase.contains($0.dependent) || $0.dependent == object }
        for i in edges.indices where phrase.contains(edges[i].governor) { edges[i].governor = object }
        edges.append(DependencyParse.Edge(relation, governor, object))
        edges.append(DependencyParse.Edge("case", object, phrase[0]))
        for word in phrase.dropFirst() { edges.append(DependencyParse.Edge("mwe", phrase[0], word)) }
    }

    mutating func nameModifiers() {
        for i in edges.indices where ["nmod", "advcl", "acl"].contains(edges[i].relation) {
            guard let marker = caseMarkers(of: edges[i].dependent).last else { continue }
            let rest = edges.filter { $0.governor == marker && $0.relation == "mwe" }.map(\.dependent).sorted()
            let name = ([marker] + rest).map(form).joined(separator: "_")
            let passive = edges.contains { $0.governor == edges[i].governor && $0.relation == "auxpass" }
            edges[i].relation += passive && name == "by" && edges[i].relation == "nmod" ? ":agent" : ":" + name
        }
    }

    mutating func nameAndPropagateConjuncts() {
        for i in edges.indices where edges[i].relation == "conj" {
            let (head, conjunct) = (edges[i].governor, edges[i].dependent)
            let coordinators = edges.filter { $0.relation == "cc" && $0.governor == head }.map(\.dependent)
            let nearest = coordinators.filter { $0 < conjunct }.max() ?? coordinators.min()
            edges[i].relation = "conj:" + (nearest.map(form) ?? "and")
        }
        for link in edges where link.relation.hasPrefix("conj:") {
            let (head, conjunct) = (link.governor, link.dependent)
            for edge in edges where edge.dependent == head && edge.governor > 0 && edge.governor != conjunct {
                if edge.relation.hasPrefix("conj") { continue }
                append(DependencyParse.Edge(edge.relation, edge.governor, conjunct))
            }
            let word = words[conjunct - 1]
            let head1 = words[head - 1]
            guard word.isVerb || word.isAdjective, head1.isVerb || head1.isAdjective else { continue }
            if edges.contains(where: { $0.governor == conjunct && $0.relation.hasPrefix("nsubj") }) { continue }
            for edge in edges where edge.governor == head && edge.relation.hasPrefix("nsubj") {
                let passive = edges.contains { $0.governor == conjunct && $0.relation == "auxpass" }
                append(
                    DependencyParse.Edge(
                        passive || (edge.relation == "nsubjpass" && word.tag == "VBN") ? "nsubjpass" : "nsubj",
                        conjunct, edge.dependent))
            }
        }
    }

    private mutating func append(_ edge: DependencyParse.Edge) {
        if !edges.contains(edge) { edges.append(edge) }
    }
}
