import Alignment
import Foundation
import Randomness
import Testing
import Torch

@testable import Evaluation

@Suite struct GapDiagnosisTests {
    // MARK: Against plain definitions

    private struct Fixture: Decodable {
        let real, generated, text: [Float]
        let realRow: [Int]
        let expected: Expected

        struct Repair: Decodable {
            let cosine, closure, recallAt1, medianRank: Double
            let gainInterval: [Double]
        }
        struct Expected: Decodable {
            let cosine, floor, ceiling, closure, meanShiftShare, auc, recallAt1, medianRank, temperature: Double
            let closureInterval: [Double]
            let gallery, temperatureBatch: Int
            let repairs: [String: Repair]
        }
    }

    private func fixture() throws -> Fixture {
        let url = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/gap.json")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Fixture.self, from: try Data(contentsOf: url))
    }

    /// Both columns of the table stand under their heading, with every number whole.
    @Test func `the text has whole numbers in two columns`() throws {
        let fixture = try fixture()
        let (real, generated) = try (
            EmbeddingRows(fixture.real, dimension: 7), EmbeddingRows(fixture.generated, dimension: 7)
        )
        let gap = try GapDiagnosis(
            real: real, realRow: fixture.realRow, generated: generated,
            text: EmbeddingRows(fixture.text, dimension: 5), temperature: 0.07, batchSize: 16)
        let statistics = try GapStatistics(real: real, realRow: fixture.realRow, generated: generated, text: nil)
        let report = GapReport(
            protocolTag: .init(
                model: "m", modelSHA256: "", preprocessingSHA256: "", pairsSHA256: "", dtype: "float32", device: "cpu",
                run: "r", runStep: 1, clipFlow: nil, pairs: 36),
            counts: .init(requested: 36, pairs: 36, realImages: 36, generatedImages: 36, truncatedCaptions: 0),
            before: statistics, after: statistics, gap: .init(before: gap, after: gap), skipped: [], mapFiles: nil)
        let lines = report.text.split(separator: "\n").map(String.init)
        let bounds = try #require(gap.closureInterval)
        let cell = String(format: "%.4f [%.2f, %.2f]", try #require(gap.closure), bounds[0], bounds[1])
        let closure = try #require(lines.first { $0.hasPrefix("closure") })
        #expect(closure.components(separatedBy: cell).count == 3, "\(closure)")
        // Numbers begin four places after the words "before" and "after", or end under them.
        let heading = lines[1]
        let second = try #require(heading.range(of: "after")).lowerBound.utf16Offset(in: heading)
        for name in ["cosine real/generated", "closure", "linear AUC", "with ridge regression"] {
            let line = try #require(lines.first { $0.hasPrefix(name) })
            let start = String.Index(utf16Offset: second - 4, in: line)
            #expect(line[start...].prefix(10).contains("."), "\(line)")
        }
        #expect(lines.allSatisfy { $0.last != " " })
    }

    @Test func `every number equals the one of its definition`() throws {
        let fixture = try fixture()
        let expected = fixture.expected
        let gap = try GapDiagnosis(
            real: EmbeddingRows(fixture.real, dimension: 7), realRow: fixture.realRow,
            generated: EmbeddingRows(fixture.generated, dimension: 7), text: EmbeddingRows(fixture.text, dimension: 5),
            temperature: 0.07, batchSize: 16)
        func near(_ got: Double?, _ wanted: Double, _ tolerance: Double = 1e-6) -> Bool {
            got.map { abs($0 - wanted) < tolerance } ?? false
        }
        #expect(near(gap.cosine, expected.cosine))
        #expect(near(gap.floor, expected.floor))
        #expect(near(gap.ceiling, expected.ceiling))
        #expect(near(gap.closure, expected.closure))
        #expect(near(gap.closureInterval?[0], expected.closureInterval[0]))
        #expect(near(gap.closureInterval?[1], expected.closureInterval[1]))
        #expect(near(gap.meanShiftShare, expected.meanShiftShare))
        #expect(near(gap.auc, expected.auc))
        #expect(gap.recallAt1 == expected.recallAt1)
        #expect(gap.medianRank == expected.medianRank)
        #expect(gap.gallery == expected.gallery)
        #expect(near(gap.temperature, expected.temperature))
        #expect(gap.temperatureBatch == expected.temperatureBatch)
        #expect(Set(gap.repairs.keys) == Set(expected.repairs.keys))
        for (name, repair) in expected.repairs {
            let got = try #require(gap.repairs[name])
            #expect(near(got.cosine, repair.cosine), "\(name)")
            #expect(near(got.closure, repair.closure), "\(name)")
            #expect(got.recallAt1 == repair.recallAt1 && got.medianRank == repair.medianRank, "\(name)")
            #expect(near(got.gainInterval?[0], repair.gainInterval[0]), "\(name)")
            #expect(near(got.gainInterval?[1], repair.gainInterval[1]), "\(name)")
        }
        // 36 images are too few for advice; 0.07 is half of what fits.
        #expect(gap.verdict == .tooFewPairs)
        #expect(gap.advice == "too few pairs to say: 36 distinct real images, expected 50 or more")
        #expect(
            gap.warnings == [
                "temperature 0.15 fits these pairs (batches of 16), 0.07 is used: the loss finds similarities too sure, "
                    + "and cosines may fall; --set loss.temperature=calibrated takes the one that fits"
            ])
    }

