/// The Snowball stemmer for English ("Porter2"), as it was defined when METEOR 1.5 was released.
///
/// Source: the algorithm's description at snowballstem.org/algorithms/english/stemmer.html (Porter and Boulton, 2001 to
/// 2010). Later revisions of that page changed word lists and rules; METEOR uses the older ones, and so does this type.
///
/// Input is lower case. It works on UTF-16 units because METEOR's stemmer counts them: a letter outside ASCII is one
/// letter that is no vowel, and one beyond the BMP is two.
struct SnowballEnglish {
    private var word: [UInt16] = []
    /// Starts of the regions R1 and R2: a suffix is in a region if it starts at or after its start.
    private var region1 = 0
    private var region2 = 0
    /// Whether a `y` was written as `Y`; a capital that was there before stays one.
    private var hasConsonantY = false

    /// The stem of `input`, in UTF-16 units.
    mutating func stem(_ input: [UInt16]) -> [UInt16] {
        if let special = Self.wholeWords[input] { return special }
        guard input.count >= 3 else { return input }
        word = input
        prelude()
        findRegions()
        step1a()
        if !Self.finishedAfterStep1a.contains(word) {
            step1b()
            step1c()
            apply(Self.step2)
            apply(Self.step3)
            apply(Self.step4)
            step5()
        }
        if hasConsonantY {
            for i in word.indices where word[i] == Letter.consonantY { word[i] = Letter.y }
        }
        return word
    }

    // MARK: - Letters and regions

    private enum Letter {
        static let apostrophe = unit("'")
        static let e = unit("e")
        static let i = unit("i")
        static let l = unit("l")
        static let y = unit("y")
        /// A `y` that stands for a consonant is written `Y` while the rules run.
        static let consonantY = unit("Y")

        static func unit(_ scalar: Unicode.Scalar) -> UInt16 { UInt16(scalar.value) }
    }

    private static func isVowel(_ unit: UInt16) -> Bool {
        switch unit {
        case 0x61, 0x65, 0x69, 0x6F, 0x75, 0x79: true  // a e i o u y
        default: false
        }
    }

    private mutating func prelude() {
        if word[0] == Letter.apostrophe { word.removeFirst() }
        hasConsonantY = false
        for i in word.indices where word[i] == Letter.y && (i == 0 || Self.isVowel(word[i - 1])) {
            word[i] = Letter.consonantY
            hasConsonantY = true
        }
    }

    private mutating func findRegions() {
        func pastVowelAndConsonant(from start: Int) -> Int {
            var i = start
            while i < word.count, !Self.isVowel(word[i]) { i += 1 }
            while i < word.count, Self.isVowel(word[i]) { i += 1 }
            return min(word.count, i + 1)
        }
        if let prefix = Self.fixedFirstRegions.first(where: { word.starts(with: $0) }) {
            region1 = prefix.count
        } else {
            region1 = pastVowelAndConsonant(from: 0)
        }
        region2 = pastVowelAndConsonant(from: region1)
    }

    private func hasSuffix(_ suffix: [UInt16]) -> Bool {
        guard word.count >= suffix.count else { return false }
        var i = word.count - suffix.count
        for unit in suffix {
            if word[i] != unit { return false }
            i += 1
        }
        return true
    }

    private func longest(_ suffixes: [[UInt16]]) -> [UInt16]? { suffixes.first(where: hasSuffix) }

    private mutating func replace(_ suffix: [UInt16], by new: [UInt16]) {
        word.removeLast(suffix.count)
        word += new
    }

    /// A short syllable at the end: consonant (none of w, x, Y), vowel, consonant; or the whole word is vowel, consonant.
    private func endsInShortSyllable() -> Bool {
        let n = word.count
        guard n >= 2, Self.isVowel(word[n - 2]) else { return false }
        if n == 2 { return !Self.isVowel(word[1]) }
        let (last, first) = (word[n - 1], word[n - 3])
        let blocked = Self.isVowel(last) || last == 0x77 || last == 0x78 || last == Letter.consonantY
        return !blocked && !Self.isVowel(first)
    }

    // MARK: - Steps

    private mutating func step1a() {
        if let suffix = longest(Self.possessives) { word.removeLast(suffix.count) }
        guard let suffix = longest(Self.step1aSuffixes) else { return }
        switch suffix {
        case Self.units("sses"): replace(suffix, by: Self.units("ss"))
        case Self.units("ied"), Self.units("ies"):
            replace(suffix, by: word.count - suffix.count >= 2 ? Self.units("i") : Self.units("ie"))
        case Self.units("s"):
            // A vowel must stand before the letter that precedes the s: "gas" keeps it, "gaps" does not.
            if word.count >= 3, word[..<(word.count - 2)].contains(where: Self.isVowel) { word.removeLast() }
        default: break
        }
    }

