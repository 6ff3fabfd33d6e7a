// Regular expressions as Python's `re` reads them.
//
// PEFT's settings use them in many places: `target_modules` and `exclude_modules` as one string, the keys of
// `rank_pattern` and `alpha_pattern`, the names in `layers_pattern` and `modules_to_save`. Swift's `Regex` is another
// dialect (no lookbehind, set operators inside brackets). Both backtrack, so the configuration of an adapter could keep
// a program busy forever. Here only the question matters whether a path matches, not what a group captured, so a set of
// positions is enough: the work grows with the length of the pattern and the square of the length of the path.

/// A Python regular expression, matched against module paths.
struct PythonPattern: Sendable {
    /// The pattern as written.
    let source: String
    private var nodes: [PatternNode] = []
    private var root = 0

    /// - Throws: `AdapterError.invalidPattern` for what Python refuses, and for the few constructs whose result depends
    ///   on more than a set of positions (back-references, conditions, atomic groups).
    init(_ source: String) throws(AdapterError) {
        self.source = source
        var parser = PatternParser(source)
        root = try parser.parse()
        nodes = parser.nodes
    }

    /// `re.fullmatch`.
    func matchesWhole(_ text: String) -> Bool {
        var matcher = PatternMatcher(nodes: nodes, text: Array(text.unicodeScalars))
        return matcher.ends(of: root, from: 0).contains(matcher.text.count)
    }

    /// `re.match`: whether it matches from the start of the text up to any place.
    func matchesStart(_ text: String) -> Bool {
        var matcher = PatternMatcher(nodes: nodes, text: Array(text.unicodeScalars))
        return !matcher.ends(of: root, from: 0).isEmpty
    }

    /// The ends, in unicode scalars, of matches that begin at `position`.
    func ends(in text: [Unicode.Scalar], from position: Int) -> [Int] {
        var matcher = PatternMatcher(nodes: nodes, text: text)
        return matcher.ends(of: root, from: position).sorted()
    }
}

/// A regular expression for the end of a path, which begins at the path's start or after a dot: a key of `rank_pattern`
/// or `alpha_pattern`.
struct EndingPattern: Sendable {
    private let pattern: PythonPattern
    /// The scalars of a key that is a plain path, in which only dots are special.
    private let plain: [Unicode.Scalar]?

    /// - Throws: `AdapterError.invalidPattern`.
    init(_ source: String) throws(AdapterError) {
        pattern = try PythonPattern(#"(.*\.)?("# + source + ")$")
        let isPlain = source.unicodeScalars.allSatisfy {
            $0 == "." || $0 == "-" || ($0.isASCII && PatternParser.isWord($0))
        }
        plain = isPlain ? Array(source.unicodeScalars) : nil
    }

    /// Adapters may name hundreds of layers one by one (EVA does), and each name is tried on every module, so plain
    /// keys are compared directly.
    func matches(_ scalars: [Unicode.Scalar]) -> Bool {
        guard let plain else { return pattern.ends(in: scalars, from: 0).contains(scalars.count) }
        let start = scalars.count - plain.count
        guard start == 0 || (start > 0 && scalars[start - 1] == ".") else { return false }
        return zip(plain, scalars[start...]).allSatisfy { $0 == "." ? $1 != "\n" : $0 == $1 }
    }
}

/// A part of a pattern; parts are named by their index.
enum PatternNode: Sendable {
    case scalar(@Sendable (Unicode.Scalar) -> Bool)
    case sequence([Int])
    case alternatives([Int])
    /// At least `min` and at most `max` times; nil means without limit.
    case repeated(Int, min: Int, max: Int?)
    case look(Int, ahead: Bool, isNegated: Bool)
    case start
    case end
    case wordBoundary(isNegated: Bool)
}

/// Follows a pattern through a text, as sets of positions.
private struct PatternMatcher {
    let nodes: [PatternNode]
    let text: [Unicode.Scalar]
    private var known: [[Int: Set<Int>]]

    init(nodes: [PatternNode], text: [Unicode.Scalar]) {
        self.nodes = nodes
        self.text = text
        known = Array(repeating: [:], count: nodes.count)
    }

    /// Every position at which a match of `node` that begins at `position` can end.
    mutating func ends(of node: Int, from position: Int) -> Set<Int> {
        if let ends = known[node][position] { return ends }
        let ends = find(nodes[node], position)
        known[node][position] = ends
        return ends
    }

    private mutating func ends(of node: Int, from positions: Set<Int>) -> Set<Int> {
        var all: Set<Int> = []
        for position in positions { all.formUnion(ends(of: node, from: position)) }
        return all
    }

    private mutating func find(_ node: PatternNode, _ position: Int) -> Set<Int> {
        switch node {
        case .scalar(let matches):
            return position < text.count && matches(text[position]) ? [position + 1] : []
        case .sequence(let parts):
            var reached: Set<Int> = [position]
            for part in parts where !reached.isEmpty { reached = ends(of: part, from: reached) }
            return reached
        case .alternatives(let parts):
            var reached: Set<Int> = []
            for part in parts { reached.formUnion(ends(of: part, from: position)) }
            return reached
        case .repeated(let part, let min, let max):
            return repetitions(of: part, min, max, position)
        case .look(let part, let ahead, let isNegated):
            let found: Bool
            if ahead {
                found = !ends(of: part, from: position).isEmpty
            } else {
                found = (0...position).contains { ends(of: part, from: $0).contains(position) }
            }
            return found != isNegated ? [position] : []
        case .start: return position == 0 ? [position] : []
        case .end: return position == text.count ? [position] : []
        case .wordBoundary(let isNegated):
            let before = position > 0 && PatternParser.isWord(text[position - 1])
            let after = position < text.count && PatternParser.isWord(text[position])
            return (before != after) != isNegated ? [position] : []
        }
    }

    private mutating func repetitions(of part: Int, _ min: Int, _ max: Int?, _ position: Int) -> Set<Int> {
        var reached: Set<Int> = [position]
        // After as many rounds as there are positions, another round changes nothing, because some round added no
        // position.
        for _ in 0..<Swift.min(min, text.count + 1) { reached = ends(of: part, from: reached) }
        var all = reached
        var round = min
        while !reached.isEmpty, max.map({ round < $0 }) ?? true {
            reached = ends(of: part, from: reached).subtracting(all)
            all.formUnion(reached)
            round += 1
        }
        return all
    }
}
