/// Reads the text of a ``PythonPattern``.
struct PatternParser {
    private let source: String
    private let scalars: [Unicode.Scalar]
    private var next = 0
    private var ignoresCase = false
    private(set) var nodes: [PatternNode] = []

    /// Groups within groups; Python's own limit is near this.
    private static let deepest = 100

    init(_ source: String) {
        self.source = source
        scalars = Array(source.unicodeScalars)
    }

    /// - Returns: the index of the whole pattern among `nodes`.
    mutating func parse() throws(AdapterError) -> Int {
        let whole = try alternatives(depth: 0)
        guard next == scalars.count else { throw wrong("a ')' closes nothing") }
        return whole
    }

    private func wrong(_ reason: String) -> AdapterError {
        .invalidPattern(
            pattern: source, reason: "\(reason) at position \(min(next, scalars.count))", file: nil)
    }

    private mutating func add(_ node: PatternNode) -> Int {
        nodes.append(node)
        return nodes.count - 1
    }

    private func peek(_ offset: Int = 0) -> Unicode.Scalar? {
        next + offset < scalars.count ? scalars[next + offset] : nil
    }

    private mutating func take(_ text: String) -> Bool {
        let wanted = Array(text.unicodeScalars)
        guard next + wanted.count <= scalars.count, Array(scalars[next..<next + wanted.count]) == wanted else {
            return false
        }
        next += wanted.count
        return true
    }

    private mutating func alternatives(depth: Int) throws(AdapterError) -> Int {
        guard depth < Self.deepest else { throw wrong("groups nest too deep") }
        var found = [try sequence(depth: depth)]
        while take("|") { found.append(try sequence(depth: depth)) }
        return found.count == 1 ? found[0] : add(.alternatives(found))
    }

    private mutating func sequence(depth: Int) throws(AdapterError) -> Int {
        var parts: [Int] = []
        while true {
            try skipComments()
            guard let scalar = peek(), scalar != "|", scalar != ")" else { break }
            guard let part = try item(depth: depth) else { continue }
            parts.append(try quantified(part))
        }
        return add(.sequence(parts))
    }

    /// One element that a quantifier may follow; nil for flags, which match nothing by themselves.
    private mutating func item(depth: Int) throws(AdapterError) -> Int? {
        let scalar = scalars[next]
        switch scalar {
        case "(": return try group(depth: depth)
        case "[":
            next += 1
            return try bracket()
        case "\\": return try escape()
        case "*", "+", "?": throw wrong("nothing to repeat")
        case "{" where quantifierLength() != nil: throw wrong("nothing to repeat")
        default:
            next += 1
            switch scalar {
            case ".": return add(.scalar { $0 != "\n" })
            case "^": return try anchor(.start)
            case "$": return try anchor(.end)
            default: return add(literal(scalar))
            }
        }
    }

    /// Python does not repeat an anchor.
    private mutating func anchor(_ node: PatternNode) throws(AdapterError) -> Int {
        if let scalar = peek(), "*+?".unicodeScalars.contains(scalar) || (scalar == "{" && quantifierLength() != nil) {
            throw wrong("nothing to repeat")
        }
        return add(node)
    }

    private func literal(_ scalar: Unicode.Scalar) -> PatternNode {
        guard ignoresCase else { return .scalar { $0 == scalar } }
        let folded = scalar.properties.lowercaseMapping
        return .scalar { $0.properties.lowercaseMapping == folded }
    }

    // MARK: - Quantifiers

