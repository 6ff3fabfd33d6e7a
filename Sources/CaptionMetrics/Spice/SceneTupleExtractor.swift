/// The second stage of SPICE: reads the tuples of a scene graph from a collapsed dependency parse.
///
/// The rules reproduce what the reference tool does on parses whose tuples are known; docs/spice.md lists them. In
/// short: the counted noun takes the role of its quantifying phrase (`a bunch of boats`), and a noun the role of its
/// pronouns. Then verbs with subjects give relations, adjectives and noun modifiers attributes, prepositions between
/// nouns relations, possessives `have`, and every noun outside a compound an object.
struct SceneTupleExtractor {
    private let words: [DependencyParse.Word]
    private var edges: [DependencyParse.Edge]
    /// Where the antecedent of a pronoun stands; the identity for all other words.
    private var referent: [Int]

    /// The tuples of one collapsed parse, in the order SPICE proposes them.
    static func tuples(of parse: DependencyParse) -> [SceneTuple] {
        var extractor = SceneTupleExtractor(parse)
        extractor.promoteQuantifiedNouns()
        extractor.resolvePronouns()
        return extractor.extract()
    }

    private init(_ parse: DependencyParse) {
        words = parse.words
        edges = parse.edges
        referent = Array(0...parse.words.count)
    }

    // MARK: Rewriting the graph

    /// Nouns that count or measure what follows their `of` if an article stands before them.
    private static let measures: Set<String> = [
        "bunch", "couple", "lot", "number", "pair", "series", "variety", "array", "assortment", "body",
    ]

    /// Words that always count what follows their `of`.
    private static let quantifiers: Set<String> = ["lots", "both", "plenty", "tons", "dozens"]

    /// `a couple of cows`, `lots of cows`, `both of the cows`: the cows take the place of the quantifier, which becomes
    /// their `det:qmod`.
    private mutating func promoteQuantifiedNouns() {
        for link in edges where link.relation == "nmod:of" && link.governor > 0 {
            let quantifier = link.governor
            let first: Int
            if Self.quantifiers.contains(form(quantifier)) {
                first = quantifier
            } else if quantifier > 1, Self.measures.contains(form(quantifier)),
                ["a", "an"].contains(form(quantifier - 1)), edges.contains(where: { $0.dependent == quantifier })
            {
                first = quantifier - 1
            } else {
                continue
            }
            edges.removeAll { $0 == link }
            for i in edges.indices where edges[i].dependent == quantifier { edges[i].dependent = link.dependent }
            edges.append(DependencyParse.Edge("det:qmod", link.dependent, first))
        }
    }

    private static let singularPronouns: Set<String> = [
        "he", "she", "it", "him", "her", "his", "its", "himself", "herself", "itself",
    ]
    private static let pluralPronouns: Set<String> = ["they", "them", "their", "themselves"]

    /// Each pronoun stands for the first noun, among the words before it, that a breadth-first walk from the root
    /// meets. A singular pronoun skips plural nouns, a plural one takes any (`a family with their dog`).
    private mutating func resolvePronouns() {
        for position in words.indices.map({ $0 + 1 }) {
            let tags: Set<String>
            if Self.singularPronouns.contains(form(position)) {
                tags = ["NN", "NNP"]
            } else if Self.pluralPronouns.contains(form(position)) {
                tags = ["NN", "NNP", "NNS", "NNPS"]
            } else {
                continue
            }
            if let noun = breadthFirst().first(where: { $0 < position && tags.contains(words[$0 - 1].tag) }) {
                referent[position] = noun
            }
        }
    }

    private func breadthFirst() -> [Int] {
        var queue = edges.filter { $0.governor == 0 }.map(\.dependent)
        var seen = Set(queue)
        var next = 0
        while next < queue.count {
            for edge in edges where edge.governor == queue[next] && seen.insert(edge.dependent).inserted {
                queue.append(edge.dependent)
            }
            next += 1
        }
        return queue
    }

    // MARK: Words

    private func form(_ position: Int) -> String { words[position - 1].form.lowercased() }

    private func lemma(_ position: Int) -> String { words[referent[position] - 1].lemma.lowercased() }

    /// A noun, or a pronoun that stands for one.
    private func isNoun(_ position: Int) -> Bool { words[referent[position] - 1].isNoun }

    /// The lemma of a verb with its particles and the preposition of one of its arguments.
    private func predicate(_ position: Int, preposition: Substring) -> String {
        var text = lemma(position)
        for edge in edges where edge.governor == position && edge.relation == "compound:prt" {
            text += " " + lemma(edge.dependent)
        }
        if !preposition.isEmpty { text += " " + preposition.replacing("_", with: " ") }
        return text
    }

    /// The prepositions that stand before a word, in order: `on`, or `next to` when a fixed phrase follows it.
    private func markers(of position: Int) -> String? {
        guard let marker = edges.first(where: { $0.governor == position && $0.relation == "case" })?.dependent else {
            return nil
        }
        let rest = edges.filter { $0.governor == marker && $0.relation == "mwe" }.map(\.dependent).sorted()
        return ([marker] + rest).map(lemma).joined(separator: " ")
    }

    // MARK: Reading tuples

    private struct Argument {
        let position: Int
        /// Empty for an object; words joined by `_` otherwise.
        let preposition: Substring
    }

    /// Relations whose second half is no preposition.
    private static let bare: Set<Substring> = ["poss", "npmod", "tmod", "agent"]

