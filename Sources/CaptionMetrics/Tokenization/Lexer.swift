/// Cuts text into tokens by the rules of `LexerRules.treebank`, in time linear in the length of the text.
///
/// One value per thread, because it remembers the automaton states that it has met; its tokens depend only on the text.
struct Lexer {
    /// A token, or the end of a line. Tokens are as written, before lower-casing.
    enum Event {
        /// A token that is a stretch of the input, unchanged.
        case token(Range<Int>)
        /// A token that its rule rewrote.
        case rewritten([UInt16])
        case lineEnd
    }

    private let actions: [LexerRule.Action]
    private let hasLookahead: [Bool]
    private let classes: UnitClasses
    private var matcher: LazyMatcher
    /// For each rule with lookahead: the matchers of the text proper and of the text after it.
    private var splitters: [(head: LazyMatcher, tail: LazyMatcher)?]

    /// The rules, compiled once for the process.
    private struct Compiled: Sendable {
        let rules: [LexerRule]
        let whole: Automaton
        let heads: [Automaton?]
        let tails: [Automaton?]
        let classes: UnitClasses

        static let treebank: Compiled = {
            let rules = LexerRules.treebank.rules
            let whole = Automaton(
                rules.map { rule in
                    rule.lookahead.map { .sequence([rule.pattern, $0]) } ?? rule.pattern
                })
            return Compiled(
                rules: rules, whole: whole,
                heads: rules.map { rule in rule.lookahead == nil ? nil : Automaton([rule.pattern]) },
                tails: rules.map { rule in rule.lookahead.map { Automaton([$0]) } },
                classes: UnitClasses(separating: whole.sets))
        }()
    }

    init() {
        let compiled = Compiled.treebank
        actions = compiled.rules.map(\.action)
        hasLookahead = compiled.rules.map { $0.lookahead != nil }
        classes = compiled.classes
        matcher = LazyMatcher(compiled.whole, classes: classes)
        splitters = zip(compiled.heads, compiled.tails).map { head, tail in
            guard let head, let tail else { return nil }
            return (LazyMatcher(head, classes: compiled.classes), LazyMatcher(tail, classes: compiled.classes))
        }
    }

    /// How far past the last accepted end the automaton may run before failures are remembered.
    private static let freeOverrun = 64

    /// Calls `body` with every token and line end of `units`, and the offset it starts at.
    ///
    /// Reading past the end of the longest match is what could make a scanner quadratic (`<a <a <a …`). After
    /// `freeOverrun` units without a match, the pairs of state and offset that led nowhere are remembered and never
    /// tried again, so the total work is at most (automaton states) x (length) (Reps, "Maximal-munch tokenization in
    /// linear time", TOPLAS 1998).
    mutating func scan(_ units: UnsafeBufferPointer<UInt16>, _ body: (Int, Event) -> Void) {
        var deadEnds = Set<UInt64>()
        var hasDeadEnds = false
        var overrunStates: [Int32] = []
        var start = 0
        let count = units.count
        while start < count {
            var state = matcher.start
            var position = start
            var bestRule: Int32 = -1
            var bestEnd = start
            while position < count {
                let next = matcher.step(state, matcher.classOf(units[position]))
                if next == LazyMatcher.dead { break }
                if hasDeadEnds, deadEnds.contains(Self.key(next, position)) { break }
                state = next
                position += 1
                let rule = matcher.accepted(state)
                if rule >= 0 {
                    bestRule = rule
                    bestEnd = position
                    if !overrunStates.isEmpty { overrunStates.removeAll(keepingCapacity: true) }
                } else if position - bestEnd > Self.freeOverrun {
                    overrunStates.append(state)
                }
            }
            if !overrunStates.isEmpty {
                // The states entered by reading the units at position - overrunStates.count … position - 1.
                for (index, dead) in overrunStates.enumerated() {
                    deadEnds.insert(Self.key(dead, position - overrunStates.count + index))
                }
                hasDeadEnds = true
                overrunStates.removeAll(keepingCapacity: true)
            }
            // The last rule takes any unit, so something has matched.
            let rule = Int(bestRule)
            let end = hasLookahead[rule] ? head(of: rule, units, start, bestEnd) : bestEnd
            emit(actions[rule], units, start..<end, body)
            start = end
        }
    }

    /// Identifies the event that `state` was reached by reading the unit at `position`.
    private static func key(_ state: Int32, _ position: Int) -> UInt64 {
        UInt64(UInt32(bitPattern: state)) << 40 | UInt64(position)
    }

