import Randomness

/// Made-up captions with their trees, to teach the parser what a treebank of letters and blogs hardly holds: noun
/// phrases with trailing participles, piles of prepositional phrases, fixed phrases such as `in front of`.
///
/// The trees follow the habits of the parser behind the reference tool, as the development parses show them: after a
/// bare first noun phrase a participle is an unattached fragment (`dep`), `standing` after a singular noun is itself a
/// noun, a prepositional phrase after an object goes to the verb, one after a prepositional phrase mostly to its noun.
struct CaptionGrammar {
    private var random: SplitMix64
    private var sentence = TrainingSentence(forms: [], tags: [], lemmas: [], heads: [], labels: [])

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    mutating func sentences(_ count: Int) -> [TrainingSentence] {
        (0..<count).map { _ in caption() }
    }

    // MARK: Chance

    private mutating func chance(_ probability: Double) -> Bool {
        Double.random(in: 0..<1, using: &random) < probability
    }

    /// Earlier words of a list come up more often.
    private mutating func pick(_ words: [Substring]) -> String {
        let u = Double.random(in: 0..<1, using: &random)
        return String(words[min(words.count - 1, Int(Double(words.count) * u * u))])
    }

    // MARK: Building

    private mutating func word(_ form: String, _ tag: String) -> Int {
        sentence.forms.append(form)
        sentence.tags.append(tag)
        sentence.lemmas.append(form)
        sentence.heads.append(-1)
        sentence.labels.append("dep")
        return sentence.count - 1
    }

    private mutating func attach(_ dependent: Int, to head: Int, _ label: String) {
        sentence.heads[dependent] = head
        sentence.labels[dependent] = label
    }

    // MARK: Phrases

    private struct NounPhrase {
        let head: Int
        let isPlural: Bool
        /// No preposition inside: what the fragment habit asks.
        var isSimple = true
    }

    private mutating func nounPhrase(first: Bool = false, person: Bool = false) -> NounPhrase {
        var waiting: [(Int, String)] = []
        var plural = chance(0.28)
        let opening = Double.random(in: 0..<1, using: &random)
        if opening < 0.58 {
            if !plural { waiting.append((word("a", "DT"), "det")) }
        } else if opening < 0.72 {
            waiting.append((word("the", "DT"), "det"))
        } else if opening < 0.82, plural {
            waiting.append((word(pick(Words.numbers), "CD"), "nummod"))
        } else if opening < 0.90, plural {
            let many = pick(Words.quantities)
            waiting.append((word(many, many == "some" ? "DT" : "JJ"), many == "some" ? "det" : "amod"))
        } else if opening < 0.94, !first {
            waiting.append((word(pick(["his", "her", "their", "its"]), "PRP$"), "nmod:poss"))
        } else if !first, !plural {
            waiting.append((word("a", "DT"), "det"))
        }
        if chance(0.05) {
            let one = word(pick(["black", "brown", "white", "red", "blue", "green", "yellow"]), "JJ")
            let and = word("and", "CC")
            let other = word(pick(["white", "black", "brown", "yellow", "gray", "red"]), "JJ")
            attach(and, to: one, "cc")
            attach(other, to: one, "conj")
            waiting.append((one, "amod"))
        } else if chance(0.42) {
            if chance(0.06) {
                let very = word(pick(["very", "brightly", "large"]), "RB")
                let adjective = word(pick(Words.adjectives), "JJ")
                attach(very, to: adjective, "advmod")
                waiting.append((adjective, "amod"))
            } else {
                waiting.append((word(pick(Words.adjectives), "JJ"), "amod"))
                if chance(0.25) { waiting.append((word(pick(Words.adjectives), "JJ"), "amod")) }
            }
        }
        let head: Int
        if !person, chance(0.32) {
            let pair = pick(Words.compounds).split(separator: "_")
            waiting += modifiers(pair.dropLast())
            head = word(
                plural ? Words.plural(pair[pair.count - 1]) : String(pair[pair.count - 1]), plural ? "NNS" : "NN")
        } else if !person, chance(0.12) {
            waiting.append((word(pick(Words.things), "NN"), "compound"))
            head = word(
                plural ? Words.plural(Substring(pick(Words.things))) : pick(Words.things), plural ? "NNS" : "NN")
        } else {
            let list = person || (first && chance(0.5)) ? Words.beings : Words.things
            let noun = pick(list)
            if noun == "people" || noun == "sheep" {
                head = word(noun, noun == "sheep" ? "NN" : "NNS")
                plural = noun == "people"
                waiting.removeAll { sentence.forms[$0.0] == "\u{1}" }
            } else {
                head = word(plural ? Words.plural(Substring(noun)) : noun, plural ? "NNS" : "NN")
            }
        }
        for (dependent, label) in waiting { attach(dependent, to: head, label) }
        if !first, chance(0.1) { coordinate(head) }
        return NounPhrase(head: head, isPlural: plural)
    }

