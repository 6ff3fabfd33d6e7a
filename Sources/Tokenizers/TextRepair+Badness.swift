// ftfy's heuristic: sequences of characters that hardly ever occur outside mojibake, described by categories of the few
// hundred characters of which mojibake consists. The rules follow ftfy's regular expression, alternative by
// alternative.

enum Badness {
    /// Whether any unlikely sequence occurs in `text`.
    static func isBad(_ text: [UInt32]) -> Bool {
        let categories = text.map(category)
        return text.indices.contains { matches(text, categories, at: $0) }
    }

    struct Category: OptionSet, Sendable {
        let rawValue: UInt32
        static let common = Category(rawValue: 1 << 0)
        static let c1 = Category(rawValue: 1 << 1)
        static let bad = Category(rawValue: 1 << 2)
        static let law = Category(rawValue: 1 << 3)
        static let currency = Category(rawValue: 1 << 4)
        static let start = Category(rawValue: 1 << 5)
        static let end = Category(rawValue: 1 << 6)
        static let numeric = Category(rawValue: 1 << 7)
        static let kaomoji = Category(rawValue: 1 << 8)
        static let upperAccented = Category(rawValue: 1 << 9)
        static let lowerAccented = Category(rawValue: 1 << 10)
        static let upperCommon = Category(rawValue: 1 << 11)
        static let lowerCommon = Category(rawValue: 1 << 12)
        static let box = Category(rawValue: 1 << 13)
    }

    private static let names: [String: Category] = [
        "common": .common, "c1": .c1, "bad": .bad, "law": .law, "currency": .currency, "start_punctuation": .start,
        "end_punctuation": .end, "numeric": .numeric, "kaomoji": .kaomoji, "upper_accented": .upperAccented,
        "lower_accented": .lowerAccented, "upper_common": .upperCommon, "lower_common": .lowerCommon, "box": .box,
    ]

    private static let table: [UInt32: Category] = {
        var table: [UInt32: Category] = [:]
        for (name, ranges) in TableReader.groups(MojibakeTable.categories) {
            for range in ranges { for scalar in range { table[scalar, default: []].insert(names[name]!) } }
        }
        return table
    }()

    private static func category(_ scalar: UInt32) -> Category { scalar < 0x80 ? [] : table[scalar] ?? [] }

    private static let accented: Category = [.lowerAccented, .upperAccented]

    /// Pairs of neighbours by category alone.
    private static let pairs: [(Category, Category)] = {
        let odd: Category = [
            .lowerAccented, .upperAccented, .box, .start, .end, .currency, .numeric, .law,
        ]
        return [
            (odd.union(.bad), .bad),
            (.bad, odd),
            ([.lowerAccented, .lowerCommon, .box, .end, .currency, .numeric], .upperAccented),
            ([.box, .end, .currency, .numeric], .lowerAccented),
            ([.lowerAccented, .box, .end], .currency),
            ([.upperAccented, .box], [.numeric, .law]),
            ([.currency, .numeric, .box], .start),
            (.box, .kaomoji),
            ([.lowerAccented, .upperAccented, .currency, .numeric, .start, .end, .law], .box),
            (.box, .end),
        ]
    }()

    private static func matches(_ text: [UInt32], _ categories: [Category], at i: Int) -> Bool {
        let first = categories[i]
        if first.contains(.c1) { return true }
        // Every other rule needs a second character.
        guard i + 1 < text.count else { return false }
        let second = categories[i + 1]
        if !first.isEmpty, !second.isEmpty,
            pairs.contains(where: { !first.isDisjoint(with: $0) && !second.isDisjoint(with: $1) })
        {
            return true
        }
        return matchesTriple(text, categories, at: i) || matchesLiteral(text, categories, at: i)
    }

    /// Rules by category that look at three characters.
    private static func matchesTriple(_ text: [UInt32], _ categories: [Category], at i: Int) -> Bool {
        guard i + 2 < text.count else { return false }
        let (first, second, third) = (categories[i], categories[i + 1], categories[i + 2])
        if isLatin(text[i]), !second.isDisjoint(with: [.lowerCommon, .upperCommon]), third.contains(.bad) {
            return true
        }
        if PythonText.isSpace(text[i]), second.contains(.upperAccented), third.contains(.currency) { return true }
        if isLowerLatin(text[i]), second.contains(.upperAccented), !third.isDisjoint(with: [.start, .currency]) {
            return true
        }
        if !first.isDisjoint(with: [.lowerAccented, .upperAccented, .box, .currency, .end]), second.contains(.start),
            third.contains(.numeric)
        {
            return true
        }
        if !first.isDisjoint(with: [.lowerAccented, .upperAccented, .currency, .numeric, .box, .law]),
            second.contains(.end), third.contains(.start)
        {
            return true
        }
        return !first.isDisjoint(with: accented) && !second.isDisjoint(with: [.start, .end])
            && PythonText.isWord(text[i + 2])
    }

    private static func scalars(_ text: String) -> Set<UInt32> { Set(text.unicodeScalars.map(\.value)) }

