import ArgumentParser
@_spi(Training) import CaptionMetrics
import Foundation

extension SpiceParserTool {
    /// Compares the tuples read off golden parses with the golden tuples.
    struct Tuples: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read tuples off the parses of a file and list where they differ from its tuples.")

        @Option(help: "JSON lines with caption, sentences and tuples.")
        var parses: String

        @Flag(help: "Start from the basic tree and collapse it, instead of from the collapsed graph.")
        var basic = false

        @Option(help: "How many differing captions to print.")
        var show = 20

        func run() throws {
            var agreeing = 0
            var shown = 0
            let rows = try jsonLines(GoldenParse.self, at: parses)
            for row in rows {
                let tuples = row.sentences.flatMap { sentence in
                    (basic ? sentence.basicParse.collapsed() : sentence.collapsedParse).sceneTuples()
                }
                let (ours, golden) = (tuples.map(\.row), row.tuples)
                if ours.map({ $0.joined(separator: "|") }).sorted()
                    == golden.map({ $0.joined(separator: "|") }).sorted()
                {
                    agreeing += 1
                    continue
                }
                shown += 1
                if shown > show { continue }
                print(row.caption)
                for sentence in row.sentences {
                    print(" ", sentence.words.map { "\($0.form)/\($0.tag)" }.joined(separator: " "))
                    let edges = basic ? sentence.basicParse.collapsed().edges : sentence.collapsedParse.edges
                    print(
                        "  edges", edges.map { "\($0.relation)(\($0.governor),\($0.dependent))" }.joined(separator: " ")
                    )
                    if basic {
                        let golden = Set(sentence.collapsedParse.edges)
                        print("  only ours", Set(edges).subtracting(golden), "only golden", golden.subtracting(edges))
                    }
                }
                print("  spurious", difference(ours, golden), "missing", difference(golden, ours))
            }
            print("captions with equal tuples: \(agreeing) of \(rows.count)")
        }

        private func difference(_ a: [[String]], _ b: [[String]]) -> [[String]] {
            var rest = b
            return a.filter { row in
                guard let i = rest.firstIndex(of: row) else { return true }
                rest.remove(at: i)
                return false
            }
        }
    }
}
