/// A metric of several runs over the steps: moving average over faint raw values, validation as marks.
struct LineChart {
    struct Line {
        /// Chooses the colour; see ``PageStyle``.
        let color: Int
        let label: String
        let series: MetricSeries
    }

    var title: String
    var lines: [Line]
    var width = 360.0
    var height = 216.0
    /// nil leaves the choice to the values.
    var isLogarithmic: Bool?

    private var left: Double { 50 }
    private var right: Double { 12 }
    private var top: Double { 10 }
    private var bottom: Double { 30 }

    /// The page may have more lines than colours; the later ones are dashed.
    static func strokeClass(_ color: Int) -> String {
        "s\(color % PageStyle.colorCount)"
            + (color >= PageStyle.colorCount ? " dash\(color / PageStyle.colorCount % 2)" : "")
    }

    var svg: Markup {
        let inner = (width: width - left - right, height: height - top - bottom)
        let drawn = lines.map { Drawn($0) }
        let (first, last) = (drawn.compactMap(\.firstStep).min() ?? 0, drawn.compactMap(\.lastStep).max() ?? 1)
        // A log begins at its first interval, but its axis at the beginning of the run.
        let x = Axis(
            from: first < 0.6 * last ? 0 : first, to: max(last, first + 1), ticks: max(3, Int(inner.width / 90)))
        let y = Axis(drawn.flatMap(\.extent), ticks: max(3, Int(inner.height / 45)), logarithmic: isLogarithmic)
        func place(_ point: Curve.Point) -> (x: Double, y: Double) {
            let value = y.isLogarithmic ? max(point.y, .leastNormalMagnitude) : point.y
            // Limits values far outside, because a coordinate must stay a number that a renderer can hold.
            let height = min(max(y.position(value), -3), 4)
            return (x.position(point.x) * inner.width, (1 - height) * inner.height)
        }
        func path(_ points: [Curve.Point]) -> Markup {
            var out: Markup = ""
            for (index, point) in points.enumerated() {
                let at = place(point)
                out += "\(Markup(trusted: index == 0 ? "M" : "L"))\(at.x) \(at.y)"
            }
            return out
        }
        let label = "\(title): " + lines.map(\.label).joined(separator: ", ")
        var out: Markup = """
            <svg class="chart" viewBox="0 0 \(width) \(height)" role="img" aria-label="\(label)">

            """
        out += grid(x, y, inner)
        // A nested drawing cuts off what lies outside the axes.
        out += """
            <svg x="\(left)" y="\(top)" width="\(inner.width)" height="\(inner.height)">

            """
        for curve in drawn where !curve.isValidation && curve.isSmoothed {
            for piece in curve.raw {
                out += """
                    <path class="raw \(Self.strokeClass(curve.line.color))" d="\(path(piece))"/>

                    """
            }
        }
        for curve in drawn {
            let kind = curve.isValidation ? "check" : "curve"
            for piece in curve.smooth where piece.count > 1 {
                out += """
                    <path class="\(kind) \(Self.strokeClass(curve.line.color))" d="\(path(piece))"/>

                    """
            }
        }
        out += "</svg>\n"
        for curve in drawn { out += marks(curve, place) }
        return out + "</svg>\n"
    }

    private func marks(_ curve: Drawn, _ place: (Curve.Point) -> (x: Double, y: Double)) -> Markup {
        var out: Markup = ""
        let points = curve.smooth.joined()
        // Few logged values are shown as points, so that even a single one is visible.
        guard curve.isValidation || points.count <= 12 else { return out }
        let radius = points.count > 60 ? 1.6 : 2.8
        for point in points {
            let at = place(point)
            guard at.y >= -0.5, at.y <= height - top - bottom + 0.5 else { continue }
            let text =
                "\(curve.line.label): \(curve.line.series.name) \(Axis.readable(point.y)) at step \(Number.grouped(Int(point.x)))"
            out += """
                <circle class="mark f\(curve.line.color % PageStyle.colorCount)" cx="\(left + at.x)" cy="\(top + at.y)" \
                r="\(radius)"><title>\(text)</title></circle>

                """
        }
        return out
    }

    private func grid(_ x: Axis, _ y: Axis, _ inner: (width: Double, height: Double)) -> Markup {
        var out: Markup = "<g class=\"grid\">"
        for tick in y.ticks {
            let height = top + (1 - y.position(tick)) * inner.height
            out += "<path d=\"M\(left) \(height)H\(left + inner.width)\"/>"
        }
        out += "</g>\n<g class=\"axis\">"
        out += "<path d=\"M\(left) \(top + inner.height)H\(left + inner.width)\"/>"
        for tick in x.ticks {
            out += "<path d=\"M\(left + x.position(tick) * inner.width) \(top + inner.height)v4\"/>"
        }
        out += "</g>\n<g class=\"ticks\">"
        for (tick, text) in zip(y.ticks, y.labels) {
            let height = top + (1 - y.position(tick)) * inner.height
            out += "<text class=\"end\" x=\"\(left - 7)\" y=\"\(height + 3.6)\">\(text)</text>"
        }
        for (tick, text) in zip(x.ticks, x.labels) {
            let at = left + x.position(tick) * inner.width
            out += "<text class=\"middle\" x=\"\(at)\" y=\"\(top + inner.height + 17)\">\(text)</text>"
        }
        return out + "</g>\n"
    }

    /// A line, prepared for drawing.
    private struct Drawn {
        let line: Line
        let isValidation: Bool
        let isSmoothed: Bool
        let raw: [[Curve.Point]]
        let smooth: [[Curve.Point]]
        let extent: [Double]

        var firstStep: Double? { smooth.first?.first?.x }
        var lastStep: Double? { smooth.last?.last?.x }

        init(_ line: Line) {
            self.line = line
            isValidation = line.series.isValidation
            let pieces = Curve.pieces(line.series)
            let window = isValidation ? 1 : Curve.window(pieces.reduce(0) { $0 + $1.count })
            let averaged = pieces.map { Curve.smoothed($0, window: window) }
            isSmoothed = window > 1
            raw = pieces.map { Curve.thinned($0, buckets: 300) }
            smooth = isValidation ? averaged : averaged.map { Curve.thinned($0, buckets: 200) }
            let middle = averaged.joined().map(\.y)
            extent =
                [middle.min(), middle.max()].compactMap { $0 }
                + (isSmoothed ? Curve.bulk(pieces.joined().map(\.y)) : [])
        }
    }
}

extension Axis {
    /// A measured number with four significant digits.
    static func readable(_ value: Double) -> String {
        guard value != 0, value.isFinite else { return "0" }
        let size = abs(value)
        if size < 1e-3 || size >= 1e7 { return scientific(value) }
        return Number.fixed(value, size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4)
    }
}
