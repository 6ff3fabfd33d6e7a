@_spi(Training) import CaptionMetrics
import Foundation
import Testing

@testable import spice_parser

@Suite struct TrainingTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("spice-\(UUID().uuidString)")
        .path

    init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }

    /// `1 form lemma _ tag _ head label _ _`, a line per word.
    private func treebank(_ sentences: [[(String, String, String, Int, String)]], lineEnd: String) throws -> String {
        let text = sentences.map { words in
            (["# a sentence"]
                + words.enumerated().map { index, word in
                    [
                        "\(index + 1)", word.0, word.1, "_", word.2, "_", "\(word.3)", word.4, "_", "_",
                    ].joined(separator: "\t")
                }).map { $0 + lineEnd }.joined() + lineEnd
        }.joined()
        let path = "\(folder)/en-\(lineEnd.utf8.count).conllu"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    private let sentences: [[(String, String, String, Int, String)]] = [
        [
            ("A", "a", "DT", 2, "det"), ("dog", "dog", "NN", 3, "nsubj"), ("runs", "run", "VBZ", 0, "root"),
            (".", ".", ".", 3, "punct"),
        ],
        [("Dogs", "dog", "NNS", 2, "nsubj"), ("chase", "chase", "VBP", 0, "root"), ("balls", "ball", "NNS", 2, "obj")],
    ]

    /// Labels of version 2 become those of version 1, punctuation goes, words are in lower case; CRLF ends a line too.
    @Test(arguments: ["\n", "\r\n"])
    func treebanksAreRewritten(lineEnd: String) throws {
        let read = try Treebank.read(treebank(sentences, lineEnd: lineEnd))
        #expect(read.map(\.forms) == [["a", "dog", "runs"], ["dogs", "chase", "balls"]])
        #expect(read.map(\.heads) == [[1, 2, 3], [1, 3, 1]])
        #expect(read.map(\.labels) == [["det", "nsubj", "root"], ["nsubj", "root", "dobj"]])
        #expect(read.map(\.tags) == [["DT", "NN", "VBZ"], ["NNS", "VBP", "NNS"]])
    }

    @Test func aLineWithoutTenFieldsIsNamed() throws {
        let path = "\(folder)/x.conllu"
        try Data("1\ta\tb\n".utf8).write(to: URL(fileURLWithPath: path))
        #expect {
            try Treebank.read(path)
        } throws: { "\($0)" == "'\(path)' line 1: a CoNLL-U line has 3 fields, expected 10: 1\ta\tb" }
    }

    /// A parser reproduces the sentences of its training; its file, read again, is the same parser.
    @Test func aTrainedParserKnowsItsSentences() throws {
        let read = try Treebank.read(treebank(sentences, lineEnd: "\n"))
        var training = ModelTraining()
        training.threshold = 0
        let examples = read.map { ModelTraining.Example($0) }
        let tags = examples.map(\.tags)
        let parser = CaptionParser(
            tagger: training.tagger(examples), transitions: training.transitions(examples, tags: tags),
            labeler: training.labeler(examples, tags: tags),
            lemmatizer: Lemmatizer(exceptions: LemmaExceptions.find(in: read, words: [])))
        let accuracy = Accuracy(parser, on: read)
        // Six words are few for forty labels.
        #expect(accuracy.words == 6 && accuracy.tags == 6 && accuracy.heads == 6 && accuracy.labels >= 5)
        let path = "\(folder)/p.bin"
        try parser.data().write(to: URL(fileURLWithPath: path))
        let again = try CaptionParser(contentsOf: URL(fileURLWithPath: path))
        #expect(again.data() == parser.data())
        #expect(Accuracy(again, on: read).description == accuracy.description)
    }

    /// A right decision changes nothing; a wrong one moves a unit from the predicted class to the right one.
    @Test func thePerceptronMovesUnits() {
        let trainer = PerceptronTrainer(classCount: 3)
        var features = FeatureBuffer()
        features.reset()
        features.add(17)
        var scores = [Float](repeating: 9, count: 3)
        trainer.update(features, right: 2, predicted: 2)
        trainer.scores(of: features, into: &scores)
        #expect(scores == [0, 0, 0])
        trainer.update(features, right: 2, predicted: 0)
        trainer.scores(of: features, into: &scores)
        #expect(scores.min() == scores[0] && scores[0] < 0 && scores[1] == 0 && scores[2] == -scores[0])
    }
}
