import Foundation
import Testing
import Torch
import TorchNN

@testable import LanguageModels

func fixture(_ name: String) -> String {
    Bundle.module.resourceURL!.appendingPathComponent("Fixtures/\(name)").path
}

func expected() throws -> Weights { try Weights(path: fixture("expected.safetensors")) }

extension Weights {
    func tensor(_ key: String) throws -> Tensor {
        try #require(self[key], "no '\(key)' in \(source)").tensor()
    }
}

func maximumDifference(_ a: Tensor, _ b: Tensor) -> Double {
    #expect(a.shape == b.shape)
    guard a.shape == b.shape else { return .infinity }
    return (a.to(.float64) - b.to(.float64)).abs().max().item()
}

/// A new empty folder that lives as long as `body` runs.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = NSTemporaryDirectory() + "language-models-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

func write(_ text: String, to path: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
}

/// The uniform numbers of the fixture script.
struct FixtureNumbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> Double {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Double(state >> 11) / 9_007_199_254_740_992
    }
}

/// What generation tests read.
struct GenerationFixture: Decodable {
    struct Case: Decodable {
        let name: String
        let strategy: String
        let stops: [Int]
        let strings: [String]
        let maximum: Int
        let minimum: Int
        let tokens: [[Int]]
        let scores: [Float]
        // beams
        let penalty: Double?
        let early: String?
        let beams: Int?
        let perPrompt: Int?
        // sampling
        let temperature: Double?
        let topK: Int?
        let topP: Double?
    }

    let prompts: [[Int]]
    let cases: [Case]

    static func read() throws -> GenerationFixture {
        try JSONDecoder().decode(
            GenerationFixture.self, from: Data(contentsOf: URL(fileURLWithPath: fixture("generation.json"))))
    }
}

extension GenerationFixture.Case {
    var settings: GenerationSettings {
        let strategy: GenerationSettings.Strategy
        switch self.strategy {
        case "beams":
            let early: [String: GenerationSettings.EarlyStopping] = [
                "true": .whenFull, "false": .heuristic, "never": .never,
            ]
            strategy = .beams(
                .init(
                    beamCount: beams!, lengthPenalty: penalty!, earlyStopping: early[self.early!]!,
                    sequenceCount: perPrompt!))
        case "sampling":
            strategy = .sampling(
                .init(temperature: temperature!, topK: topK, topP: topP!, sequenceCount: perPrompt!))
        default: strategy = .greedy
        }
        return GenerationSettings(
            strategy, maximumNewTokens: maximum, minimumNewTokens: minimum, stopTokens: stops, stopStrings: strings)
    }

    func draws(prompts: Int) -> UniformDraws? {
        guard strategy == "sampling" else { return nil }
        var numbers = FixtureNumbers(seed: 77)
        return UniformDraws((0..<prompts * perPrompt!).map { _ in (0..<maximum).map { _ in numbers.next() } })
    }
}