    /// Objects and prepositional arguments of a verb that are nouns.
    private func arguments(of predicate: Int, agents: Bool = false) -> [Argument] {
        edges.compactMap { edge in
            guard edge.governor == predicate, isNoun(edge.dependent) else { return nil }
            if edge.relation == "dobj" || edge.relation == "iobj" || (agents && edge.relation == "nmod:agent") {
                return Argument(position: edge.dependent, preposition: "")
            }
            guard edge.relation.hasPrefix("nmod:"), case let preposition = edge.relation.dropFirst(5),
                !Self.bare.contains(preposition)
            else { return nil }
            return Argument(position: edge.dependent, preposition: preposition)
        }
    }

    private func extract() -> [SceneTuple] {
        verbTuples() + modifierTuples() + nounTuples()
    }

    private func relation(_ subject: Int, _ verb: Int, _ argument: Argument) -> SceneTuple {
        .relation(
            subject: lemma(subject), relation: predicate(verb, preposition: argument.preposition),
            object: lemma(argument.position))
    }

    /// Tuples of subjects and participles: `man ride horse`, `cat lie on bed`, `man walk`, `mug next to bowl`.
    private func verbTuples() -> [SceneTuple] {
        var tuples: [SceneTuple] = []
        let subjects = edges.filter { $0.relation == "nsubj" && $0.governor > 0 }
        for edge in subjects where isNoun(edge.dependent) && !isPredicateWithCopula(edge.governor) {
            for argument in arguments(of: edge.governor) {
                tuples.append(relation(edge.dependent, edge.governor, argument))
            }
        }
        for edge in edges where edge.relation == "acl" && edge.governor > 0 && isNoun(edge.governor) {
            for argument in arguments(of: edge.dependent, agents: true) {
                tuples.append(relation(edge.governor, edge.dependent, argument))
            }
        }
        for edge in subjects where isNoun(edge.dependent) {
            if !isPredicateWithCopula(edge.governor) {
                if words[edge.governor - 1].lemma != "be", arguments(of: edge.governor).isEmpty {
                    tuples.append(.attribute(object: lemma(edge.dependent), attribute: lemma(edge.governor)))
                }
            } else if !words[edge.governor - 1].isAdjective, let markers = markers(of: edge.governor) {
                tuples.append(
                    .relation(subject: lemma(edge.dependent), relation: markers, object: lemma(edge.governor)))
            } else {
                tuples.append(.attribute(object: lemma(edge.dependent), attribute: lemma(edge.governor)))
            }
        }
        return tuples
    }

    private func isPredicateWithCopula(_ position: Int) -> Bool {
        words[position - 1].isAdjective || edges.contains { $0.governor == position && $0.relation == "cop" }
    }

    /// Tuples of adjectives and prepositions: `sky blue`, `man tall`, `man in hat`, `man have hat`.
    private func modifierTuples() -> [SceneTuple] {
        var tuples: [SceneTuple] = []
        for edge in edges where edge.relation == "amod" {
            tuples.append(.attribute(object: lemma(edge.governor), attribute: lemma(edge.dependent)))
        }
        for edge in edges where edge.relation == "nsubj" && edge.governor > 0 && words[edge.governor - 1].isAdjective {
            tuples.append(.attribute(object: lemma(edge.dependent), attribute: lemma(edge.governor)))
        }
        for edge in edges where edge.relation.hasPrefix("nmod:") && edge.governor > 0 && isNoun(edge.governor) {
            let preposition = edge.relation.dropFirst(5)
            if Self.bare.contains(preposition) { continue }
            tuples.append(
                .relation(
                    subject: lemma(edge.governor), relation: String(preposition.replacing("_", with: " ")),
                    object: lemma(edge.dependent)))
        }
        for edge in edges where edge.relation == "nmod:poss" && isNoun(edge.dependent) {
            tuples.append(.relation(subject: lemma(edge.dependent), relation: "have", object: lemma(edge.governor)))
        }
        for edge in edges where edge.relation == "nmod:agent" && isNoun(edge.dependent) {
            for subject in edges where subject.governor == edge.governor && subject.relation == "nsubjpass" {
                tuples.append(
                    .relation(
                        subject: lemma(edge.dependent), relation: predicate(edge.governor, preposition: ""),
                        object: lemma(subject.dependent)))
            }
        }
        return tuples
    }

    /// Tuples of numbers and compounds: `man two`, `court tennis`, and every noun outside a compound.
    private func nounTuples() -> [SceneTuple] {
        var tuples: [SceneTuple] = []
        for edge in edges where edge.relation == "nummod" || edge.relation == "det:qmod" {
            guard ["NNS", "NNPS"].contains(words[edge.governor - 1].tag), edge.dependent < edge.governor else {
                continue
            }
            tuples.append(.attribute(object: lemma(edge.governor), attribute: lemma(edge.dependent)))
        }
        var inCompound = Set<Int>()
        for edge in edges where edge.relation == "compound" && words[edge.dependent - 1].isNoun {
            inCompound.insert(edge.governor)
            inCompound.insert(edge.dependent)
            tuples.append(.attribute(object: lemma(edge.governor), attribute: lemma(edge.dependent)))
        }
        for (i, word) in words.enumerated() where word.isNoun && !inCompound.contains(i + 1) {
            tuples.append(.object(lemma(i + 1)))
        }
        return tuples
    }
}
