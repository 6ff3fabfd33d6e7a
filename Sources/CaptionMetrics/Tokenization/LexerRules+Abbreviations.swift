extension LexerRules {
    /// Names for the words and sets that the abbreviation rules use.
    mutating func defineAbbreviations() {
        // A capital after one of these starts a new sentence: "Acme Inc. The dog" has a full stop after "Inc.".
        define(
            "closing",
            words: [
                // months and days
                "jan", "feb", "apr", "jun", "jul", "aug", "sept?", "oct", "nov", "dec", "mon", "tues?", "wed", "thu",
                "thurs", "fri",
                // states of the United States, and some of Canada; those that are words too need a capital
                "ala", "ariz", "[A]rk", "[A]RK", "[A]z", "[A]Z", "calif", "colo", "conn", "ct", "dak", "[D]el", "[D]EL",
                "fla", "ga", "[I]ll", "[I]LL", "ind", "kans?", "ky", "[L]a", "[L]A", "md", "[M]ass", "[M]ASS", "mich",
                "minn", "[M]iss", "[M]ISS", "mo", "mont", "neb", "nev", "okla", "[O]re", "[O]RE", "[P]a", "[P]A",
                "penn", "tenn", "[T]ex", "[T]EX", "va", "vt", "[W]ash", "[W]ASH", "wisc?", "wyo",
                // companies
                "assn", "bhd", "bros", "cos?", "corp", "inc", "intl", "ltd", "plc", "univ",
                "[Pp]p?t[ey]s?",
                // streets, titles after a name, and the rest
                "bldg", "blvd", "rd", "rt", "esq", "jr", "sr", "sq", "sys", "est", "etc", "ext", "seq", "tel", "al",
                "ph\\.d", "ed\\.d",
            ])
        // Titles and others that come before a name never end a sentence.
        define(
            "opening",
            words: [
                "adj", "adm", "adv", "alex", "assoc", "asst", "atty", "attys", "ave", "brig", "capt", "cf", "cie",
                "cmdr",
                "col", "comdr", "cpl", "dept", "det", "drs?", "elec", "ens", "ft", "gen", "govs?", "hon", "insp",
                "invt",
                "jos", "lieut", "lt", "maj", "messrs", "[M][ft]g", "[m][ft]g", "mlle", "mme", "mrs?", "ms", "msgr",
                "mt",
                "natl", "pfc", "ph", "pres", "prof", "pvt", "reps?", "rev", "sens?", "sfc", "sgt", "spc", "ste?",
                "supt",
                "treas", "vs", "wm",
            ])
        // Abbreviations only before a number: "no. 5", whereas "no." elsewhere is a word and a full stop.
        define("numbered", words: ["art", "ca", "figs?", "nos?", "op", "pp?", "prop"])
        // After "U.S." or an initial, these words start a sentence.
        define(
            "starter",
            words: [
                "a", "about", "according", "additionally", "after", "an", "as", "at", "but", "earlier", "he", "her",
                "here",
                "however", "if", "in", "it", "last", "many", "more", "now", "once", "one", "other", "our", "she",
                "since",
                "so", "some", "such", "that", "the", "their", "then", "there", "these", "they", "this", "we", "what",
                "when", "while", "yet", "you",
            ].map { word in "[\(word.first!.uppercased())]\(word.dropFirst())" })
        // "U.S.", "a.m.", and the few compounds of them that count as one.
        define("doubleAcronym", "U\\.S\\.-U\\.(K|S\\.S\\.R)")
        define(
            "acronym",
            "[A-Za-z](\\.[A-Za-z])+\\.|((canada|eu|japan|korean|non|sino)-U\\.S|{doubleAcronym})\\.")
    }

    /// Acronyms, abbreviations in four classes, initials, and words with a full stop before other punctuation.
    mutating func addAbbreviationRules() {
        rule("acronym before a sentence", "{acronym}", followedBy: "{space}+{starter}{space}", .sentenceEnd)
        rule("acronym", "{acronym}|{doubleAcronym}", .keep)
        rule("company before Ltd", "(pt[ey]|co)\\.", followedBy: "{space}(ltd|lim)", .keep)
        rule(
            "abbreviation before a sentence", "({closing})\\.", followedBy: "{space}({space}|[{capital}]|{markup})",
            .sentenceEnd)
        rule("abbreviation", "({closing})\\.", followedBy: "{any}{any}", .keep)
        rule("abbreviation at the end of input", "({closing})\\.", .sentenceEnd)
        rule("title", "({opening})\\.", .keep)
        rule("initial before a sentence", "[A-Za-z]", followedBy: "\\.{space}+{starter}{space}", .keep)
        rule("initial", "[A-Za-z]\\.", .keep)
        rule("abbreviation before a number", "({numbered})\\.", followedBy: "{space}?[{digit}]", .keep)
        rule(
            "file name", "[{alphanumeric}]+(\\.[{alphanumeric}]+)*\\.({extension})", followedBy: "{space}|[.,?!]", .keep
        )
        rule(
            "word and full stop before punctuation", "({thing}|{word}|{hyphenated}|{ampersand})\\.",
            followedBy: "[,;:\\u3001]", .ampersands)
    }
}