    // Second characters of literal rules.
    private static let afterA = scalars("€œŠš¢£Ÿž\u{A0}\u{AD}®©°·»–—´")
    private static let afterArabicLead = scalars("ŸŠ®°µ»")
    private static let afterIndicLead = scalars("²µ¹¼½¾")
    private static let afterRoot = scalars("±∂†≠®™´≤≥¥µø")
    private static let afterLowQuoteA = scalars("ìîïòôúùû†°¢π")
    private static let afterGreekBeta = scalars("™\u{A0}Ά\u{AD}®°")
    private static let cyrillicLeads = scalars("ВГРС")
    private static let greekLeads = scalars("ΒΓΞΟ")
    private static let latinLeads = scalars("ÂÃÎÐ")
    private static let cyrillicFive = "ГўВЂВ".unicodeScalars.map(\.value)

    /// Rules that name characters.
    private static func matchesLiteral(_ text: [UInt32], _ categories: [Category], at i: Int) -> Bool {
        let next = text[i + 1]
        let nextCategory = categories[i + 1]
        let isLatinStart = isLowerLatin(text[i]) || [0x2C, 0x2E, 0x3F, 0x21].contains(text[i])
        switch text[i] {
        case 0x152, 0x153:  // Œ œ, not before a plain letter
            if !isLatin(next) { return true }
        case 0xD7:  // ×
            if next == 0xB2 || next == 0xB3 { return true }
        case 0xE0:  // à
            if afterIndicLead.contains(next) { return true }
        case 0x221A:  // √
            if afterRoot.contains(next) { return true }
        case 0x2248:  // ≈
            if next == 0xB0 || next == 0xA2 { return true }
        case 0x201A:  // ‚
            if i + 2 < text.count {
                if next == 0xC4, afterLowQuoteA.contains(text[i + 2]) { return true }
                if next == 0xE2 || next == 0xF3, [0xE0, 0xE4, 0xB0, 0xEA].contains(text[i + 2]) { return true }
            }
        case 0x432:  // в before Ђ
            if next == 0x402 { return true }
        case 0x3B2:  // β €
            if next == 0x20AC, i + 2 < text.count, afterGreekBeta.contains(text[i + 2]) { return true }
        case 0x101:  // ā €
            if next == 0x20AC { return true }
        default: break
        }
        if categories[i].contains(.upperAccented), next == 0xB0 { return true }
        if latinLeads.contains(text[i]), afterA.contains(next) || !nextCategory.isDisjoint(with: [.start, .end]) {
            return true
        }
        if text[i] == 0xC3, next == 0xA0 || next == 0xA1 { return true }
        if i == 0, text[i] == 0xC3 || text[i] == 0xC2, next == 0x20 { return true }
        if isLowerLatin(text[i]), endsWithSpacedLead(text, at: i) { return true }
        if isLatinStart || categories[i].contains(.end), isDoubledPunctuation(text, categories, at: i) { return true }
        return isArabic(text, categories, at: i) || isCyrillicOrGreek(text, categories, at: i)
    }

    /// `[a-z]\s?[ÃÂ][ ]`
    private static func endsWithSpacedLead(_ text: [UInt32], at i: Int) -> Bool {
        var k = i + 1
        if PythonText.isSpace(text[k]) { k += 1 }
        return k + 1 < text.count && (text[k] == 0xC3 || text[k] == 0xC2) && text[k + 1] == 0x20
    }

    /// ` Â ` + space or punctuation, written `[a-z.,?!{end}] Â [ {start}{end}]` with the spaces insignificant.
    private static func isDoubledPunctuation(_ text: [UInt32], _ categories: [Category], at i: Int) -> Bool {
        guard i + 2 < text.count, text[i + 1] == 0xC2 else { return false }
        return text[i + 2] == 0x20 || !categories[i + 2].isDisjoint(with: [.start, .end])
    }

    /// Two letters of Arabic: `[ØÙ]` and a second half, twice.
    private static func isArabic(_ text: [UInt32], _ categories: [Category], at i: Int) -> Bool {
        guard i + 3 < text.count else { return false }
        func isPair(_ k: Int) -> Bool {
            (text[k] == 0xD8 || text[k] == 0xD9)
                && (!categories[k + 1].isDisjoint(with: [.common, .currency, .bad, .numeric, .start])
                    || afterArabicLead.contains(text[k + 1]))
        }
        return isPair(i) && isPair(i + 2)
    }

    /// Text misread as Windows-1251 or -1253: a lead letter, an unlikely sign and a lead letter again; and one long
    /// sequence.
    private static func isCyrillicOrGreek(_ text: [UInt32], _ categories: [Category], at i: Int) -> Bool {
        guard i + 2 < text.count else { return false }
        let middle = text[i + 1]
        let isOdd = !categories[i + 1].isDisjoint(with: [.c1, .bad, .start, .end, .currency]) || middle == 0xB0
        if isOdd || middle == 0xB5, cyrillicLeads.contains(text[i]), cyrillicLeads.contains(text[i + 2]) { return true }
        if isOdd, greekLeads.contains(text[i]), greekLeads.contains(text[i + 2]) { return true }
        guard i + 6 < text.count, text[i..<i + 5].elementsEqual(cyrillicFive), text[i + 5] != 0x0A else { return false }
        return isLatin(text[i + 6]) || text[i + 6] == 0x20
    }

    private static func isLatin(_ scalar: UInt32) -> Bool { (scalar | 0x20) &- 0x61 < 26 }
    private static func isLowerLatin(_ scalar: UInt32) -> Bool { scalar &- 0x61 < 26 }
}
