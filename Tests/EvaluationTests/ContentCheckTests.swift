import Testing

@testable import Evaluation

@Suite struct ContentCheckTests {
    /// Four captions along one axis; real images of one row each or shared.
    private func check() throws -> ContentCheck {
        try ContentCheck(
            real: EmbeddingRows([1, 0, 3, 4, 0, 2], dimension: 2), realRow: [0, 1, 2, 1],
            generated: EmbeddingRows([4, 3, 1, 0, 0, -1, 3, 4], dimension: 2),
            text: EmbeddingRows([2, 0, 1, 0, 0, 5, 1, 0], dimension: 2), ids: ["a", "b", "c", "d"],
            indices: [0, 2, 3, 5], pairs: 6, skipped: [], truncatedCaptions: 0)
    }

    @Test func `pairs are ranked by what the generated image lacks`() throws {
        let rows = try check().rows
        // Generated: .8, 1, -1, .6; real: 1, .6, 1, .6.
        #expect(rows.map(\.id) == ["c", "a", "d", "b"])
        #expect(rows.map(\.rank) == [1, 2, 3, 4])
        for (row, expected) in zip(rows, [-2, -0.2, 0, 0.4]) { #expect(abs(row.difference - expected) < 1e-6) }
        #expect(abs(rows[1].generatedText - 0.8) < 1e-6 && abs(rows[1].realText - 1) < 1e-6)
    }

    @Test func `a filter takes the worst by rank and keeps the order of the manifest`() throws {
        let check = try check()
        #expect(check.kept(withoutWorst: 0) == [0, 2, 3, 5])
        #expect(check.kept(withoutWorst: 0.49) == [0, 2, 5])
        #expect(check.kept(withoutWorst: 0.5) == [2, 5])
        #expect(check.kept(withoutWorst: 1).isEmpty)
    }

    @Test func `the summary says how many lie below the real image`() throws {
        let summary = try check().summary
        #expect(summary.pairs == 6 && summary.readable == 4)
        #expect(summary.below == 0.5)
        #expect(abs(summary.generatedText - 0.35) < 1e-6 && abs(summary.realText - 0.8) < 1e-6)
        #expect(abs(summary.percentiles[2] + 0.1) < 1e-6)
    }
}