    /// The words before a compound's last; some are adjectives and participles to the reference's parser.
    private mutating func modifiers(_ parts: ArraySlice<Substring>) -> [(Int, String)] {
        parts.map { part in
            if Words.adjectivesInCompounds.contains(String(part)) { return (word(String(part), "JJ"), "amod") }
            if Words.participlesInCompounds.contains(String(part)) { return (word(String(part), "VBG"), "amod") }
            return (word(String(part), "NN"), "compound")
        }
    }

    private mutating func coordinate(_ head: Int) {
        let and = word(chance(0.95) ? "and" : "or", "CC")
        let other = simpleNounPhrase()
        attach(and, to: head, "cc")
        attach(other, to: head, "conj")
    }

    private mutating func simpleNounPhrase() -> Int {
        let determiner = chance(0.7) ? word(chance(0.8) ? "a" : "the", "DT") : nil
        let adjective = chance(0.3) ? word(pick(Words.adjectives), "JJ") : nil
        let compound: [Substring] = chance(0.25) ? pick(Words.compounds).split(separator: "_") : []
        let parts = modifiers(compound.dropLast())
        let head =
            determiner == nil
            ? word(Words.plural(compound.last ?? Substring(pick(Words.things))), "NNS")
            : word(compound.last.map(String.init) ?? pick(Words.things), "NN")
        if let determiner { attach(determiner, to: head, "det") }
        if let adjective { attach(adjective, to: head, "amod") }
        for (part, label) in parts { attach(part, to: head, label) }
        return head
    }

    /// A prepositional phrase below `head`; the noun a next phrase may attach to.
    private mutating func prepositional(_ head: Int, of verb: Bool) -> Int {
        let kind = Double.random(in: 0..<1, using: &random)
        if kind < 0.12 {
            let parts = chance(0.55) ? ("in", "front") : ("on", "top")
            let marker = word(parts.0, "IN")
            let noun = word(parts.1, "NN")
            let of = word("of", "IN")
            let object = nounPhrase().head
            attach(marker, to: noun, "case")
            attach(noun, to: head, "nmod")
            attach(of, to: object, "case")
            attach(object, to: noun, "nmod")
            return object
        }
        if kind < 0.20 {
            let next = word(chance(0.85) ? "next" : "close", "JJ")
            let to = word("to", "TO")
            let object: Int
            if chance(0.15) {
                let each = word("each", "DT")
                object = word("other", "JJ")
                attach(each, to: object, "det")
            } else {
                object = nounPhrase().head
            }
            attach(next, to: head, "advmod")
            attach(to, to: object, "case")
            attach(object, to: next, "nmod")
            return object
        }
        if kind < 0.30 {
            let marker = word(pick(["on", "in", "at", "by", "to"]), "IN")
            let the = word("the", "DT")
            let noun = word(pick(["side", "middle", "edge", "back", "top", "corner", "end", "bottom"]), "NN")
            let of = word("of", "IN")
            let object = nounPhrase().head
            if sentence.forms[marker] == "to" { sentence.tags[marker] = "TO" }
            attach(marker, to: noun, "case")
            attach(the, to: noun, "det")
            attach(noun, to: head, "nmod")
            attach(of, to: object, "case")
            attach(object, to: noun, "nmod")
            return object
        }
        let preposition = pick(verb ? Words.verbPrepositions : Words.nounPrepositions)
        let marker = word(preposition, preposition == "to" ? "TO" : "IN")
        let object = nounPhrase().head
        attach(marker, to: object, "case")
        attach(object, to: head, "nmod")
        return object
    }

