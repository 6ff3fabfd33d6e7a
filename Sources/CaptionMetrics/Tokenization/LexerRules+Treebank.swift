extension LexerRules {
    /// The rules of the Penn Treebank tokenizer as coco-caption runs it (CoreNLP 3.4.1, default options).
    ///
    /// The longest match wins, counting the text that a rule looks ahead at; among matches of equal length, the first
    /// rule wins. Letters outside brackets match in either case. The rules were written from the behaviour of the
    /// program; `Tests/CaptionMetricsTests` compares them with its output, and `docs/ptb-tokenizer.md` lists the known
    /// differences.
    static let treebank: LexerRules = {
        var rules = LexerRules()
        rules.defineCharacters()
        rules.defineWords()
        rules.defineAbbreviations()
        rules.define("hyphenated", "[A-Za-z0-9][A-Za-z0-9.,\\u00AD]*(-([A-Za-z0-9\\u00AD]+|{acronym}))+")
        rules.addWordRules()
        rules.addNetworkRules()
        rules.addNumberRules()
        rules.addAbbreviationRules()
        rules.addQuoteRules()
        rules.addPunctuationRules()
        return rules
    }()

    private mutating func defineCharacters() {
        let ascii = { (first: UInt16, last: UInt16) in UnitSet([first...last]) }
        let letter = UnitSet(flat: CharacterTables.letter).union(ascii(0x41, 0x5A)).union(ascii(0x61, 0x7A))
        let digit = UnitSet(flat: CharacterTables.digit).union(ascii(0x30, 0x39))
        define("letter", letter)
        define("digit", digit)
        define("alphanumeric", letter.union(digit).union(UnitSet(0xAD)))
        define("mark", UnitSet(flat: CharacterTables.mark))
        define("capital", UnitSet(flat: CharacterTables.capital).union(ascii(0x41, 0x5A)))
        define("symbol", UnitSet(flat: CharacterTables.symbol))
        define("any", UnitSet([0...0xFFFF]))
        define("blank", "[ \\t\\u00A0\\u2000-\\u200A\\u3000]")
        define("newline", "[\\r\\n\\u0085\\u2028\\u2029\\u000B\\u000C]")
        define("space", "[{blank}{newline}]")
        define("apostrophe", "'|&apos;|[\\u0092\\u2019]")
        define("anyApostrophe", "{apostrophe}|[`\\u0091\\u2018\\u201B]")
    }

    private mutating func defineWords() {
        let attribute = " +[A-Za-z][A-Za-z0-9_:.\\-]*( *= *(\"[^\"]*\"|'[^']*'))?"
        define(
            "markup",
            "<[A-Za-z][A-Za-z0-9_:.\\-]*(\(attribute))* *\\/? *>|<\\/[A-Za-z][A-Za-z0-9_:.\\-]* *>"
                + "|<[!?][A-Za-z\\-][^>\\r\\n\\u0085\\u2028\\u2029\\u000B\\u000C]*>")
        define("ampersand", "[A-Z]+((\\+|&|&amp;)[A-Z]+)+")
        define("wordLetter", "[{letter}{mark}\\u00AD]|&[aeiouAEIOU](acute|grave|uml);")
        define("word", "({wordLetter})({wordLetter}|[{digit}]|[.!?]({wordLetter}))*")
        // A part of a compound: "ray", "5", "o'clock".
        define("part", "([dDoOlL]({anyApostrophe})[{letter}{digit}])?[{letter}{digit}]+")
        define("thing", "{part}([-_\\u058A\\u2010\\u2011]{part})*")
        define(
            "extension",
            words: [
                "bat", "bmp", "c", "cgi", "class", "cpp", "dll", "docx?", "exe", "gif", "gz", "h", "html?", "jar",
                "java",
                "jpe?g", "mov", "pdf", "php", "pl", "png", "ppt", "ps", "py", "sql", "tar", "txt", "wav", "x", "xml",
                "zip",
            ])
    }

    private mutating func addWordRules() {
        rule("programming language", "C\\+\\+|C#|F#", .keep)
        for (first, second) in [
            ("can", "not"), ("'t", "was"), ("'t", "is"), ("gon", "na"), ("got", "ta"), ("lem", "me"), ("gim", "me"),
            ("wan", "na"),
        ] {
            rule("contraction \(first)|\(second)", first, followedBy: second, .keep)
        }

        rule("markup", "{markup}", .joined)

        rule("dash", "[\\u0096\\u0097\\u2013\\u2014\\u2015]|&(mdash|ndash|MD);", .replace("--"))
        rule("ampersand", "&amp;", .replace("&"))
        rule("entity", "&(HT|TL|UR|LR|QC|QL|QR|odq|cdq);|&#[0-9]+;", .keep)

        rule("word before a clitic", "{word}", followedBy: "({apostrophe})(s|m|d|re|ve|ll)", .word)
        rule(
            "word before n't", "[A-Za-z\\u00AD]*[A-MO-Za-mo-z]\\u00AD?",
            followedBy: "n({anyApostrophe})t", .word)
        rule("word", "{word}", .word)

        // Apostrophes inside one token.
        rule(
            "word with apostrophe",
            "{apostrophe}n({apostrophe})?|({apostrophe})(em|til|till|cause|[2-9]0s)"
                + "|([lLdDjJ]|ol)({apostrophe})"
                + "|[A-HJ-XZn]({anyApostrophe})[{letter}]{2,}"
                + "|[{letter}]+[aeiouyAEIOUY]({anyApostrophe})[aeiouA-Z][{letter}]*"
                + "|c({anyApostrophe})(mon|est)|e({anyApostrophe})er|s({anyApostrophe})mores|li({anyApostrophe})l"
                + "|o({anyApostrophe})o|nat({anyApostrophe})l|cap({anyApostrophe})n|nor({anyApostrophe})easter"
                + "|(dunkin|somethin)({anyApostrophe})|cont({anyApostrophe})d\\.",
            .keep)
        rule("year", "({apostrophe})[0-9][0-9]", followedBy: "{space}", .keep)
        rule("y'", "y({apostrophe})", followedBy: "[{letter}]", .keep)
    }

    private mutating func addNetworkRules() {
        let inner = "[^ \\t\\n\\r\"<>()\\{\\}|\\u000C]"
        let last = "[^ \\t\\n\\r\"<>()\\{\\}|.,!?\\u000C\\-]"
        let path = "(\\/[^ \\t\\n\\r\"<>()|\\u000C]+\(last))?"
        rule("web address", "https?:\\/\\/\(inner)+\(last)", .keep)
        let host = "[^ \\t\\n\\r\"<>()\\{\\}|.,!?\\u000C]"
        rule("web address without scheme", "www\\.(\(host)+\\.)+[A-Za-z]{2,4}\(path)", .keep)
        let domain = "[^ \\t\\n\\r!\"$'(),-_`\\{\\}|\\u000C]"
        rule("web address by its ending", "(\(domain)+\\.)+(com|net|org|edu)\(path)", .keep)
        let mail = "[^ \\t\\n\\r\"<>()\\{\\}|\\u00A0\\u000C]"
        let mailPart = "[^ \\t\\n\\r\"<>()\\{\\}|.\\u00A0\\u000C]"
        rule("mail address", "(<|&lt;)?[A-Za-z0-9]\(mail)*@(\(mailPart)+\\.)*\(mailPart)+(>|&gt;)?", .keep)
        rule("account name", "@[A-Za-z_][A-Za-z_0-9]*", .keep)
        rule("hash tag", "#({wordLetter})+", .keep)
    }

    private mutating func addNumberRules() {
        define("digits", "(\\u00AD?[{digit}])+")
        rule("n't", "n({anyApostrophe})t", .clitic)
        rule("clitic before a non-letter", "({apostrophe})(s|m|d|re|ve|ll)", followedBy: "[^A-Za-z]", .clitic)
        rule("clitic of one letter", "({apostrophe})(s|m|d)", .clitic)
        rule("date", "[{digit}]{1,2}[-/][{digit}]{1,2}[-/][{digit}]{2,4}", .keep)
        rule("number", "[-+]?(({digits})?([.:,\\u066B\\u066C][{digit}](\\u00AD?[{digit}])*)+|{digits})", .word)
        rule(
            "superscript or subscript",
            "[\\u207A\\u207B\\u208A\\u208B]?([\\u2070\\u00B9\\u00B2\\u00B3\\u2074-\\u2079]+|[\\u2080-\\u2089]+)", .keep)
        rule(
            "fraction", "([{digit}]{1,4}[- \\u00A0])?[{digit}]{1,4}(\\\\?\\/|\\u2044)[{digit}]{1,4}", .joined)
        for (character, text) in [
            ("\\u00BC", "1/4"), ("\\u00BD", "1/2"), ("\\u00BE", "3/4"), ("\\u2153", "1/3"), ("\\u2154", "2/3"),
        ] {
            rule("fraction \(text)", character, .replace(text))
        }
        rule("bracket name", "-(LRB|RRB|LCB|RCB|LSB|RSB)-|-(lrb|rrb|lcb|rcb|lsb|rsb)-", .keep)
        rule("prefix or name", "pro-|anti-|S&P-500|S&Ls", .keep)
        rule(
            "slash compound", "[A-Za-z0-9]+(-[A-Za-z]+){0,2}(\\\\?\\/[A-Za-z0-9]+(-[A-Za-z]+){0,2}){1,2}", .keep)
        rule("dollars of a country", "[A-Z]+\\$", .keep)
        rule("dollar sign", "[$#]", .keep)
        rule("cents", "\\u00A2", .replace("cents"))
        rule("pounds", "\\u00A3", .replace("#"))
        rule("currency", "[\\u0080\\u00A4\\u20A0\\u20AC]", .replace("$"))
    }

    private mutating func addQuoteRules() {
        rule(
            "telephone number",
            "\\([{digit}]{2,3}\\)[ \\u00A0]?[{digit}]{3,4}[- \\u00A0]?[{digit}]{3,5}"
                + "|[{digit}]{2,4}[- \\u00A0][{digit}]{3,4}[-/ \\u00A0]?[{digit}]{3,5}"
                + "|(\\+{0,2}[{digit}]{2,4}[- \\u00A0])([{digit}]{2,4}[- \\u00A0])?[{digit}]{3,4}[- \\u00A0]?[{digit}]{3,5}",
            .brackets)
        rule("opening double quote", "\"|&quot;", followedBy: "[A-Za-z0-9$]", .replace("``"))
        rule("double quote", "\"|&quot;", .replace("''"))
        rule(
            "opening single quote", "'", followedBy: "[A-Za-z][^ \\t\\n\\r\\u00A0\\u2028\\u2029\\u000B\\u000C]",
            .replace("`"))
        rule("clitic of two letters", "({apostrophe})(re|ve|ll)", .clitic)
        rule("apostrophe", "&apos;", .replace("'"))
        rule("plain quotes", "''|``|'|`", .keep)
        rule("typographic quotes", "[`\\u0091-\\u0094\\u2018-\\u201F\\u2039\\u203A\\u00AB\\u00BB]{1,2}", .quotes)
        rule("less than", "&lt;", .replace("<"))
        rule("greater than", "&gt;", .replace(">"))
        rule(
            "smiley", "[<>]?[:;=]['o*\\-]?[()DPdpO\\{@|\\\\\\[\\]]", followedBy: "[^A-Za-z0-9]", .brackets)
        rule("face in parentheses", "\\([\\-^x=~<>'][_.\\-]?[\\-^x=~<>']\\)", .brackets)
        rule("face", "[\\-^x=~<>']_[\\-^x=~<>']", .keep)
    }

    private mutating func addPunctuationRules() {
        for (character, text) in [
            ("(", "-LRB-"), (")", "-RRB-"), ("[", "-LSB-"), ("]", "-RSB-"), ("{", "-LCB-"), ("}", "-RCB-"),
        ] {
            rule("bracket \(character)", "\\" + character, .replace(text))
        }
        rule("dash of three or four hyphens", "-{3,4}", .replace("--"))
        rule("hyphens", "-+", .keep)
        rule("ellipsis", "\\.{3,5}|(\\.[ \\u00A0]){2,4}\\.|[\\u0085\\u2026]", .replace("..."))
        rule("run of signs", "@+|#+|_+|\\*+|(\\\\\\*){1,3}|[?!]+", .keep)
        rule("punctuation", "[,;:.&/\\\\|~^=+%<>]|<<|>>", .keep)

        rule("hyphenated compound", "{hyphenated}", .word)
        rule("compound", "{thing}", .word)
        rule("ampersand compound", "{ampersand}", .ampersands)
        rule("symbol", "[{symbol}]", .keep)
        rule("soft hyphen", "\\u00AD", .replace("-"))

        rule("line end", "\\r\\n|[\\r\\n\\u2028\\u2029\\u000B\\u000C]", .lineEnd)
        rule("blank", "[{blank}]+|&nbsp;", .drop)
        rule("unknown", "{any}", .drop)
    }
}