    /// Where the text proper of a rule with lookahead ends: as late as the rest still matches what must follow.
    private mutating func head(of rule: Int, _ units: UnsafeBufferPointer<UInt16>, _ start: Int, _ end: Int) -> Int {
        guard var splitter = splitters[rule] else { return end }
        splitters[rule] = nil
        defer { splitters[rule] = splitter }
        var ends: [Int] = []
        var state = splitter.head.start
        var position = start
        while position < end {
            state = splitter.head.step(state, splitter.head.classOf(units[position]))
            if state == LazyMatcher.dead { break }
            position += 1
            if splitter.head.accepted(state) >= 0 { ends.append(position) }
        }
        for candidate in ends.reversed() {
            var state = splitter.tail.start
            var position = candidate
            while position < end {
                state = splitter.tail.step(state, splitter.tail.classOf(units[position]))
                if state == LazyMatcher.dead { break }
                position += 1
            }
            if state != LazyMatcher.dead, position == end, splitter.tail.accepted(state) >= 0 { return candidate }
        }
        return end
    }

    private func emit(
        _ action: LexerRule.Action, _ units: UnsafeBufferPointer<UInt16>, _ range: Range<Int>,
        _ body: (Int, Event) -> Void
    ) {
        let start = range.lowerBound
        func rewritten(_ change: ([UInt16]) -> [UInt16]) {
            body(start, .rewritten(change(Array(units[range]))))
        }
        switch action {
        case .keep: body(start, .token(range))
        case .word:
            if units[range].contains(0xAD) { rewritten(Self.withoutSoftHyphens) } else { body(start, .token(range)) }
        case .joined: rewritten { $0.map { $0 == 0x20 || $0 == 0x09 ? 0xA0 : $0 } }
        case .clitic: rewritten(Self.plainApostrophes)
        case .ampersands:
            rewritten { Self.withoutSoftHyphens(Self.replacing("&amp;", with: "&", in: $0)) }
        case .brackets: rewritten(Self.namedParentheses)
        case .quotes: rewritten { $0.flatMap { Self.treebankQuote[$0] ?? [$0] } }
        case .sentenceEnd:
            body(start, .token(range))
            body(start, .rewritten([0x2E]))
        case .replace(let replacement): rewritten { _ in Array(replacement.utf16) }
        case .lineEnd: body(start, .lineEnd)
        case .drop: break
        }
    }

    /// The Treebank form of typographic quotation marks.
    private static let treebankQuote: [UInt16: [UInt16]] = {
        var table: [UInt16: [UInt16]] = [:]
        for unit: UInt16 in [0x91, 0x2018, 0x201B, 0x2039] { table[unit] = [0x60] }
        for unit: UInt16 in [0x92, 0x2019, 0x203A] { table[unit] = [0x27] }
        for unit: UInt16 in [0x93, 0x201C, 0xAB] { table[unit] = [0x60, 0x60] }
        for unit: UInt16 in [0x94, 0x201D, 0xBB] { table[unit] = [0x27, 0x27] }
        return table
    }()

    /// A text of nothing but soft hyphens becomes a hyphen.
    private static func withoutSoftHyphens(_ text: [UInt16]) -> [UInt16] {
        let rest = text.filter { $0 != 0xAD }
        return rest.isEmpty ? [0x2D] : rest
    }

    private static func plainApostrophes(_ text: [UInt16]) -> [UInt16] {
        replacing("&apos;", with: "'", in: text).map { unit in
            switch unit {
            case 0x92, 0x2019: 0x27
            case 0x91, 0x2018, 0x201B: 0x60
            default: unit
            }
        }
    }

    private static func namedParentheses(_ text: [UInt16]) -> [UInt16] {
        text.flatMap { unit -> [UInt16] in
            switch unit {
            case 0x28: Array("-LRB-".utf16)
            case 0x29: Array("-RRB-".utf16)
            case 0x20: [0xA0]
            default: [unit]
            }
        }
    }

    /// `text` with every `pattern` (in either case) replaced.
    private static func replacing(
        _ pattern: String, with replacement: String, in text: [UInt16]
    ) -> [UInt16] {
        let pattern = Array(pattern.utf16)
        guard text.contains(pattern[0]) else { return text }
        var result: [UInt16] = []
        var index = 0
        while index < text.count {
            if index + pattern.count <= text.count,
                zip(text[index...], pattern).allSatisfy({ ($0 | 0x20) == ($1 | 0x20) })
            {
                result.append(contentsOf: replacement.utf16)
                index += pattern.count
            } else {
                result.append(text[index])
                index += 1
            }
        }
        return result
    }
}