    /// Objects and prepositional phrases of a verb.
    private mutating func complements(of verb: Int, transitive: Bool) {
        var last = verb
        if transitive {
            let object = nounPhrase().head
            attach(object, to: verb, "dobj")
            if chance(0.55) {
                let toVerb = chance(0.83)
                last = prepositional(toVerb ? verb : object, of: toVerb)
            } else {
                return
            }
        } else {
            if chance(0.10) {
                attach(word(pick(["up", "down", "out", "around", "over", "off"]), "RP"), to: verb, "compound:prt")
            }
            if chance(0.93) { last = prepositional(verb, of: true) } else { return }
        }
        if chance(0.42) {
            _ =
                chance(0.78) && sentence.tags[last].hasPrefix("NN")
                ? prepositional(last, of: false) : prepositional(verb, of: true)
        }
    }

    // MARK: Captions

    private mutating func subject() -> NounPhrase {
        if chance(0.16) {
            let determiner = chance(0.6) ? word(chance(0.8) ? "a" : "the", "DT") : nil
            let adjective = chance(0.25) ? word(pick(["large", "small", "big", "close"]), "JJ") : nil
            let group = word(pick(Words.groups), "NN")
            if let determiner { attach(determiner, to: group, "det") }
            if let adjective { attach(adjective, to: group, "amod") }
            let of = word("of", "IN")
            let member = nounPhrase()
            attach(of, to: member.head, "case")
            attach(member.head, to: group, "nmod")
            return NounPhrase(head: group, isPlural: member.isPlural, isSimple: false)
        }
        let noun = nounPhrase(first: true, person: chance(0.45))
        if chance(0.1) { coordinate(noun.head) }
        return noun
    }

    private mutating func caption() -> TrainingSentence {
        sentence = TrainingSentence(forms: [], tags: [], lemmas: [], heads: [], labels: [])
        let kind = Double.random(in: 0..<1, using: &random)
        let root: Int
        if kind < 0.06 {
            root = existential()
        } else if kind < 0.075 {
            root = closeUp()
        } else if kind < 0.08 {
            root = livingRoom()
        } else if kind < 0.09 {
            root = nounAsVerb()
        } else if kind < 0.10 {
            root = bareColors()
        } else {
            let noun = subject()
            if kind < 0.36 {
                root = participle(after: noun)
            } else if kind < 0.40 {
                root = passive(of: noun)
            } else if kind < 0.62 {
                root = clause(of: noun)
            } else if kind < 0.66 {
                root = noun.head
                relativeClause(of: noun)
            } else {
                root = noun.head
                let of = sentence.count > 2 && noun.isSimple && chance(0.12)
                var last = of ? ofPhrase(noun.head) : prepositional(noun.head, of: false)
                for _ in 0..<2 where chance(0.4) {
                    last = prepositional(
                        chance(0.6) && sentence.tags[last].hasPrefix("NN") ? last : noun.head, of: false)
                }
                if chance(0.15), sentence.tags[last].hasPrefix("NN") { reducedRelative(of: last) }
            }
        }
        attach(root, to: sentence.count, "root")
        return sentence
    }

    private mutating func ofPhrase(_ head: Int) -> Int {
        let of = word("of", "IN")
        let object = nounPhrase().head
        attach(of, to: object, "case")
        attach(object, to: head, "nmod")
        return object
    }

    private mutating func reducedRelative(of noun: Int) {
        if chance(0.5) {
            let transitive = chance(0.4)
            let form = pick(transitive ? Words.transitive : Words.intransitive)
            if noun == sentence.count - 1, sentence.tags[noun] == "NN", Words.nounsInIngAnywhere.contains(form),
                chance(0.6)
            {
                let head = word(form, "NN")
                becomeCompound(noun, of: head)
                complements(of: head, transitive: false)
                return
            }
            let verb = word(form, "VBG")
            attach(verb, to: noun, "acl")
            complements(of: verb, transitive: transitive)
        } else {
            let verb = word(pick(Words.participles), "VBN")
            attach(verb, to: noun, "acl")
            _ = prepositional(verb, of: true)
        }
    }

