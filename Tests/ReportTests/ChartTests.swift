import Foundation
import Testing

@testable import Report

@Suite struct AxisTests {
    @Test func ticksAreRoundAndInside() {
        let axis = Axis([0.13, 2.96])
        #expect(axis.ticks == [1, 2, 3])
        #expect(axis.ticks.allSatisfy { $0 >= axis.lower && $0 <= axis.upper })
        #expect(axis.position(axis.lower) == 0)
        #expect(axis.position(axis.upper) == 1)
        #expect(abs(axis.position((axis.lower + axis.upper) / 2) - 0.5) < 1e-12)
    }

    static let tickCases: [(Double, Double, Int, [Double])] = [
        (0.0, 1.0, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.0, 20000.0, 4, [0, 5000, 10000, 15000, 20000]),
        (-0.31, 0.29, 5, [-0.2, 0, 0.2]),
        (0.0, 0.7, 7, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        (1.1, 1.4, 3, [1.1, 1.2, 1.3, 1.4]),
    ]

    @Test(arguments: Self.tickCases)
    func linearTicks(lower: Double, upper: Double, count: Int, expected: [Double]) {
        // Equal to the last bit: 0.30000000000000004 would be printed.
        #expect(Axis(from: lower, to: upper, ticks: count).ticks == expected)
    }

    @Test func manyDecadesAreLogarithmic() {
        let axis = Axis([1e-5, 1.0])
        #expect(axis.isLogarithmic)
        #expect(axis.ticks.contains { abs($0 - 0.01) < 1e-12 })
        #expect(abs(axis.position((axis.lower * axis.upper).squareRoot()) - 0.5) < 1e-9)
        #expect(!Axis([0, 1000]).isLogarithmic)
        #expect(!Axis([-1, 1000]).isLogarithmic)
        #expect(!Axis([2, 150]).isLogarithmic)
    }

    @Test func degenerateRangesHaveTicks() {
        for values in [[], [0], [3], [-7, -7], [1e-9, 1e-9]] as [[Double]] {
            let axis = Axis(values)
            #expect(axis.upper > axis.lower)
            #expect(!axis.ticks.isEmpty, "\(values)")
            for value in values { #expect((0...1).contains(axis.position(value))) }
        }
    }

    static let labelCases: [(Double, Double, Int, [String])] = [
        (0.0, 60000.0, 3, ["0", "20k", "40k", "60k"]),
        (0.0, 1.0, 2, ["0", "0.5", "1.0"]),
        (0.0, 2000.0, 2, ["0", "1000", "2000"]),
        (0.0, 2e-4, 2, ["0", "10⁻⁴", "2×10⁻⁴"]),
        (-2.0, 0.0, 2, ["−2", "−1", "0"]),
    ]

    @Test(arguments: Self.labelCases)
    func labels(lower: Double, upper: Double, count: Int, expected: [String]) {
        #expect(Axis(from: lower, to: upper, ticks: count).labels == expected)
    }

    @Test(arguments: [
        (0.0, "0"), (2.34567, "2.346"), (0.12346, "0.1235"), (12.346, "12.35"), (0.00012, "1.2×10⁻⁴"),
        (123456.0, "123456"), (-0.5, "−0.5000"), (9.9999e-4, "10⁻³"),
    ])
    func readableNumbers(value: Double, expected: String) {
        #expect(Axis.readable(value) == expected)
    }
}

@Suite struct CurveTests {
    private func points(_ values: [Double]) -> [Curve.Point] {
        values.enumerated().map { .init(x: Double($0.offset), y: $0.element) }
    }

    @Test func smoothingIsTheCentredMean() {
        let smooth = Curve.smoothed(points([1, 5, 3, 7, 9, 2]), window: 3)
        #expect(smooth.map(\.y) == [1, 3, 5, 19.0 / 3, 6, 2])
        #expect(smooth.map(\.x) == [0, 1, 2, 3, 4, 5])
        // A straight line stays what it is, at its ends too.
        let line = points((0..<50).map { Double($0) * 2 })
        #expect(Curve.smoothed(line, window: 5) == line)
        // Wider windows take some neighbours even at the ends.
        #expect(Curve.smoothed(line, window: 13)[0].y == 2)
        #expect(Curve.smoothed(line, window: 1) == line)
    }

    @Test func theWindowIsOddAndGrows() {
        #expect(Curve.window(39) == 1)
        #expect(Curve.window(40) == 3)
        #expect(Curve.window(1000) == 41)
        for count in 40..<400 { #expect(Curve.window(count) % 2 == 1) }
    }

    @Test func thinningKeepsEndsAndPeaks() {
        var values = (0..<5000).map { Double($0 % 10) }
        values[1234] = 99
        values[4321] = -50
        let thin = Curve.thinned(points(values), buckets: 100)
        #expect(thin.count <= 202)
        #expect(thin.first?.x == 0)
        #expect(thin.last?.x == 4999)
        #expect(thin.contains { $0.y == 99 && $0.x == 1234 })
        #expect(thin.contains { $0.y == -50 && $0.x == 4321 })
        #expect(zip(thin, thin.dropFirst()).allSatisfy { $0.x < $1.x })
        #expect(Curve.thinned(points([1, 2, 3]), buckets: 100).count == 3)
    }

    @Test func missingValuesCutTheLine() {
        let series = MetricSeries(
            name: "loss",
            points: [(0, nil), (1, 1), (2, 2), (3, nil), (4, nil), (5, 5)].map { .init(step: $0.0, value: $0.1) })
        #expect(Curve.pieces(series).map { $0.map(\.y) } == [[1, 2], [5]])
    }

    @Test func aChartDrawsEveryValueWithinItsFrame() throws {
        let series = MetricSeries(
            name: "validation/loss", points: [(0, 4.0), (10, 2.0), (20, 1.0)].map { .init(step: $0.0, value: $0.1) })
        let chart = LineChart(title: "loss", lines: [.init(color: 1, label: "a", series: series)])
        let circles = chart.svg.source.components(separatedBy: "<circle").dropFirst()
        let places = try circles.map { circle in
            let words = circle.components(separatedBy: "\"")
            return (x: try #require(Double(words[3])), y: try #require(Double(words[5])))
        }
        #expect(places.count == 3)
        // Steps go right in equal strides, falling values go down.
        #expect(abs((places[1].x - places[0].x) - (places[2].x - places[1].x)) < 0.02)
        #expect(places[0].y < places[1].y && places[1].y < places[2].y)
        #expect(abs((places[1].y - places[0].y) - 2 * (places[2].y - places[1].y)) < 0.05)
        #expect(places.allSatisfy { (0...chart.width).contains($0.x) && (0...chart.height).contains($0.y) })
    }
}
