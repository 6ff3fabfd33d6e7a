import Foundation
import Testing

@testable import CaptionMetrics

/// Fixtures beside the tests, and the larger golden files of GMAIL_SHARED, which may be absent.
enum MeteorTestSupport {
    /// Scores agree with the jar's to the last bits; only the order of a few floating-point operations may differ.
    static let scoreTolerance = 1e-12

    static let fixtures: URL = Bundle.module.resourceURL!.appendingPathComponent("Fixtures/meteor")

    /// The cut tables of the fixtures, compiled once per test run.
    static let data = Result { try compile(fixtures.appendingPathComponent("tables").path) }

    /// The cut tables of the golden files, compiled once per test run.
    static let goldenData = Result { try compile(GoldenFiles.path("meteor_data").path) }

    static func compile(_ source: String) throws -> MeteorData {
        let folder = try temporaryFolder()
        let path = folder.appendingPathComponent("meteor-en.bin").path
        try MeteorData.compile(from: source, to: path)
        let data = try MeteorData.open(path: path)
        // The mapping outlives the name, so nothing stays behind.
        try FileManager.default.removeItem(at: folder)
        return data
    }

    static func temporaryFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("meteor-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    struct Fixture: Decodable {
        struct Image: Decodable {
            var candidate: String
            var references: [String]
            var statistics: [Double]
            var score: Double
        }
        struct Group: Decodable {
            var corpus: Double
            var images: [Image]
        }
        var tokenised: Group
        var typed: Group
    }

    static func fixture() throws -> Fixture {
        try JSONDecoder().decode(
            Fixture.self, from: Data(contentsOf: fixtures.appendingPathComponent("meteor.json")))
    }

    // MARK: - Golden files

    static func unpacked(_ url: URL) throws -> Data {
        var data = Data()
        try SetupTool.run("gzip", ["-dc", url.path], purpose: "read golden files") { data += $0 }
        return data
    }

    static func lines<Row: Decodable>(_ url: URL, as type: Row.Type) throws -> [Row] {
        let decoder = JSONDecoder()
        return try unpacked(url).split(separator: 0x0A).map { try decoder.decode(Row.self, from: Data($0)) }
    }
}

/// Splitmix64: tests that draw at random draw the same every time.
struct MeteorTestRandom: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