    /// `a man riding a horse`.
    private mutating func participle(after noun: NounPhrase) -> Int {
        let transitive = chance(0.5)
        let form = pick(transitive ? Words.transitive : Words.intransitive)
        let isNoun = noun.isSimple && !noun.isPlural && chance(Words.nounsInIng[form] ?? 0)
        if isNoun {
            let head = word(form, "NN")
            if form == "playing", chance(0.6) {
                attach(head, to: noun.head, "dep")
                complements(of: head, transitive: false)
                return noun.head
            }
            // The singular noun reads as the first half of a compound.
            becomeCompound(noun.head, of: head)
            if transitive {
                let object = nounPhrase().head
                attach(object, to: head, "dep")
                if chance(0.5) { _ = prepositional(object, of: false) }
            } else {
                complements(of: head, transitive: false)
            }
            return head
        }
        let verb = word(form, "VBG")
        // Behind `group of people` the participle belongs to the people.
        let owner = noun.isSimple ? noun.head : lastNoun(before: verb)
        attach(verb, to: owner, noun.isSimple && chance(0.85) ? "dep" : "acl")
        complements(of: verb, transitive: transitive)
        if chance(0.06) {
            let next = word(pick(Words.transitive), "VBG")
            attach(next, to: lastNoun(before: next), "acl")
            complements(of: next, transitive: true)
        }
        return noun.head
    }

    /// `man standing`: the new head takes over what hung on the noun, and its place.
    private mutating func becomeCompound(_ noun: Int, of head: Int) {
        for i in 0..<head where sentence.heads[i] == noun && !["conj", "cc"].contains(sentence.labels[i]) {
            sentence.heads[i] = head
        }
        if sentence.heads[noun] >= 0 { attach(head, to: sentence.heads[noun], sentence.labels[noun]) }
        attach(noun, to: head, "compound")
    }

    /// `close up of a cat`, a verb with its particle; `a close up of a cat`, where the cat heads it all.
    private mutating func closeUp() -> Int {
        if chance(0.35) {
            let close = word("close", "VB")
            attach(word("up", "RP"), to: close, "compound:prt")
            let object = ofPhrase(close)
            if chance(0.5) { _ = prepositional(object, of: false) }
            return close
        }
        let article = word("a", "DT")
        let close = word("close", "NN")
        let up = word("up", "RB")
        let of = word("of", "IN")
        let object = nounPhrase()
        attach(article, to: close, "det")
        attach(close, to: up, "nmod:npmod")
        attach(up, to: object.head, "advmod")
        attach(of, to: object.head, "case")
        if chance(0.6) { _ = prepositional(object.head, of: false) }
        if chance(0.2) { reducedRelative(of: lastNoun(before: sentence.count)) }
        return object.head
    }

    /// `black and white cat sitting on a bed`, without an article: the first colour heads a coordination with the cat.
    private mutating func bareColors() -> Int {
        let one = word(pick(["black", "brown", "red", "blue", "green", "orange"]), "JJ")
        let and = word("and", "CC")
        let other = word(pick(["white", "black", "yellow", "brown", "red"]), "JJ")
        let noun = word(pick(Words.beings), "NN")
        let verb = word(chance(0.6) ? "sitting" : pick(Words.intransitive), "VBG")
        attach(and, to: one, "cc")
        attach(noun, to: one, "conj")
        attach(other, to: noun, "amod")
        attach(verb, to: noun, "amod")
        _ = prepositional(noun, of: true)
        return one
    }

    /// `living room with a couch`: the room is the object of a verb.
    private mutating func livingRoom() -> Int {
        let living = word("living", "VBG")
        attach(word("room", "NN"), to: living, "dobj")
        _ = prepositional(living, of: false)
        return living
    }

    /// `a red fire hydrant standing on a street`: the second noun is taken for a verb.
    private mutating func nounAsVerb() -> Int {
        let determiner = word("a", "DT")
        let adjective = chance(0.6) ? word(pick(["red", "yellow", "blue", "brown", "white", "small"]), "JJ") : nil
        let isHydrant = chance(0.6)
        let noun = word(isHydrant ? "fire" : "teddy", "NN")
        let verb = word(isHydrant ? "hydrant" : "bear", "VBP")
        attach(determiner, to: noun, "det")
        if let adjective { attach(adjective, to: noun, "amod") }
        attach(noun, to: verb, "nsubj")
        let transitive = chance(0.3)
        let participle = word(pick(transitive ? Words.transitive : Words.intransitive), "VBG")
        attach(participle, to: verb, "xcomp")
        complements(of: participle, transitive: transitive)
        return verb
    }