    private mutating func step1b() {
        guard let suffix = longest(Self.step1bSuffixes) else { return }
        let start = word.count - suffix.count
        if suffix.starts(with: Self.units("eed")) {
            if start >= region1 { replace(suffix, by: Self.units("ee")) }
            return
        }
        guard word[..<start].contains(where: Self.isVowel) else { return }
        word.removeLast(suffix.count)
        if longest(Self.needsE) != nil {
            word.append(Letter.e)
        } else if longest(Self.doubles) != nil {
            word.removeLast()
        } else if word.count == region1, endsInShortSyllable() {
            word.append(Letter.e)
        }
    }

    private mutating func step1c() {
        let n = word.count
        guard n >= 3, word[n - 1] == Letter.y || word[n - 1] == Letter.consonantY, !Self.isVowel(word[n - 2]) else {
            return
        }
        word[n - 1] = Letter.i
    }

    private mutating func apply(_ rules: [Rule]) {
        guard let rule = rules.first(where: { hasSuffix($0.suffix) }) else { return }
        let start = word.count - rule.suffix.count
        guard start >= (rule.inRegion2 ? region2 : region1) else { return }
        if !rule.after.isEmpty {
            guard start > 0, rule.after.contains(word[start - 1]) else { return }
        }
        replace(rule.suffix, by: rule.replacement)
    }

    private mutating func step5() {
        guard let last = word.last else { return }
        let start = word.count - 1
        if last == Letter.e {
            if start >= region2 {
                word.removeLast()
            } else if start >= region1 {
                word.removeLast()
                if endsInShortSyllable() { word.append(Letter.e) }
            }
        } else if last == Letter.l, start >= region2, start > 0, word[start - 1] == Letter.l {
            word.removeLast()
        }
    }
}

// MARK: - Tables

extension SnowballEnglish {
    struct Rule: Sendable {
        let suffix: [UInt16]
        let replacement: [UInt16]
        /// The letter before the suffix must be one of these, if any are given.
        let after: [UInt16]
        let inRegion2: Bool
    }

    static func units(_ text: String) -> [UInt16] { Array(text.utf16) }

    private static func list(_ text: String) -> [[UInt16]] {
        // The longest suffix decides, so longer ones come first.
        text.split(separator: " ").map { units(String($0)) }.sorted { $0.count > $1.count }
    }

    /// Reads rules written `suffix>replacement`, with `letters|` in front where the letter before the suffix matters.
    private static func rules(_ text: String, region2 only: Set<String> = [], allInRegion2: Bool = false) -> [Rule] {
        text.split(separator: " ").map { entry in
            let halves = entry.split(separator: "|")
            let sides = halves.last!.split(separator: ">", omittingEmptySubsequences: false).map(String.init)
            return Rule(
                suffix: units(sides[0]), replacement: units(sides[1]),
                after: halves.count == 2 ? units(String(halves[0])) : [],
                inRegion2: allInRegion2 || only.contains(sides[0]))
        }.sorted { $0.suffix.count > $1.suffix.count }
    }

    static let fixedFirstRegions = list("gener commun arsen")
    static let possessives = list("' 's 's'")
    static let step1aSuffixes = list("sses ied ies s us ss")
    static let step1bSuffixes = list("eed eedly ed edly ing ingly")
    static let needsE = list("at bl iz")
    static let doubles = list("bb dd ff gg mm nn pp rr tt")

    static let step2 = rules(
        "tional>tion enci>ence anci>ance abli>able entli>ent izer>ize ization>ize ational>ate ation>ate ator>ate "
            + "alism>al aliti>al alli>al fulness>ful ousli>ous ousness>ous iveness>ive iviti>ive biliti>ble bli>ble "
            + "l|ogi>og fulli>ful lessli>less cdeghkmnrt|li>")
    static let step3 = rules(
        "tional>tion ational>ate alize>al icate>ic iciti>ic ical>ic ful> ness> ative>", region2: ["ative"])
    static let step4 = rules(
        "al> ance> ence> er> ic> able> ible> ant> ement> ment> ent> ism> ate> iti> ous> ive> ize> st|ion>",
        allInRegion2: true)

    /// Words with irregular stems.
    static let wholeWords: [[UInt16]: [UInt16]] = Dictionary(
        uniqueKeysWithValues: ("skis>ski skies>sky dying>die lying>lie tying>tie idly>idl gently>gentl ugly>ugli early>earli only>onli "
            + "singly>singl sky>sky news>news howe>howe atlas>atlas cosmos>cosmos bias>bias andes>andes")
            .split(separator: " ").map { entry in
                let sides = entry.split(separator: ">").map { units(String($0)) }
                return (sides[0], sides[1])
            })

    /// Words that stay as step 1a left them.
    static let finishedAfterStep1a = Set(list("inning outing canning herring earring proceed exceed succeed"))
}
