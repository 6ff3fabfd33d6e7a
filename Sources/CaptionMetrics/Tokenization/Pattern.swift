/// The tree of a lexer pattern.
///
/// Notation, after the scanner generators of the lex family:
///
/// | written | meaning |
/// |---|---|
/// | `abc` | these letters in either case (characters other than ASCII letters stand for themselves) |
/// | `[a-zA-Z]`, `[^…]` | one code unit of the set, exactly as written: case matters |
/// | `{name}` | a definition, or a named set; inside brackets a named set only |
/// | `x?` `x*` `x+` `x{n}` `x{n,m}` `x{n,}` | repetition |
/// | `(x\|y)` | grouping and choice |
/// | `\n` `\t` `\u00A0` `\.` | escapes |
indirect enum Pattern: Sendable {
    case set(UnitSet)
    case sequence([Pattern])
    case choice([Pattern])
    case repeated(Pattern, atLeast: Int, atMost: Int?)

    static let empty = Pattern.sequence([])
}

/// The patterns to which other patterns refer by name.
struct PatternDefinitions: Sendable {
    var sets: [String: UnitSet] = [:]
    var patterns: [String: Pattern] = [:]

    /// Adds a definition, which may use those made before it.
    mutating func define(_ name: String, _ source: String) {
        let pattern = parse(source)
        if case .set(let set) = pattern { sets[name] = set }
        patterns[name] = pattern
    }

    mutating func define(_ name: String, _ set: UnitSet) {
        sets[name] = set
        patterns[name] = .set(set)
    }

    /// The tree of `source`. The rules are part of the program, so an error in them traps.
    func parse(_ source: String) -> Pattern {
        var parser = PatternParser(source: source, definitions: self)
        let pattern = parser.parseChoice()
        precondition(parser.isAtEnd, "pattern '\(source)': unexpected character at offset \(parser.position)")
        return pattern
    }
}

private struct PatternParser {
    let source: String
    let units: [UInt16]
    let definitions: PatternDefinitions
    var position = 0

    init(source: String, definitions: PatternDefinitions) {
        self.source = source
        self.units = Array(source.utf16)
        self.definitions = definitions
    }

    var isAtEnd: Bool { position == units.count }

    private func peek() -> Character? {
        position < units.count ? Character(Unicode.Scalar(units[position]) ?? "\u{FFFD}") : nil
    }

    private func fail(_ what: String) -> Never {
        preconditionFailure("pattern '\(source)': \(what) at offset \(position)")
    }

    mutating func parseChoice() -> Pattern {
        var branches = [parseSequence()]
        while peek() == "|" {
            position += 1
            branches.append(parseSequence())
        }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func parseSequence() -> Pattern {
        var items: [Pattern] = []
        while let character = peek(), character != "|", character != ")" {
            items.append(parseRepetition())
        }
        return items.count == 1 ? items[0] : .sequence(items)
    }

    private mutating func parseRepetition() -> Pattern {
        var item = parseAtom()
        while let character = peek() {
            switch character {
            case "?": item = .repeated(item, atLeast: 0, atMost: 1)
            case "*": item = .repeated(item, atLeast: 0, atMost: nil)
            case "+": item = .repeated(item, atLeast: 1, atMost: nil)
            case "{" where isCount(position + 1):
                item = parseCount(of: item)
                continue
            default: return item
            }
            position += 1
        }
        return item
    }

    private func isCount(_ index: Int) -> Bool {
        index < units.count && (0x30...0x39).contains(units[index])
    }

    private mutating func parseCount(of item: Pattern) -> Pattern {
        position += 1
        let low = parseInteger()
        var high: Int? = low
        if peek() == "," {
            position += 1
            high = peek() == "}" ? nil : parseInteger()
        }
        guard peek() == "}" else { fail("expected '}'") }
        position += 1
        return .repeated(item, atLeast: low, atMost: high)
    }

    private mutating func parseInteger() -> Int {
        var value = 0
        guard isCount(position) else { fail("expected a number") }
        while isCount(position) {
            value = value * 10 + Int(units[position] - 0x30)
            position += 1
        }
        return value
    }

    private mutating func parseAtom() -> Pattern {
        guard let character = peek() else { fail("unexpected end") }
        switch character {
        case "(":
            position += 1
            let inner = parseChoice()
            guard peek() == ")" else { fail("expected ')'") }
            position += 1
            return inner
        case "[":
            return .set(parseSet())
        case "{":
            let name = parseName()
            guard let pattern = definitions.patterns[name] else { fail("unknown definition '\(name)'") }
            return pattern
        default:
            let unit = parseUnit()
            return .set(eitherCase(unit))
        }
    }

    private func eitherCase(_ unit: UInt16) -> UnitSet {
        switch unit {
        case 0x41...0x5A: UnitSet([unit...unit, (unit + 0x20)...(unit + 0x20)])
        case 0x61...0x7A: UnitSet([unit...unit, (unit - 0x20)...(unit - 0x20)])
        default: UnitSet(unit)
        }
    }

    private mutating func parseName() -> String {
        position += 1
        let start = position
        while position < units.count, units[position] != 0x7D { position += 1 }
        guard position < units.count else { fail("expected '}'") }
        defer { position += 1 }
        return String(decoding: units[start..<position], as: UTF16.self)
    }

    /// One code unit, escaped or not.
    private mutating func parseUnit() -> UInt16 {
        guard position < units.count else { fail("unexpected end") }
        let unit = units[position]
        position += 1
        guard unit == 0x5C else { return unit }
        guard position < units.count else { fail("unexpected end after '\\'") }
        let escaped = units[position]
        position += 1
        switch escaped {
        case 0x6E: return 0x0A  // \n
        case 0x72: return 0x0D  // \r
        case 0x74: return 0x09  // \t
        case 0x75:  // \uXXXX
            guard position + 4 <= units.count,
                let value = UInt16(String(decoding: units[position..<position + 4], as: UTF16.self), radix: 16)
            else { fail("expected four hexadecimal digits") }
            position += 4
            return value
        default: return escaped
        }
    }

    private mutating func parseSet() -> UnitSet {
        position += 1
        var negated = false
        if peek() == "^" {
            negated = true
            position += 1
        }
        var result = UnitSet()
        while peek() != "]" {
            guard !isAtEnd else { fail("expected ']'") }
            if peek() == "{" {
                let name = parseName()
                guard let set = definitions.sets[name] else { fail("unknown set '\(name)'") }
                result = result.union(set)
                continue
            }
            let first = parseUnit()
            var last = first
            if peek() == "-", position + 1 < units.count, units[position + 1] != 0x5D {
                position += 1
                last = parseUnit()
            }
            result = result.union(UnitSet([first...last]))
        }
        position += 1
        return negated ? result.complement : result
    }
}
