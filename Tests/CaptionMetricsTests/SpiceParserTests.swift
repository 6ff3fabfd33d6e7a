import Foundation
import Testing

@_spi(Training) @testable import CaptionMetrics

@Suite struct SpiceParserTests {
    private func parse(_ caption: String) throws -> DependencyParse {
        try SpiceSupport.parser.get().parse(caption.split(separator: " ").map(String.init))
    }

    /// One root, one governor per word, no cycle.
    private func isTree(_ parse: DependencyParse) -> Bool {
        guard parse.edges.map(\.dependent) == Array(1..<(parse.words.count + 1)) else { return false }
        guard parse.edges.count(where: { $0.governor == 0 }) == 1 else { return false }
        return parse.edges.allSatisfy { edge in
            var position = edge.governor
            var steps = 0
            while position != 0, steps <= parse.words.count {
                position = parse.edges[position - 1].governor
                steps += 1
            }
            return position == 0
        }
    }

    @Test(arguments: [
        ("a man is riding a horse", ["man-ride-horse", "man", "horse"]),
        ("two small dogs", ["dog-small", "dog-two", "dog"]),
        ("a woman is holding a red umbrella", ["woman-hold-umbrella", "umbrella-red", "woman", "umbrella"]),
        (
            "a group of people sitting at a table",
            ["people-sit at-table", "group-of-people", "group", "people", "table"]
        ),
        ("a black and white cat on a bed", ["cat-black", "cat-white", "cat-on-bed", "cat", "bed"]),
        ("a bowl of fruit next to a lamp", ["bowl-of-fruit", "bowl", "fruit", "lamp"]),
        ("a tennis player", ["player-tennis"]),
        ("the boy has a blue kite", ["boy-have-kite", "kite-blue", "boy", "kite"]),
    ])
    func plainCaptions(_ caption: String, _ expected: [String]) throws {
        let tuples = try parse(caption).collapsed().sceneTuples().map(\.description)
        #expect(Set(expected).isSubset(of: Set(tuples)), "\(caption): \(tuples)")
    }

