/// Base forms of English words by tag: a list of exceptions first, then suffix rules.
///
/// Nouns lose their plural only when tagged plural, verbs their endings when tagged as inflected verbs; other words stay
/// as they are.
@_spi(Training) public struct Lemmatizer: Sendable {
    /// Keys are `v form` or `n form`.
    @_spi(Training) public let exceptions: [String: String]

    @_spi(Training) public init(exceptions: [String: String]) {
        self.exceptions = exceptions
    }

    @_spi(Training) public func lemma(of form: String, tag: String) -> String {
        switch tag {
        case "NNS", "NNPS": exceptions["n \(form)"] ?? Self.singular(form)
        case "VBG", "VBZ", "VBD", "VBN", "VBP", "VB", "MD": exceptions["v \(form)"] ?? Self.base(form, tag: tag)
        case "DT": form == "an" ? "a" : form
        case "PRP", "PRP$": Self.pronouns[form] ?? form
        default: form
        }
    }

    private static let pronouns = [
        "him": "he", "his": "he", "her": "she", "them": "they", "their": "they", "me": "i", "my": "i", "us": "we",
        "our": "we", "your": "you",
    ]

    @_spi(Training) public static func singular(_ form: String) -> String {
        if form.utf8.count < 3 || !form.hasSuffix("s") || form.hasSuffix("ss") { return form }
        if form.hasSuffix("ies"), form.utf8.count > 4 { return form.dropLast(3) + "y" }
        for ending in ["sses", "shes", "ches", "xes", "zzes"] where form.hasSuffix(ending) {
            return String(form.dropLast(2))
        }
        return String(form.dropLast())
    }

    @_spi(Training) public static func base(_ form: String, tag: String) -> String {
        switch tag {
        case "VBZ": return singular(form)
        case "VBG" where form.hasSuffix("ing") && form.utf8.count > 4: return restored(form.dropLast(3))
        case "VBD", "VBN":
            if form.hasSuffix("ied"), form.utf8.count > 4 { return form.dropLast(3) + "y" }
            if form.hasSuffix("ed"), form.utf8.count > 3 { return restored(form.dropLast(2)) }
            return form
        default: return form
        }
    }

    /// What is left of a verb without its ending: `sitt` becomes `sit`, `rid` `ride`, `stand` stays.
    private static func restored(_ stem: Substring) -> String {
        let letters = Array(stem.utf8)
        guard letters.count > 2, let last = letters.last else { return String(stem) }
        let vowels = Set("aeiou".utf8)
        let previous = letters[letters.count - 2]
        if last == previous, !vowels.contains(last), !Set("lsz".utf8).contains(last) { return String(stem.dropLast()) }
        let needsE =
            Set("vuc".utf8).contains(last) || (last == UInt8(ascii: "g") && previous != UInt8(ascii: "n"))
            || (last == UInt8(ascii: "z") && previous != last)
            || (last == UInt8(ascii: "s") && vowels.contains(previous))
            || (Set("rstkdlnmp".utf8).contains(last) && vowels.contains(previous) && letters.count == 3
                && !vowels.contains(letters[0]))
            || (last == UInt8(ascii: "l") && Set("bdgtkpzf".utf8).contains(previous))
            || (last == UInt8(ascii: "t") && previous == UInt8(ascii: "a") && letters.count > 3)
        return needsE ? stem + "e" : String(stem)
    }
}
