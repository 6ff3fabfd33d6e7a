/// One rule of the lexer: which text it matches, what must follow, and what the match becomes.
struct LexerRule: Sendable {
    /// What a matched text turns into.
    enum Action: Sendable, Equatable {
        /// The text itself, soft hyphens removed.
        case word
        /// The text itself.
        case keep
        /// The text with blanks turned into no-break spaces, so that it stays one token.
        case joined
        /// A clitic: the text with typographic apostrophes made plain.
        case clitic
        /// The text with `&amp;` written `&`, soft hyphens removed.
        case ampersands
        /// The text with parentheses written `-LRB-` and `-RRB-`, and blanks as no-break spaces.
        case brackets
        /// Each quotation mark written the Treebank way.
        case quotes
        /// The text, then a `.` of its own: an abbreviation that also ends a sentence.
        case sentenceEnd
        /// This text instead.
        case replace(String)
        /// The end of a line.
        case lineEnd
        /// Nothing.
        case drop
    }

    let name: String
    let pattern: Pattern
    /// Text that must follow. It counts when the longest match is chosen, but does not belong to the token.
    let lookahead: Pattern?
    let action: Action
}

/// The rules in order, built from pattern sources.
struct LexerRules: Sendable {
    private(set) var definitions = PatternDefinitions()
    private(set) var rules: [LexerRule] = []

    mutating func define(_ name: String, _ source: String) { definitions.define(name, source) }
    mutating func define(_ name: String, _ set: UnitSet) { definitions.define(name, set) }
    mutating func define(_ name: String, words: [String]) { definitions.define(name, words.joined(separator: "|")) }

    /// Adds a rule after the existing ones. `followedBy` is the text that must come next.
    mutating func rule(_ name: String, _ pattern: String, followedBy: String? = nil, _ action: LexerRule.Action) {
        rules.append(
            LexerRule(
                name: name, pattern: definitions.parse(pattern), lookahead: followedBy.map { definitions.parse($0) },
                action: action))
    }
}
