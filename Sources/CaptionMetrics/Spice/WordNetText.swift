/// WordNet in the two text tables METEOR's jar carries, read as METEOR reads them.
///
/// `english.synsets` alternates a phrase and its synset numbers, `english.exceptions` a base form and its irregular
/// forms. The synsets of a word are its own and those of its base form: the listed one, or else the first suffix rule
/// that leads to a known phrase. Words of one or two letters and in `ss` are their own base form.
public struct WordNetText: SynsetSource {
    private let synsets: [String: [Int32]]
    private let bases: [String: [String]]

    /// - Parameters:
    ///   - synsets: the text of `synonym/english.synsets`.
    ///   - exceptions: the text of `synonym/english.exceptions`.
    public init(synsets: String, exceptions: String) {
        var table: [String: [Int32]] = [:]
        Self.pairs(of: synsets) { phrase, numbers in
            table[phrase] = numbers.split(separator: " ").compactMap { Int32($0) }
        }
        var bases: [String: [String]] = [:]
        Self.pairs(of: exceptions) { base, forms in
            for form in forms.split(separator: " ") { bases[String(form), default: []].append(base) }
        }
        self.synsets = table
        self.bases = bases
    }

    private static func pairs(of text: String, _ body: (String, Substring) -> Void) {
        var first: Substring?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if let key = first {
                body(String(key), line)
                first = nil
            } else {
                first = line
            }
        }
    }

    public func synsets(of phrase: String) -> [Int32] {
        let own = synsets[phrase] ?? []
        if let listed = bases[phrase] { return own + listed.flatMap { synsets[$0] ?? [] } }
        return own + (baseForm(phrase).flatMap { synsets[$0] } ?? [])
    }

    private static let suffixes: [(ending: String, replacement: String)] = [
        ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"),
        ("ies", "y"), ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"),
        ("ing", ""), ("er", ""), ("est", ""), ("er", "e"), ("est", "e"),
    ]

    private func baseForm(_ word: String) -> String? {
        if word.hasSuffix("ss") || word.utf8.count <= 2 { return word }
        for (ending, replacement) in Self.suffixes where word.hasSuffix(ending) {
            let base = String(word.dropLast(ending.count)) + replacement
            if synsets[base] != nil { return word.hasSuffix("ful") ? base + "ful" : base }
        }
        return nil
    }
}
