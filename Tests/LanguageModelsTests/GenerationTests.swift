import Foundation
import Testing
import Torch

@testable import LanguageModels

/// The names of the fixture's cases; `everyCaseIsRun` keeps them equal.
private let caseNames = [
    "greedy", "greedy, stop tokens, minimum", "greedy, stop strings", "beams, heuristic", "beams, full", "beams, never",
    "beams, no penalty, never", "beams, long, heuristic, all returned", "beams, short, full",
    "beams, short, never, minimum", "beams, no stop", "three beams, stop strings", "sampling 1.0 None 1.0",
    "sampling 0.7 9 1.0", "sampling 1.3 None 0.8", "sampling 0.9 20 0.6",
]

@Suite struct GenerationTests {
    private static let fixtureData = Result { try GenerationFixture.read() }

    /// What the tokens of the tiny vocabulary stand for: ASCII, with a space written as "Ġ". It is too small for a tokenizer,
    /// which must have a token for every byte.
    private static let tokenBytes = Result {
        let vocabulary = try JSONDecoder().decode(
            [String: Int].self, from: Data(contentsOf: URL(fileURLWithPath: fixture("tiny") + "/vocab.json")))
        return vocabulary.sorted { $0.value < $1.value }.map {
            Array($0.key.replacingOccurrences(of: "\u{120}", with: " ").utf8)
        }
    }

    private func tiny() throws -> GPT2LanguageModel { try GPT2LanguageModel(folder: fixture("tiny")) }

    @Test func everyCaseIsRun() throws {
        #expect(try Self.fixtureData.get().cases.map(\.name) == caseNames)
    }

    /// 200 prompts of different lengths per case, in batches of another size than the reference's.
    @Test(arguments: caseNames) func tokensEqualTransformers(name: String) throws {
        let data = try Self.fixtureData.get()
        let reference = try #require(data.cases.first { $0.name == name })
        let model = try tiny()
        let bytes = try Self.tokenBytes.get()
        let perPrompt = reference.perPrompt ?? 1
        let settings = reference.settings
        #expect(data.prompts.count == 200 && reference.tokens.count == 200 * perPrompt)
        var sequences: [GeneratedSequence] = []
        // Sampling numbers its sequences over a whole call.
        let size = reference.strategy == "sampling" ? 200 : 23
        for start in stride(from: 0, to: 200, by: size) {
            let prompts = data.prompts[start..<min(200, start + size)].map { Prompt(tokens: $0) }
            sequences += try model.generate(
                prompts, settings, draws: reference.draws(prompts: 200),
                tokenBytes: settings.stopStrings.isEmpty ? nil : { bytes[$0] }
            ).flatMap { $0 }
        }
        #expect(sequences.count == reference.tokens.count)
        let wrong = zip(sequences, reference.tokens).filter { $0.tokens != $1 }
        print("report: \(name): \(wrong.count) of \(sequences.count) sequences differ from transformers")
        #expect(wrong.isEmpty, "first: \(String(describing: wrong.first))")
        for (sequence, score) in zip(sequences, reference.scores) {
            #expect(abs((sequence.score ?? .nan) - score) < 1e-4 * max(1, abs(score)))
        }
        #expect((sequences[0].score != nil) == (reference.strategy == "beams"))
        for sequence in sequences { check(sequence, settings) }
    }

    private func check(_ sequence: GeneratedSequence, _ settings: GenerationSettings) {
        switch sequence.ending {
        case .stopToken(let token):
            #expect(sequence.tokens.last == token && settings.stopTokens.contains(token))
        case .stopString(let text):
            #expect(settings.stopStrings.contains(text))
        case .length:
            #expect(sequence.tokens.count == settings.maximumNewTokens)
        case .cancelled:
            Issue.record("nothing asked to stop")
        }
    }

    @Test func theBatchDoesNotMatter() throws {
        let model = try tiny()
        let data = try Self.fixtureData.get()
        let prompts = data.prompts[..<12].map { Prompt(tokens: $0) }
        for strategy in [GenerationSettings.Strategy.greedy, .beams(.init(beamCount: 4))] {
            let settings = GenerationSettings(strategy, maximumNewTokens: 8, stopTokens: [data.cases[3].stops[0]])
            let together = try model.generate(prompts, settings)
            let alone = try prompts.flatMap { try model.generate([$0], settings) }
            #expect(together.map { $0.map(\.tokens) } == alone.map { $0.map(\.tokens) })
        }
    }

    /// A prefix that is the embeddings of tokens continues as the tokens do, alone or before others.
    @Test func prefixesContinueAsTheirTokensDo() throws {
        let model = try tiny()
        let settings = GenerationSettings(.beams(.init(beamCount: 3)), maximumNewTokens: 7)
        let tokens = [[4, 9, 30, 2], [17, 5], [80, 81, 82, 83, 84, 85]]
        let wanted = try model.generate(tokens.map { Prompt(tokens: $0) }, settings)
        let mixed = tokens.map { row -> Prompt in
            let cut = row.count / 2
            return Prompt(prefix: model.embed(Tensor(row[..<cut].map(Int64.init))), tokens: Array(row[cut...]))
        }
        #expect(try model.generate(mixed, settings).map { $0.map(\.tokens) } == wanted.map { $0.map(\.tokens) })
        let prefixes = model.embed(Tensor(tokens[0].map(Int64.init), shape: [1, 4]))
        #expect(try model.generate(prefixes: prefixes, settings)[0][0].tokens == wanted[0][0].tokens)
    }