    private func lastNoun(before position: Int) -> Int {
        // The head of the last noun phrase: nouns that modify another noun are passed over.
        (0..<position).last { sentence.tags[$0].hasPrefix("NN") && sentence.labels[$0] != "compound" } ?? 0
    }

    /// `a motorcycle parked in front of a building`: a finite clause to the reference's parser.
    private mutating func passive(of noun: NounPhrase) -> Int {
        let participle = word(pick(Words.participles), "VBN")
        if noun.isSimple {
            attach(noun.head, to: participle, "nsubj")
            complements(of: participle, transitive: false)
            return participle
        }
        attach(participle, to: lastNoun(before: participle), "acl")
        complements(of: participle, transitive: false)
        return noun.head
    }

    /// `a man is riding a horse`, `a man rides a horse`, `a man has a hat`, `a man is on a horse`, `the man is tall`.
    private mutating func clause(of noun: NounPhrase) -> Int {
        let be = noun.isPlural ? ("are", "VBP") : ("is", "VBZ")
        let kind = Double.random(in: 0..<1, using: &random)
        if kind < 0.38 {
            let auxiliary = word(be.0, be.1)
            let transitive = chance(0.45)
            let verb = word(pick(transitive ? Words.transitive : Words.intransitive), "VBG")
            attach(auxiliary, to: verb, "aux")
            attach(noun.head, to: verb, "nsubj")
            complements(of: verb, transitive: transitive)
            return verb
        }
        if kind < 0.62 {
            let transitive = chance(0.45)
            let base = pick(transitive ? Words.transitiveBases : Words.intransitiveBases)
            let verb = word(noun.isPlural ? base : Words.third(base), noun.isPlural ? "VBP" : "VBZ")
            attach(noun.head, to: verb, "nsubj")
            complements(of: verb, transitive: transitive)
            return verb
        }
        if kind < 0.72 {
            let verb = word(noun.isPlural ? "have" : "has", noun.isPlural ? "VBP" : "VBZ")
            attach(noun.head, to: verb, "nsubj")
            complements(of: verb, transitive: true)
            return verb
        }
        if kind < 0.84 {
            let auxiliary = word(be.0, be.1)
            let verb = word(pick(Words.participles), "VBN")
            attach(auxiliary, to: verb, "auxpass")
            attach(noun.head, to: verb, "nsubjpass")
            complements(of: verb, transitive: false)
            return verb
        }
        let copula = word(be.0, be.1)
        let predicate: Int
        if kind < 0.93 {
            let marker = word(pick(["on", "in", "at", "near", "by", "behind", "under"]), "IN")
            predicate = nounPhrase().head
            attach(marker, to: predicate, "case")
        } else {
            predicate = word(pick(Words.adjectives), "JJ")
        }
        attach(copula, to: predicate, "cop")
        attach(noun.head, to: predicate, "nsubj")
        return predicate
    }

    private mutating func relativeClause(of noun: NounPhrase) {
        let that = word("that", "WDT")
        let owner = noun.isSimple ? noun.head : lastNoun(before: that)
        let be = word(noun.isPlural ? "are" : "is", noun.isPlural ? "VBP" : "VBZ")
        let transitive = chance(0.3)
        let verb = word(pick(transitive ? Words.transitive : Words.intransitive), "VBG")
        attach(that, to: verb, "nsubj")
        attach(be, to: verb, "aux")
        attach(verb, to: owner, "acl:relcl")
        complements(of: verb, transitive: transitive)
    }

    /// `there is a cat on the bed`.
    private mutating func existential() -> Int {
        let there = word("there", "EX")
        let be = word(chance(0.6) ? "is" : "are", "VBZ")
        if sentence.forms[be] == "are" { sentence.tags[be] = "VBP" }
        attach(there, to: be, "expl")
        let noun = subject()
        attach(noun.head, to: be, "nsubj")
        if chance(0.5) {
            _ = prepositional(noun.head, of: false)
        } else {
            reducedRelative(of: lastNoun(before: sentence.count))
        }
        return be
    }
}