    // MARK: Made features with a known answer

    /// Scenes of 6 facts seen in 13 dimensions, beside a common part and what differs from image to image.
    private struct World {
        static let facts = 6
        static let width = 13
        var random = SplitMix64(seed: 3)
        let images: Int
        var content: [[Double]] = []
        var view: [[Double]] = []
        var common: [Double] = []

        init(images: Int) {
            self.images = images
            content = matrix(images, Self.facts)
            view = matrix(Self.facts, Self.width).map { $0.map { $0 / Double(Self.facts).squareRoot() } }
            common = matrix(1, Self.width)[0]
        }

        mutating func normal() -> Double {
            (-2 * log(1 - random.uniform())).squareRoot() * cos(2 * .pi * random.uniform())
        }

        mutating func matrix(_ rows: Int, _ columns: Int) -> [[Double]] {
            (0..<rows).map { _ in (0..<columns).map { _ in normal() } }
        }

        /// Images of `content`, each with something of its own.
        mutating func look(_ content: [[Double]]) -> [[Double]] {
            content.map { facts in
                (0..<Self.width).map { column in
                    var sum = common[column] + 0.25 * normal()
                    for fact in 0..<Self.facts { sum += facts[fact] * view[fact][column] }
                    return sum
                }
            }
        }

        mutating func captions() -> [[Double]] { content.map { $0.map { $0 + 0.05 * normal() } } }
    }

    private func diagnosis(
        images: Int = 240, temperature: Double? = nil, _ generated: (inout World) -> [[Double]]
    ) throws -> GapDiagnosis {
        var world = World(images: images)
        func rows(_ values: [[Double]]) throws -> EmbeddingRows {
            try EmbeddingRows(values.joined().map(Float.init), dimension: values[0].count)
        }
        let real = try rows(world.look(world.content))
        let text = try rows(world.captions())
        return try GapDiagnosis(
            real: real, realRow: Array(0..<images), generated: rows(generated(&world)), text: text,
            temperature: temperature, batchSize: 64)
    }

    @Test func `images of the same kind have no gap`() throws {
        let gap = try diagnosis { $0.look($0.content) }
        #expect(try #require(gap.closure) > 0.95)
        #expect(abs(try #require(gap.auc) - 0.5) < 0.1)
        #expect(try #require(gap.meanShiftShare) < 0.03)
        #expect(gap.verdict == .none)
        #expect(gap.advice.hasPrefix("hardly a gap (closure "))
    }

    @Test func `a pure shift is repaired by mean shift and by CORAL`() throws {
        let gap = try diagnosis { world in
            let shift = world.matrix(1, World.width)[0].map { 1.5 * $0 }
            return world.look(world.content).map { zip($0, shift).map { $0 + $1 } }
        }
        let closure = try #require(gap.closure)
        #expect(closure < 0.6)
        for name in ["meanShift", "coral"] {
            #expect(try #require(gap.repairs[name]?.closure) > 0.95, "\(name)")
            #expect(try #require(gap.repairs[name]).recallAt1 > gap.recallAt1 + 0.2, "\(name)")
        }
        #expect(try #require(gap.meanShiftShare) > 0.5)
        #expect(try #require(gap.auc) > 0.95)
        #expect(gap.verdict == .style)
        #expect(gap.advice.hasPrefix("a gap of style: alignment can help (closure "))
    }