    @Test func oneBeamIsGreedy() throws {
        let model = try tiny()
        let prompts = try Self.fixtureData.get().prompts[..<20].map { Prompt(tokens: $0) }
        let greedy = try model.generate(prompts, GenerationSettings(.greedy, maximumNewTokens: 9))
        let beam = try model.generate(
            prompts, GenerationSettings(.beams(.init(beamCount: 1)), maximumNewTokens: 9))
        #expect(greedy.map { $0[0].tokens } == beam.map { $0[0].tokens })
    }

    @Test func samplingFollowsItsGenerator() throws {
        let model = try tiny()
        let prompts = try Self.fixtureData.get().prompts[..<5].map { Prompt(tokens: $0) }
        let settings = GenerationSettings(.sampling(.init(temperature: 1.2, sequenceCount: 3)), maximumNewTokens: 6)
        func run(_ seed: UInt64) throws -> [[GeneratedSequence]] {
            try model.generate(prompts, settings, draws: UniformDraws(Generator(seed: seed)))
        }
        let first = try run(1)
        let (again, other) = (try run(1), try run(2))
        #expect(first.allSatisfy { $0.count == 3 } && first == again)
        #expect(first != other)
        #expect(Set(first[0].map(\.tokens)).count == 3)
    }

    /// Over many draws tokens come up as often as their probabilities say.
    @Test func samplingHasTheRightFrequencies() {
        let logits: [Float] = [0.3, 2.0, -1.0, 0.3, 1.1]
        let chooser = SamplingChooser(.init(temperature: 0.8, topK: 4, topP: 0.9), table: [])
        var counts = [Int](repeating: 0, count: 5)
        let total = 20000
        logits.withUnsafeBufferPointer { row in
            for i in 0..<total { counts[chooser.pick(row, [], (Double(i) + 0.5) / Double(total))] += 1 }
        }
        // Weights e^(logit / 0.8) of tokens 1, 4, 0, 3 are 12.18, 3.96, 1.45, 1.45; 90 % of 19.04 is reached within the third.
        let weights = [exp(0.3 / 0.8), exp(2.0 / 0.8), 0, 0, exp(1.1 / 0.8)]
        for token in 0..<5 {
            let share = weights[token] / weights.reduce(0, +)
            #expect(abs(Double(counts[token]) / Double(total) - share) < 1e-3, "token \(token)")
        }
        #expect(logits.withUnsafeBufferPointer { chooser.pick($0, [1], 0) } == 4)
        #expect(logits.withUnsafeBufferPointer { chooser.pick($0, [], 1.0.nextDown) } == 0)
    }

    @Test func streamingGivesEveryTokenInOrder() throws {
        let model = try tiny()
        let prompts = try Self.fixtureData.get().prompts[..<6].map { Prompt(tokens: $0) }
        let stop = try Self.fixtureData.get().cases[1].stops[0]
        let settings = GenerationSettings(.greedy, maximumNewTokens: 10, stopTokens: [stop])
        var streamed = prompts.map { _ in [StreamedToken]() }
        let result = try model.generate(
            prompts, settings,
            onToken: { token in
                streamed[token.prompt].append(token)
                return .more
            })
        for (tokens, sequence) in zip(streamed, result) {
            #expect(tokens.map(\.token) == sequence[0].tokens)
            #expect(tokens.map(\.index) == Array(0..<tokens.count))
            #expect(tokens.map(\.ending) == Array(repeating: nil, count: tokens.count - 1) + [sequence[0].ending])
        }
        let cut = try model.generate(prompts, settings, onToken: { $0.index == 2 ? .stop : .more })
        // The first prompt that has a third token stops all: those after it have two.
        let first = try #require(result.firstIndex { $0[0].tokens.count > 2 })
        for (index, (part, whole)) in zip(cut, result).enumerated() {
            #expect(part[0].tokens == Array(whole[0].tokens.prefix(index <= first ? 3 : 2)))
        }
        #expect(cut[first][0].ending == (result[first][0].tokens.count == 3 ? result[first][0].ending : .cancelled))
        #expect(cut.contains { $0[0].ending == .cancelled })
    }

    @Test func stopStringsEndWithTheTokenThatCompletesThem() throws {
        let bytes: [[UInt8]] =
            ["st", "op", "opera", "sto", "pper", "las", "topper", "at", "s", "to", "pped", "é"].map {
                Array($0.utf8)
            } + [[0xC3], [0xA9, 0x21]]
        let stops = StopConditions(
            GenerationSettings(maximumNewTokens: 1, stopTokens: [7], stopStrings: ["stop", "é"])
        ) { bytes[$0] }
        let table: [(history: [Int], token: Int, ending: GeneratedSequence.Ending?)] = [
            ([0], 1, .stopString("stop")), ([0], 2, .stopString("stop")), ([3], 4, .stopString("stop")),
            ([5], 6, .stopString("stop")), ([8, 9], 10, .stopString("stop")), ([0, 1], 8, nil), ([0, 2], 5, nil),
            ([0, 1], 7, .stopToken(7)), ([], 11, .stopString("é")), ([12], 13, .stopString("é")), ([12], 12, nil),
            ([], 1, nil), ([9], 1, nil),
        ]
        for (history, token, ending) in table {
            #expect(try stops.ending(token, after: history) == ending, "\(history) \(token)")
        }
    }
}
