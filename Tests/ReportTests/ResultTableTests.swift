import Foundation
import Testing

@testable import Report

@Suite struct ResultTableTests {
    private func table() -> ResultTable {
        var table = ResultTable(
            columns: [.init(metric: "Bleu_4"), .init(metric: "CIDEr"), .init(metric: "length")], corner: "trained on")
        table.append("real", values: ["Bleu_4": [0.30, 0.32, 0.34], "CIDEr": [1.0], "length": [9.25]])
        table.append("gmail", values: ["Bleu_4": [0.32], "CIDEr": [1.10, 1.20]])
        table.append("generated", values: ["Bleu_4": [0.28], "CIDEr": [.nan], "length": [8.5]])
        table.append("GMAIL", published: ["BLEU-4": 38.12, "CIDEr": 119.53, "WMD": 62.16], note: "Table 6")
        return table
    }

    @Test func statisticsOfSamples() throws {
        let three = try #require(SampleStatistics([2, 4, 9]))
        #expect(three.mean == 5)
        #expect(three.standardDeviation == 13.0.squareRoot())
        #expect(SampleStatistics([7])?.standardDeviation == nil)
        #expect(SampleStatistics([]) == nil)
    }

    @Test func cellsAreScaledAndRounded() {
        let table = table()
        #expect(table.text(row: 0, column: 0) == "32.00 ± 2.00")
        #expect(table.text(row: 1, column: 1) == "115.00 ± 7.07")
        #expect(table.text(row: 0, column: 2) == "9.2500")
        #expect(table.text(row: 1, column: 2) == "–")
        #expect(table.text(row: 2, column: 1) == "–")
        #expect(table.text(row: 3, column: 0) == "38.12")
        #expect(table.text(row: 3, column: 2) == "–")
    }

    @Test func theBestIsAmongTheMeasuredOnly() {
        let table = table()
        // Equal as shown is equal; the published 38.12 does not compete.
        #expect(table.best(column: 0) == [0, 1])
        #expect(table.best(column: 1) == [1])
        // Nobody said what a good length is.
        #expect(table.best(column: 2) == [])
    }

    @Test func mixedProtocolsAndLonelyRowsHaveNoBest() {
        var table = ResultTable(columns: [
            .init(id: "a", title: "a", isMixed: true), .init(id: "b", title: "b", better: .lower),
        ])
        table.append("x", values: ["a": [1], "b": [1]])
        #expect(table.best(column: 1) == [])
        table.append("y", values: ["a": [2], "b": [2]])
        #expect(table.best(column: 0) == [])
        #expect(table.best(column: 1) == [0])
        table.append("z", values: ["b": [1.001]])
        #expect(table.best(column: 1) == [0, 2])
    }

    /// Means under means, deviations under deviations, a star beside the best.
    @Test func textForATerminal() {
        #expect(
            table().text() == """
                trained on                   BLEU-4           CIDEr   length
                ────────────────────────────────────────────────────────────
                real                   32.00* ± 2.00  100.00          9.2500
                gmail                  32.00*         115.00* ± 7.07       –
                generated              28.00               –          8.5000
                published, other data
                GMAIL (Table 6)        38.12          119.53               –
                """)
    }

    @Test func narrowTerminalsGetBlocks() {
        let text = table().text(width: 42)
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 42 })
        #expect(text.components(separatedBy: "trained on").count == 4)
    }

    @Test func markdown() {
        var table = ResultTable(columns: [.init(metric: "CIDEr")], corner: "setting")
        table.append("a|b", values: ["CIDEr": [1]])
        table.append("c", values: ["CIDEr": [0.5, 0.7]])
        table.append("GMAIL", published: ["cider": 119.53])
        #expect(
            table.markdown == """
                | setting | CIDEr |
                |---|--:|
                | a\\|b | **100.00** |
                | c | 60.00 ± 14.14 |
                | *GMAIL: published, other data* | 119.53 |

                """)
    }

    @Test(arguments: [
        (0.0, 2, "0.00"), (-0.001, 2, "0.00"), (-1.5, 0, "−2"), (0.05, 2, "0.05"), (12.3456, 3, "12.346"),
        (7.0, 0, "7"), (.infinity, 1, "–"), (99.996, 2, "100.00"),
    ])
    func fixedDecimals(value: Double, decimals: Int, expected: String) {
        #expect(Number.fixed(value, decimals) == expected)
    }

    @Test func groupsOfThree() {
        #expect(Number.grouped(1234) == "1234")
        #expect(Number.grouped(12345) == "12\u{202F}345")
        #expect(Number.grouped(-1_234_567) == "−1\u{202F}234\u{202F}567")
    }

    @Test func metricNamesHaveSpellings() {
        #expect(MetricName.isSame("BLEU-4", "Bleu_4"))
        #expect(!MetricName.isSame("BLEU-4", "Bleu_3"))
        #expect(!MetricName.isSame("CIDEr", "CIDEr-D"))
        #expect(
            MetricName.ordered(["CIDEr", "odd", "Bleu_4", "BLEU-4", "Bleu_1"]) == ["Bleu_1", "Bleu_4", "CIDEr", "odd"])
    }
}