    private mutating func quantified(_ part: Int) throws(AdapterError) -> Int {
        try skipComments()
        guard let scalar = peek() else { return part }
        let bounds: (min: Int, max: Int?)
        switch scalar {
        case "*": bounds = (0, nil)
        case "+": bounds = (1, nil)
        case "?": bounds = (0, 1)
        case "{":
            guard let length = quantifierLength() else { return part }
            bounds = try counts(length)
            next += length - 1
        default: return part
        }
        next += 1
        // A lazy quantifier matches the same texts, in another order.
        if !take("?"), peek() == "+" { throw wrong("possessive quantifiers are not supported") }
        try skipComments()
        if let again = peek(), "*+?".unicodeScalars.contains(again) || (again == "{" && quantifierLength() != nil) {
            throw wrong("multiple repeat")
        }
        return add(.repeated(part, min: bounds.min, max: bounds.max))
    }

    /// Length of `{m}`, `{m,}`, `{,n}` or `{m,n}` at this place; any other brace is an ordinary character.
    private func quantifierLength() -> Int? {
        guard let close = scalars[next...].firstIndex(of: "}"), close > next + 1 else { return nil }
        let inner = scalars[next + 1..<close]
        let isCount =
            inner.allSatisfy { $0 == "," || ("0"..."9").contains($0) } && inner.filter { $0 == "," }.count <= 1
        return isCount ? close - next + 1 : nil
    }

    private func counts(_ length: Int) throws(AdapterError) -> (min: Int, max: Int?) {
        let parts = scalars[next + 1..<next + length - 1].split(separator: ",", omittingEmptySubsequences: false)
        let numbers = parts.map { part in Int(String(String.UnicodeScalarView(part))) }
        guard zip(parts, numbers).allSatisfy({ $0.isEmpty || $1 != nil }) else { throw wrong("a count is too large") }
        let min = numbers[0] ?? 0
        guard numbers.count > 1 else { return (min, min) }
        if let max = numbers[1], max < min { throw wrong("the lower count is above the upper") }
        return (min, numbers[1])
    }

    // MARK: - Groups

    /// A comment is not an element: a quantifier after it applies to the element before it.
    private mutating func skipComments() throws(AdapterError) {
        while take("(?#") {
            guard let close = scalars[next...].firstIndex(of: ")") else { throw wrong("a comment does not end") }
            next = close + 1
        }
    }

    private mutating func group(depth: Int) throws(AdapterError) -> Int? {
        next += 1
        guard take("?") else { return try closed(depth: depth) }
        if take(":") { return try closed(depth: depth) }
        if take("P<") {
            guard let close = scalars[next...].firstIndex(of: ">"), close > next else {
                throw wrong("a group has no name")
            }
            next = close + 1
            return try closed(depth: depth)
        }
        for (mark, ahead, isNegated) in [
            ("=", true, false), ("!", true, true), ("<=", false, false), ("<!", false, true),
        ] where take(mark) {
            return add(.look(try closed(depth: depth), ahead: ahead, isNegated: isNegated))
        }
        return try flags(depth: depth)
    }

    private mutating func closed(depth: Int) throws(AdapterError) -> Int {
        let outer = ignoresCase
        let inner = try alternatives(depth: depth + 1)
        guard take(")") else { throw wrong("a '(' is not closed") }
        ignoresCase = outer
        return inner
    }

    /// `(?i)` at the start, or `(?i:…)`. A path has no line breaks, so `s` and `m` change nothing.
    private mutating func flags(depth: Int) throws(AdapterError) -> Int? {
        let start = next
        while let scalar = peek(), "ismau".unicodeScalars.contains(scalar) { next += 1 }
        let isCaseless = scalars[start..<next].contains("i")
        guard next > start, take(peek() == ":" ? ":" : ")") else {
            throw wrong("a group begins with '?' in a way that is not supported")
        }
        if scalars[next - 1] == ")" {
            guard start == 2 else { throw wrong("flags stand elsewhere than at the start") }
            ignoresCase = isCaseless
            return nil
        }
        let outer = ignoresCase
        ignoresCase = outer || isCaseless
        defer { ignoresCase = outer }
        return try closed(depth: depth)
    }

    // MARK: - Escapes and brackets

