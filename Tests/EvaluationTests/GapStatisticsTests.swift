import Foundation
import Testing

@testable import Evaluation

@Suite struct GapStatisticsTests {
    /// Two distinct real images for three pairs, in the plane, none of length 1.
    private func example() throws -> (real: EmbeddingRows, generated: EmbeddingRows, text: EmbeddingRows) {
        (
            try EmbeddingRows([2, 0, 0, 3], dimension: 2),
            try EmbeddingRows([3, 4, 5, 0, 0, -2], dimension: 2),
            try EmbeddingRows([0, 1, 1, 0, 4, 3], dimension: 2)
        )
    }

    @Test func `cosines equal those computed by hand`() throws {
        let (real, generated, text) = try example()
        let gap = try GapStatistics(real: real, realRow: [0, 0, 1], generated: generated, text: text)
        // (1,0)·(.6,.8) = .6; (1,0)·(1,0) = 1; (0,1)·(0,-1) = -1
        #expect(abs(gap.realGenerated.mean - 0.2) < 1e-7)
        #expect(abs(gap.realGenerated.std - (2.24 / 3).squareRoot()) < 1e-7)
        #expect(abs(gap.realGenerated.median - 0.6) < 1e-7)
        #expect(abs(gap.realGenerated.lowerQuartile + 0.2) < 1e-7)
        #expect(abs(gap.realGenerated.upperQuartile - 0.8) < 1e-7)
        // (1,0)·(0,1) = 0; (1,0)·(1,0) = 1; (0,1)·(.8,.6) = .6
        #expect(abs(try #require(gap.realText).mean - 1.6 / 3) < 1e-7)
        // .8, 1, -.6
        #expect(abs(try #require(gap.generatedText).mean - 0.4) < 1e-7)
        #expect(gap.textNote == nil)
    }

    @Test func `the centroid of real images counts a shared image once`() throws {
        let (real, generated, text) = try example()
        let gap = try GapStatistics(real: real, realRow: [0, 0, 1], generated: generated, text: text)
        // real (.5, .5); generated ((.6 + 1 + 0) / 3, (.8 + 0 - 1) / 3)
        let expected = (pow(1.6 / 3 - 0.5, 2) + pow(-0.2 / 3 - 0.5, 2)).squareRoot()
        #expect(abs(gap.centroidDistance - expected) < 1e-7)
    }

    @Test func `captions of another dimension are not compared, and it is said`() throws {
        let (real, generated, _) = try example()
        let text = try EmbeddingRows([1, 2, 3, 4, 5, 6, 7, 8, 9], dimension: 3)
        let gap = try GapStatistics(real: real, realRow: [0, 0, 1], generated: generated, text: text)
        #expect(gap.realText == nil && gap.generatedText == nil)
        #expect(gap.textNote == "captions are not compared: their embeddings have dimension 3, the images' 2")
    }

    @Test func `the histogram has its edges in the right bins`() throws {
        let spread = try CosineDistribution([-1, -0.95, -0.85, 0, 0.05, 0.99, 1, 1.0000001])
        #expect(spread.histogram.count == 20)
        #expect(spread.histogram[0] == 2)
        #expect(spread.histogram[1] == 1)
        #expect(spread.histogram[10] == 2)
        #expect(spread.histogram[19] == 3)
        #expect(spread.histogram.reduce(0, +) == 8)
    }

    @Test func `bad input is named`() throws {
        let (real, generated, text) = try example()
        func message(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "no error"
            } catch { return "\(error)" }
        }
        let zero = try EmbeddingRows([3, 4, 0, 0, 0, -2], dimension: 2)
        let table: [(String, () throws -> Void)] = [
            (
                "no pair has both images: nothing to compare. 'gmail data check' names broken files",
                { _ = try GapStatistics(real: real, realRow: [], generated: generated, text: text) }
            ),
            (
                "generated images row 1: its length is 0.0, expected a finite number above 0; a cosine has no value there. "
                    + "Try --dtype float32, or check the model's weights",
                { _ = try GapStatistics(real: real, realRow: [0, 0, 1], generated: zero, text: text) }
            ),
            (
                "pair 2 names row 2 of the real images, expected one of 0..<2",
                { _ = try GapStatistics(real: real, realRow: [0, 0, 2], generated: generated, text: text) }
            ),
            (
                "captions: 2 rows, expected 3, one per pair",
                { _ = try GapStatistics(real: real, realRow: [0, 0, 1], generated: generated, text: real) }
            ),
            (
                "embeddings of dimension 2 and 3 cannot be compared, expected equal ones",
                {
                    let wide = try EmbeddingRows([1, 2, 3], dimension: 3)
                    _ = try GapStatistics(real: real, realRow: [0], generated: wide, text: text)
                }
            ),
            (
                "rows: 3 numbers are no whole rows of 2",
                { _ = try EmbeddingRows([1, 2, 3], dimension: 2, what: "rows") }
            ),
            (
                "PCA of 1 points: expected 2 or more; choose --map none",
                { _ = try PrincipalComponents(try EmbeddingRows([1, 2], dimension: 2)) }
            ),
            (
                "PCA: a number is not finite. Try --dtype float32",
                { _ = try PrincipalComponents(try EmbeddingRows([1, .nan, 1, 1], dimension: 2)) }
            ),
        ]
        for (expected, body) in table { #expect(message(body) == expected) }
    }
}
