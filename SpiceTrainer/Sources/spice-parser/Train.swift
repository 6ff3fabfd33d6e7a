import ArgumentParser
import CaptionFiles
@_spi(Training) import CaptionMetrics
import Files
import Foundation

extension SpiceParserTool {
    /// Trains the parser and reports how well it does.
    struct Train: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Train the parser from a UD treebank.")

        @Option(help: "Folder with en_ewt-ud-{train…,dev,test}.conllu, plain or compressed.")
        var treebank: String

        @Option(help: "Passes over the training data.")
        var iterations = 8

        @Option(help: "Golden caption parses to measure agreement with.")
        var parses: String?

        @Option(help: "Where to write the parser.")
        var out: String

        @Option(help: "Averaged weights below this many updates are dropped.")
        var threshold: Float = 0.1

        @Option(help: "How many made-up captions to add.")
        var captions = 12000

        @Option(help: "Raw captions, one COCO annotation file; only its words are used, to choose lemmas.")
        var annotations: String?

        func run() throws {
            let files = try FileManager.default.contentsOfDirectory(atPath: treebank).sorted()
            func part(_ name: String) throws -> [TrainingSentence] {
                guard let file = files.first(where: { $0.contains("-\(name).") }) else {
                    throw ToolError("'\(treebank)' holds no file with '-\(name).' in its name: \(files)")
                }
                return try Treebank.read(treebank + "/" + file)
            }
            let train = try part("train")
            print("training sentences \(train.count), words \(train.reduce(0) { $0 + $1.count })")
            var training = ModelTraining()
            training.iterations = iterations
            training.threshold = threshold
            var grammar = CaptionGrammar(seed: training.seed)
            let madeUp = grammar.sentences(captions)
            for sentence in madeUp.prefix(5) { print("made up:", sentence.forms.joined(separator: " ")) }
            let examples = (train + madeUp).map { ModelTraining.Example($0) }
            let words = try annotations.map { try CaptionWords.read($0) } ?? []
            let exceptions = LemmaExceptions.find(in: train, words: words)
            let clock = ContinuousClock()
            let start = clock.now
            let tagger = training.tagger(examples)
            print("tagger", clock.now - start)
            let tags = training.jackknifedTags(examples)
            print("jackknife", clock.now - start)
            let transitions = training.transitions(examples, tags: tags)
            print("transitions", clock.now - start, transitions.keys.count)
            let labeler = training.labeler(examples, tags: tags)
            print("labeler", clock.now - start)
            let parser = CaptionParser(
                tagger: tagger, transitions: transitions, labeler: labeler,
                lemmatizer: Lemmatizer(exceptions: exceptions))
            let data = parser.data()
            try data.write(to: URL(fileURLWithPath: out), options: .atomic)
            print("wrote \(out): \(data.count) bytes, hash \(ContentHash.sha256(of: [UInt8](data)))")
            print("EWT dev", Accuracy(parser, on: try part("dev")))
            print("EWT test", Accuracy(parser, on: try part("test")))
            if let parses {
                print("captions", Accuracy(parser, on: try GoldenParse.captions(at: parses)))
            }
        }
    }
}

extension GoldenParse {
    /// The sentences whose captions are as SPICE reads them: lower case, without sentence punctuation.
    static func captions(at path: String) throws -> [TrainingSentence] {
        try jsonLines(GoldenParse.self, at: path)
            .filter { row in
                row.caption == row.caption.lowercased()
                    && !row.sentences.contains { $0.tokens.contains { [".", ",", "``", "''"].contains($0[1]) } }
            }
            .flatMap(\.sentences).map { TrainingSentence($0) }
    }
}

extension TrainingSentence {
    init(_ golden: GoldenParse.Sentence) {
        forms = golden.tokens.map { $0[0] }
        tags = golden.tokens.map { $0[1] }
        lemmas = golden.tokens.map { $0[2] }
        heads = Array(repeating: forms.count, count: forms.count)
        labels = Array(repeating: "dep", count: forms.count)
        for edge in golden.basic.map(\.edge) {
            heads[edge.dependent - 1] = edge.governor == 0 ? forms.count : edge.governor - 1
            labels[edge.dependent - 1] = edge.relation
        }
    }
}