    @Test func lemmas() throws {
        let lemmatizer = try SpiceSupport.parser.get().lemmatizer
        let table = [
            ("dogs", "NNS", "dog"), ("men", "NNS", "man"), ("children", "NNS", "child"), ("benches", "NNS", "bench"),
            ("puppies", "NNS", "puppy"), ("grass", "NN", "grass"), ("knives", "NNS", "knife"), ("buses", "NNS", "bus"),
            ("sitting", "VBG", "sit"), ("riding", "VBG", "ride"), ("has", "VBZ", "have"), ("is", "VBZ", "be"),
            ("parked", "VBN", "park"), ("carries", "VBZ", "carry"), ("lying", "VBG", "lie"),
            ("holding", "NN", "holding"),
            ("walking", "VBG", "walk"), ("an", "DT", "a"), ("his", "PRP$", "he"), ("making", "VBG", "make"),
        ]
        for (form, tag, lemma) in table { #expect(lemmatizer.lemma(of: form, tag: tag) == lemma, "\(form)/\(tag)") }
    }

    @Test func emptyAndOddInput() throws {
        #expect(try parse("").words.isEmpty)
        for caption in ["a", ".", "-lrb- -rrb-", "\u{1F600}", "é e\u{301}", String(repeating: "x", count: 5000)] {
            #expect(isTree(try parse(caption)), "\(caption.prefix(20))")
        }
    }

    /// Random words and random scraps of bytes: always a tree, always the same one.
    @Test func randomTokensGiveTrees() throws {
        let parser = try SpiceSupport.parser.get()
        var state: UInt64 = 42
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
        let words = "a the of on in front top next to and man dogs riding red is that with two it 's , -rrb- 7 , ?"
            .split(
                separator: " "
            ).map(String.init)
        for _ in 0..<400 {
            let tokens = (0..<(1 + next(30))).map { _ in
                next(3) > 0
                    ? words[next(words.count)]
                    : String(decoding: (0..<(1 + next(8))).map { _ in UInt8(next(256)) }, as: UTF8.self)
            }
            let parse = parser.parse(tokens)
            #expect(isTree(parse), "\(tokens)")
            #expect(parse == parser.parse(tokens))
            _ = parse.collapsed().sceneTuples()
        }
    }

    /// The parser takes linear time, so a very long caption is no problem; the stages after it must not be one either.
    @Test func longCaption() throws {
        let parser = try SpiceSupport.parser.get()
        let tokens = (0..<2000).map { ["a", "dog", "on", "the", "bed", "with", "cats"][$0 % 7] }
        let start = ContinuousClock.now
        #expect(isTree(parser.parse(tokens)))
        #expect(ContinuousClock.now - start < .seconds(20))
    }

    @Test func fileSurvivesTheRoundTrip() throws {
        let parser = try SpiceSupport.parser.get()
        let bytes = [UInt8](parser.data())
        let again = try CaptionParser(bytes: bytes, path: "again")
        #expect(again.hash == parser.hash)
        #expect(again.parse(["a", "cat", "on", "a", "mat"]) == parser.parse(["a", "cat", "on", "a", "mat"]))
        #expect(bytes.count <= 8_000_000)
    }

    @Test func damagedFiles() throws {
        let bytes = [UInt8](try SpiceSupport.parser.get().data())
        func error(_ bytes: [UInt8]) -> CaptionParserError? {
            #expect(throws: CaptionParserError.self) { try CaptionParser(bytes: bytes, path: "p.bin") }
        }
        #expect(error([]) == .notAParser(path: "p.bin"))
        #expect(error(Array("ELF".utf8)) == .notAParser(path: "p.bin"))
        var version = bytes
        version[4] = 99
        #expect(error(version) == .version(path: "p.bin", found: 99))
        for length in [6, 10, 100, bytes.count / 2, bytes.count - 1] {
            #expect(error(Array(bytes.prefix(length))) != nil, "\(length)")
        }
        #expect(error(bytes + [0]) == .corrupt(path: "p.bin", detail: "bytes follow the last table"))
        var classes = bytes
        classes[8] = 3
        #expect(error(classes) == .corrupt(path: "p.bin", detail: "a model has 3 classes, expected 49"))
    }

    @Test(arguments: [
        (
            CaptionParserError.missing(path: "a.bin"),
            "caption parser 'a.bin': no such file; it ships beside the program, so copy that folder along "
                + "(or make one with 'spice-parser train', docs/spice.md)"
        ),
        (
            .notAParser(path: "a.bin"),
            "caption parser 'a.bin': the file does not start with 'SPCP'; expected a file written by "
                + "'spice-parser train'"
        ),
        (
            .version(path: "a.bin", found: 7),
            "caption parser 'a.bin': file version 7, expected 1; train it again with this version of "
                + "'spice-parser train'"
        ),
        (
            .truncated(path: "a.bin", expected: 10, found: 4),
            "caption parser 'a.bin': 4 bytes, expected at least 10; copy the file again"
        ),
        (.corrupt(path: "a.bin", detail: "x"), "caption parser 'a.bin': x; copy the file again"),
    ])
    func messages(_ error: CaptionParserError, _ text: String) {
        #expect(error.description == text)
        #expect(error.localizedDescription == text)
    }

    @Test func missingFile() {
        #expect(throws: CaptionParserError.missing(path: "/nowhere/p.bin")) {
            try CaptionParser(contentsOf: URL(fileURLWithPath: "/nowhere/p.bin"))
        }
    }

    /// The dynamic oracle: transitions of no cost lead to the gold tree whichever of them are taken, and a transition
    /// with a cost makes the gold tree unreachable.
    @Test func dynamicOracleCosts() {
        func reaches(_ state: TransitionState, _ gold: [Int]) -> Bool {
            if state.isFinal { return state.heads == gold }
            return TransitionState.Transition.allCases.filter(state.allows).contains { transition in
                var next = state
                next.apply(transition)
                return reaches(next, gold)
            }
        }
        // Projective trees over four words; 4 stands for the root.
        for gold in [[1, 4, 1, 2], [4, 0, 1, 2], [1, 2, 3, 4], [2, 2, 4, 2], [1, 4, 3, 1]] {
            var states = [TransitionState(count: 4)]
            var finished = 0
            while let state = states.popLast() {
                if state.isFinal {
                    #expect(state.heads == gold)
                    finished += 1
                    continue
                }
                for transition in TransitionState.Transition.allCases where state.allows(transition) {
                    var next = state
                    next.apply(transition)
                    let isFree = state.cost(of: transition, gold: gold) == 0
                    #expect(isFree == reaches(next, gold), "\(gold) \(transition)")
                    if isFree { states.append(next) }
                }
            }
            #expect(finished > 0)
        }
    }
}