    private mutating func escape() throws(AdapterError) -> Int {
        next += 1
        guard let scalar = peek() else { throw wrong("the pattern ends with a backslash") }
        switch scalar {
        case "A":
            next += 1
            return try anchor(.start)
        case "Z":
            next += 1
            return try anchor(.end)
        case "b", "B":
            next += 1
            return try anchor(.wordBoundary(isNegated: scalar == "B"))
        case "1"..."9": throw wrong("back-references are not supported")
        default:
            if let matches = Self.kinds[scalar] {
                next += 1
                return add(.scalar(matches))
            }
            return add(literal(try escaped()))
        }
    }

    /// A scalar written as an escape.
    private mutating func escaped() throws(AdapterError) -> Unicode.Scalar {
        let scalar = scalars[next]
        next += 1
        if let control = Self.controls[scalar] { return control }
        if let digits = ["x": 2, "u": 4, "U": 8][scalar] {
            let text = String(String.UnicodeScalarView(scalars[next..<min(next + digits, scalars.count)]))
            guard text.unicodeScalars.count == digits, let code = UInt32(text, radix: 16),
                let found = Unicode.Scalar(code)
            else { throw wrong("an escape is incomplete") }
            next += digits
            return found
        }
        guard !("a"..."z").contains(scalar), !("A"..."Z").contains(scalar), !("0"..."9").contains(scalar) else {
            throw wrong("bad escape \\\(scalar)")
        }
        return scalar
    }

    private mutating func bracket() throws(AdapterError) -> Int {
        let isNegated = take("^")
        var members: [@Sendable (Unicode.Scalar) -> Bool] = []
        let start = next
        while true {
            guard let scalar = peek() else { throw wrong("a '[' is not closed") }
            // The first bracket of a set is an ordinary character.
            if scalar == "]", next > start {
                next += 1
                break
            }
            guard let low = try member(&members) else { continue }
            guard peek() == "-", let after = peek(1), after != "]" else {
                members.append(range(low, low))
                continue
            }
            next += 1
            guard let high = try member(&members), high.value >= low.value else { throw wrong("bad character range") }
            members.append(range(low, high))
        }
        let found = members
        return add(.scalar { scalar in found.contains { $0(scalar) } != isNegated })
    }

    /// A scalar within brackets; nil for a class such as `\d`, which is added to `members`.
    private mutating func member(
        _ members: inout [@Sendable (Unicode.Scalar) -> Bool]
    ) throws(AdapterError) -> Unicode.Scalar? {
        guard take("\\") else {
            next += 1
            return scalars[next - 1]
        }
        guard let scalar = peek() else { throw wrong("a '[' is not closed") }
        if scalar == "b" {
            next += 1
            return "\u{8}"
        }
        guard let kind = Self.kinds[scalar] else { return try escaped() }
        next += 1
        members.append(kind)
        return nil
    }

    private func range(_ low: Unicode.Scalar, _ high: Unicode.Scalar) -> @Sendable (Unicode.Scalar) -> Bool {
        guard ignoresCase else { return { $0.value >= low.value && $0.value <= high.value } }
        return { scalar in
            let cases = [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping, "\(scalar)"]
            return cases.contains { text in
                text.unicodeScalars.count == 1 && text.unicodeScalars.allSatisfy { (low...high).contains($0) }
            }
        }
    }

    private static let controls: [Unicode.Scalar: Unicode.Scalar] = [
        "n": "\n", "t": "\t", "r": "\r", "f": "\u{C}", "v": "\u{B}", "a": "\u{7}", "0": "\0",
    ]

    private static let kinds: [Unicode.Scalar: @Sendable (Unicode.Scalar) -> Bool] = [
        "d": { $0.properties.generalCategory == .decimalNumber },
        "D": { $0.properties.generalCategory != .decimalNumber },
        "w": isWord, "W": { !isWord($0) }, "s": { $0.properties.isWhitespace }, "S": { !$0.properties.isWhitespace },
    ]

    @Sendable static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
    }
}