extension SpiceParserTool {
    /// Measures a parser on annotated sentences.
    struct Measure: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Report the accuracy of a parser on a treebank file or on golden caption parses.")

        @Option(help: "The parser; default: the one that ships.")
        var parser: String?

        @Option(help: "A .conllu file, plain or compressed.")
        var treebank: String?

        @Option(help: "Golden caption parses.")
        var parses: String?

        @Option(help: "How many of the most frequent confusions to print.")
        var show = 0

        func run() throws {
            let parser = try self.parser.map { try CaptionParser(contentsOf: URL(fileURLWithPath: $0)) } ?? .bundled()
            var sentences: [TrainingSentence] = []
            if let treebank { sentences += try Treebank.read(treebank) }
            if let parses {
                sentences += try GoldenParse.captions(at: parses)
            }
            print(Accuracy(parser, on: sentences))
            for line in Accuracy.confusions(parser, on: sentences, limit: show) { print(line) }
        }
    }
}

/// Agreement of a parser with annotated sentences.
struct Accuracy: CustomStringConvertible {
    var words = 0
    var tags = 0
    var heads = 0
    var labels = 0
    var headsOnGoldTags = 0

    init(_ parser: CaptionParser, on sentences: [TrainingSentence]) {
        for sentence in sentences {
            let parse = parser.parse(sentence.forms)
            let gold = ModelTraining.Example(sentence)
            let onGold = parser.heads(shapes: gold.shapes, tags: gold.tags)
            for i in sentence.forms.indices {
                words += 1
                if parse.words[i].tag == sentence.tags[i] { tags += 1 }
                let edge = parse.edges[i]
                let head = edge.governor == 0 ? sentence.count : edge.governor - 1
                if onGold[i] == sentence.heads[i] { headsOnGoldTags += 1 }
                guard head == sentence.heads[i] else { continue }
                heads += 1
                if edge.relation == sentence.labels[i] { labels += 1 }
            }
        }
    }

    /// What was taken for what most often: golden tag or relation first.
    static func confusions(_ parser: CaptionParser, on sentences: [TrainingSentence], limit: Int) -> [String] {
        var counts: [String: Int] = [:]
        for sentence in sentences {
            let parse = parser.parse(sentence.forms)
            for i in sentence.forms.indices {
                if parse.words[i].tag != sentence.tags[i] {
                    counts["tag \(sentence.forms[i]) \(sentence.tags[i]) for \(parse.words[i].tag)", default: 0] += 1
                }
                let edge = parse.edges[i]
                if edge.relation != sentence.labels[i] {
                    counts["relation \(sentence.labels[i]) for \(edge.relation)", default: 0] += 1
                }
                let head = edge.governor == 0 ? sentence.count : edge.governor - 1
                if head != sentence.heads[i] {
                    let gold = sentence.heads[i]
                    func tag(_ h: Int) -> String { h == sentence.count ? "root" : sentence.tags[h] }
                    counts["governor of \(sentence.labels[i]) \(tag(gold)) for \(tag(head))", default: 0] += 1
                }
            }
        }
        return counts.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(limit).map { "\($0.value) \($0.key)" }
    }

    var description: String {
        func percent(_ n: Int) -> String { String(format: "%.2f", 100 * Double(n) / Double(max(words, 1))) }
        return
            "words \(words) POS \(percent(tags)) UAS \(percent(heads)) LAS \(percent(labels)) UAS(gold tags) \(percent(headsOnGoldTags))"
    }
}

/// The words of a COCO annotation file that come up at least three times.
enum CaptionWords {
    static func read(_ path: String) throws -> Set<String> {
        var counts: [Substring: Int] = [:]
        for entry in try CaptionFile([UInt8](contents(of: path)), path: path).entries {
            for word in entry.caption.lowercased().split(whereSeparator: { !($0.isLetter && $0.isASCII) }) {
                counts[word, default: 0] += 1
            }
        }
        return Set(counts.filter { $0.value >= 3 }.map { String($0.key) })
    }
}