    @Test func `nothing repairs wrong content`() throws {
        let gap = try diagnosis { world in
            // Every second image shows another scene than its caption.
            let wrong = world.content.indices.map { world.content[$0 % 2 == 0 ? $0 : ($0 + 101) % world.images] }
            return world.look(wrong)
        }
        let closure = try #require(gap.closure)
        #expect((0.3...0.7).contains(closure))
        for (name, repair) in gap.repairs { #expect(try #require(repair.closure) < closure + 0.02, "\(name)") }
        #expect(abs(try #require(gap.auc) - 0.5) < 0.1)
        #expect(gap.verdict == .content)
        #expect(gap.advice.hasPrefix("content: mend prompts or generator first (closure "))
    }

    @Test func `a rotation is repaired by ridge regression alone`() throws {
        let gap = try diagnosis { world in
            world.look(world.content).map { row in
                row.indices.map { row[($0 + 5) % row.count] * ($0 % 3 == 0 ? -1 : 1) }
            }
        }
        #expect(try #require(gap.closure) < 0.3)
        #expect(try #require(gap.repairs["ridge"]?.closure) > 0.95)
        for name in ["meanShift", "coral"] { #expect(try #require(gap.repairs[name]?.closure) < 0.5, "\(name)") }
        #expect(gap.verdict == .style && gap.advice.contains("ridge regression adds"))
    }

    @Test func `a shift of wrong content is both`() throws {
        let gap = try diagnosis { world in
            let wrong = world.content.indices.map { world.content[$0 % 2 == 0 ? $0 : ($0 + 101) % world.images] }
            return world.look(wrong).map { $0.enumerated().map { $1 + ($0 % 2 == 0 ? 2 : -1) } }
        }
        #expect(gap.verdict == .styleAndContent)
        #expect(gap.advice.contains("for the rest mend prompts or generator"))
    }

    @Test func `few images are not judged`() throws {
        let forty = try diagnosis(images: 40) { $0.look($0.content) }
        #expect(forty.verdict == .tooFewPairs && forty.closure != nil && forty.warnings.isEmpty)
        let twelve = try diagnosis(images: 12) { $0.look($0.content) }
        #expect(twelve.ceiling == nil && twelve.auc == nil && twelve.repairs.isEmpty && twelve.floor != nil)
        #expect(
            twelve.warnings == [
                "12 distinct real images: below 20 there is no ceiling, no classifier and no repair"
            ])
    }

    @Test func `a temperature that is far off is named, a near one is not`() throws {
        let fitted = try #require(try diagnosis { $0.look($0.content) }.temperature)
        func warnings(_ factor: Double) throws -> [String] {
            try diagnosis(temperature: fitted * factor) { $0.look($0.content) }.warnings
        }
        #expect(try warnings(1.3).isEmpty && warnings(1 / 1.3).isEmpty)
        #expect(try warnings(1.5)[0].contains("hardly tells a pair from the others"))
        #expect(try warnings(1 / 1.5)[0].contains("finds similarities too sure"))
    }

    // MARK: Parts

    @Test func `ties count half under the curve`() {
        let area = LinearClassifier.area(positive: [1, 2], negative: [1, 0, 3])
        #expect(abs(area - 3.5 / 6) < 1e-12)
        #expect(LinearClassifier.area(positive: [0, 0], negative: [0, 0, 0]) == 0.5)
    }

    @Test func `a temperature has its limits`() {
        let axes = Tensor([1.0, 0, 0, 1].map(Float.init), shape: [2, 2])
        let swapped = Tensor([0.0, 1, 1, 0].map(Float.init), shape: [2, 2])
        func fit(_ generated: Tensor, _ groups: [Int]) -> TemperatureFit {
            TemperatureFit(generated: generated, real: axes, groups: groups, batchSize: 8)
        }
        #expect(fit(axes, [0, 1]) == .belowRange)
        #expect(fit(swapped, [0, 1]) == .aboveRange)
        #expect(fit(axes, [0, 0]) == .noNegatives)
    }

    @Test func `images of one scene stay in one part, and parts are as equal as can be`() {
        let folds = PairFolds(images: 23)
        for part in 0..<5 { #expect([4, 5].contains(folds.ofImage.count { $0 == part })) }
        #expect(folds.ofImage != (0..<23).map { $0 % 5 })
    }
}
