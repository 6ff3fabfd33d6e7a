import ArgumentParser
@_spi(Training) import CaptionMetrics
import Foundation

extension SpiceParserTool {
    /// Compares the whole pipeline with golden SPICE values.
    struct Evaluate: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Compare spice-native with golden SPICE values, image by image.")

        @Option(help: "The parser; default: the one that ships.")
        var parser: String?

        @Option(help: "Images with cand_tok and refs_tok.")
        var scores: String

        @Option(help: "Golden SPICE per image.")
        var golden: String

        @Option(help: "Golden tuples per caption.")
        var tuples: String

        @Option(help: "Golden parses; images with one of these captions are the development part.")
        var parses: String

        @Option(help: "METEOR\'s data file, for WordNet (default: where gmail data meteor puts it).")
        var meteorData: String?

        @Option(
            help: "Print the most frequent spurious and missing tuples, and differing captions, of development images.")
        var show = 0

        @Flag(help: "Print differing captions too.")
        var captions = false

        @Option(help: "Write caption, tuples and score of every development image to this file.")
        var dump: String?

        func run() throws {
            let parser = try self.parser.map { try CaptionParser(contentsOf: URL(fileURLWithPath: $0)) } ?? .bundled()
            let decoder = JSONDecoder()
            let images = try decoder.decode(GoldenImages.self, from: contents(of: scores)).images
            let values = try decoder.decode(GoldenSpice.self, from: contents(of: golden)).images
            let parses = try jsonLines(GoldenParse.self, at: parses)
            let development = Set(parses.map(\.caption))
            var goldenTuples: [String: [[String]]] = [:]
            for row in try jsonLines(GoldenTuples.self, at: tuples) { goldenTuples[row.caption] = row.tuples }
            let byIdentifier = Dictionary(images.map { ($0.imageID, $0) }, uniquingKeysWith: { a, _ in a })
            let rows = values.compactMap { value in byIdentifier[value.imageID].map { (image: $0, value: value) } }

            let wordNet = try WordNetLookup(path: meteorData)
            let scorer = SpiceScorer(parser: parser, synsets: wordNet)
            let start = ContinuousClock().now
            let result = try scorer.evaluate(
                candidates: rows.map(\.image.candidate), references: rows.map(\.image.references))
            print("\(rows.count) images in \(ContinuousClock().now - start), \(scorer.protocolTag)")
            let parts = [
                ("all images", Array(rows.indices)),
                ("development", rows.indices.filter { rows[$0].image.touches(development) }),
                ("held out", rows.indices.filter { !rows[$0].image.touches(development) }),
            ]
            for (name, part) in parts {
                let ours = part.map { result.images[$0].all.f1 }
                let theirs = part.map { rows[$0].value.spice }
                let counts = part.reduce(into: TupleAgreement()) { counts, i in
                    for caption in [rows[i].image.candidate] + rows[i].image.references {
                        counts.add(scorer.tuples(of: caption).map(\.row), goldenTuples[caption] ?? [])
                    }
                }
                print(
                    String(
                        format: "%@: %d images, SPICE ours %.4f golden %.4f, Pearson %.4f, ",
                        name, part.count, mean(ours), mean(theirs), pearson(ours, theirs)), counts)
            }
            if let dump {
                let lines = parts[1].1.map { i in
                    let captions = [rows[i].image.candidate] + rows[i].image.references
                    let tuples = captions.map {
                        "  \($0)\n    ours \(scorer.tuples(of: $0))\n    golden \(goldenTuples[$0] ?? [])\n"
                    }
                    return "\(result.images[i].all.f1 - rows[i].value.spice) \(rows[i].image.imageID)\n"
                        + tuples.joined()
                }
                try Data(lines.joined().utf8).write(to: URL(fileURLWithPath: dump))
            }
            if show > 0 { printDifferences(scorer, rows.map(\.image).filter { $0.touches(development) }, goldenTuples) }
        }

        private func printDifferences(
            _ scorer: SpiceScorer, _ images: [GoldenImages.Image], _ golden: [String: [[String]]]
        ) {
            var spurious: [String: Int] = [:]
            var missing: [String: Int] = [:]
            var printed = 0
            for caption in Set(images.flatMap { [$0.candidate] + $0.references }).sorted() {
                let ours = scorer.tuples(of: caption).map { $0.row.joined(separator: "|") }
                let theirs = (golden[caption] ?? []).map { $0.joined(separator: "|") }
                let (extra, lost) = (ours.filter { !theirs.contains($0) }, theirs.filter { !ours.contains($0) })
                for tuple in extra { spurious[tuple, default: 0] += 1 }
                for tuple in lost { missing[tuple, default: 0] += 1 }
                if captions, !(extra.isEmpty && lost.isEmpty), printed < show {
                    printed += 1
                    let parse = scorer.parse(of: caption)
                    print(parse.words.map { "\($0.form)/\($0.tag)" }.joined(separator: " "))
                    print(
                        "  ", parse.edges.map { "\($0.dependent)<\($0.governor):\($0.relation)" }.joined(separator: " ")
                    )
                    print("   spurious", extra, "missing", lost)
                }
            }
            for (name, table) in [("spurious", spurious), ("missing", missing)] {
                let top = table.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(show)
                print(name, top.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
            }
        }
    }
}

/// Micro-averaged agreement of proposed tuples.
struct TupleAgreement: CustomStringConvertible {
    private var ours = 0
    private var golden = 0
    private var shared = 0

    mutating func add(_ a: [[String]], _ b: [[String]]) {
        let (a, b) = (Set(a), Set(b))
        ours += a.count
        golden += b.count
        shared += a.intersection(b).count
    }

    var description: String {
        String(
            format: "tuples ours %d golden %d, precision %.3f, recall %.3f", ours, golden,
            Double(shared) / Double(max(ours, 1)), Double(shared) / Double(max(golden, 1)))
    }
}

func mean(_ values: [Double]) -> Double { values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count) }

func pearson(_ x: [Double], _ y: [Double]) -> Double {
    let (a, b) = (mean(x), mean(y))
    let covariance = zip(x, y).reduce(0) { $0 + ($1.0 - a) * ($1.1 - b) }
    let spread = x.reduce(0) { $0 + ($1 - a) * ($1 - a) } * y.reduce(0) { $0 + ($1 - b) * ($1 - b) }
    return spread == 0 ? 0 : covariance / spread.squareRoot()
}

struct GoldenImages: Decodable {
    struct Image: Decodable {
        let imageID: Int
        let candidate: String
        let references: [String]

        enum CodingKeys: String, CodingKey {
            case imageID = "image_id"
            case candidate = "cand_tok"
            case references = "refs_tok"
        }

        func touches(_ captions: Set<String>) -> Bool {
            captions.contains(candidate) || references.contains(where: captions.contains)
        }
    }

    let images: [Image]
}

struct GoldenSpice: Decodable {
    struct Image: Decodable {
        let imageID: Int
        let spice: Double

        enum CodingKeys: String, CodingKey {
            case imageID = "image_id"
            case spice = "SPICE"
        }
    }

    let images: [Image]
}

struct GoldenTuples: Decodable {
    let caption: String
    let tuples: [[String]]
}
