import Foundation
import Testing

@testable import CaptionMetrics

@Suite struct SpiceGraphTests {
    private struct Graph: Decodable {
        let words: [[String]]
        let edges: [SpiceEdgeRow]
        let collapsed: [String]
        let tuples: [String]

        var parse: DependencyParse {
            DependencyParse(
                words: words.map { DependencyParse.Word(form: $0[0], tag: $0[1], lemma: $0[2]) },
                edges: edges.map(\.edge))
        }
    }

    @Test func handWrittenGraphs() throws {
        for graph in try SpiceSupport.lines(Graph.self, SpiceSupport.fixture("graphs.jsonl")) {
            let sentence = graph.words.map { $0[0] }.joined(separator: " ")
            let collapsed = graph.parse.collapsed()
            let edges = Set(collapsed.edges.map { "\($0.relation)(\($0.governor),\($0.dependent))" })
            for edge in graph.collapsed {
                #expect(edges.contains(edge), "\(sentence): \(edge) not in \(edges.sorted())")
            }
            #expect(collapsed.sceneTuples().map(\.description).sorted() == graph.tuples.sorted(), "\(sentence)")
        }
    }

    @Test func emptyParse() {
        #expect(DependencyParse(words: [], edges: []).collapsed().sceneTuples().isEmpty)
    }

    private struct Parse: Decodable {
        struct Sentence: Decodable {
            let tokens: [[String]]
            let basic: [SpiceEdgeRow]
            let collapsed: [SpiceEdgeRow]

            enum CodingKeys: String, CodingKey {
                case tokens, basic
                case collapsed = "collapsed_cc"
            }

            func parse(_ edges: [SpiceEdgeRow]) -> DependencyParse {
                DependencyParse(
                    words: tokens.map { DependencyParse.Word(form: $0[0], tag: $0[1], lemma: $0[2]) },
                    edges: edges.map(\.edge))
            }
        }

        let caption: String
        let sentences: [Sentence]
        let tuples: [[String]]
    }

    /// Two of the 361 golden captions differ, both from collapsed and from basic edges: one whose graph has a word in a
    /// conjunction with itself, one whose two possessives refer to nothing before them.
    @Test(.enabled(if: GoldenFiles.have("spice_parses.jsonl.gz")), arguments: [false, true])
    func goldenTuplesFromGoldenParses(_ basic: Bool) throws {
        let file = GoldenFiles.path("spice_parses.jsonl.gz")
        let rows = try SpiceSupport.lines(Parse.self, SpiceSupport.unzipped(file))
        let different = rows.filter { row in
            let ours = row.sentences.flatMap { sentence in
                (basic ? sentence.parse(sentence.basic).collapsed() : sentence.parse(sentence.collapsed)).sceneTuples()
            }
            return ours.map(\.description).sorted() != row.tuples.map { sceneTuple($0).description }.sorted()
        }
        #expect(rows.count == 361)
        #expect(
            Set(different.map(\.caption)).isSubset(of: [
                "A cluttered room with a sink, a toilet and in industrial mop bucket.", "His watch is on her wrist.",
            ]), "\(different.map(\.caption))")
    }
}
