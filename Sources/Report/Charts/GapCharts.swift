import Evaluation

/// The distribution of the cosines of paired real and generated images, before and after alignment.
struct CosineHistogram {
    let before: CosineDistribution
    let after: CosineDistribution?

    // As high as the maps beside it.
    private let width = 340.0
    private let height = 340.0
    private let left = 12.0
    private let top = 30.0
    private let bottom = 40.0

    var svg: Markup {
        let inner = (width: width - 2 * left, height: height - top - bottom)
        let sides = [(before, "before"), (after, "after")].compactMap { side, name in side.map { ($0, name) } }
        let bins = CosineDistribution.binCount
        // Empty bins at both ends would only make the rest narrower; one is kept.
        let occupied = sides.flatMap { side in side.0.histogram.indices.filter { side.0.histogram[$0] > 0 } }
        let first = max(0, (occupied.min() ?? 0) - 1)
        let last = min(bins - 1, (occupied.max() ?? bins - 1) + 1)
        func edge(_ bin: Int) -> Double { -1 + 2 * Double(bin) / Double(bins) }
        let x = Axis(from: edge(first), to: edge(last + 1), ticks: 6)
        func share(_ side: CosineDistribution, _ bin: Int) -> Double {
            bin < side.histogram.count ? Double(side.histogram[bin]) / Double(max(1, side.count)) : 0
        }
        let tallest = max(sides.flatMap { side in (first...last).map { share(side.0, $0) } }.max() ?? 1, 1e-9)
        let label =
            "Cosine of paired real and generated images: mean \(Number.fixed(before.mean, 3)) before alignment"
            + (after.map { ", \(Number.fixed($0.mean, 3)) after" } ?? "")
        var out: Markup = """
            <svg class="chart" viewBox="0 0 \(width) \(height)" role="img" aria-label="\(label)">

            """
        for (side, name) in sides {
            out += "<g class=\"bars \(name)\">"
            for bin in first...last where side.histogram[bin] > 0 {
                let at = left + x.position(edge(bin)) * inner.width
                let step = inner.width / Double(last - first + 1)
                let tall = share(side, bin) / tallest * inner.height
                let text =
                    "\(name): \(side.histogram[bin]) of \(side.count) pairs between "
                    + "\(Number.fixed(edge(bin), 1)) and \(Number.fixed(edge(bin + 1), 1))"
                out += """
                    <rect x="\(at + 1)" y="\(top + inner.height - tall)" width="\(step - 2)" height="\(tall)">\
                    <title>\(text)</title></rect>
                    """
            }
            out += "</g>\n"
        }
        out += "<g class=\"axis\"><path d=\"M\(left) \(top + inner.height)H\(left + inner.width)\"/></g>\n"
        out += means(sides, x, inner)
        out += "<g class=\"ticks\">"
        for (tick, text) in zip(x.ticks, x.labels) {
            out += """
                <text class="middle" x="\(left + x.position(tick) * inner.width)" y="\(top + inner.height + 16)">\(text)</text>
                """
        }
        out += """
            <text class="middle" x="\(width / 2)" y="\(height - 6)">cosine of the pair</text></g>
            </svg>

            """
        return out
    }

    private func means(
        _ sides: [(CosineDistribution, String)], _ x: Axis, _ inner: (width: Double, height: Double)
    ) -> Markup {
        let places = sides.map { left + min(max(x.position($0.0.mean), 0), 1) * inner.width }
        var out: Markup = ""
        for (index, (side, name)) in sides.enumerated() {
            let at = places[index]
            // If two means are near each other, the left label ends at its line and the right one begins at its line.
            let isLeft =
                sides.count == 2 && abs(places[0] - places[1]) < 110 && at == places.min() && places[0] != places[1]
            let isRight = sides.count == 2 && abs(places[0] - places[1]) < 110 && !isLeft
            let anchor = isLeft || at > width - 60 ? "end" : isRight || at < 60 ? "start" : "middle"
            out += """
                <g class="mean \(name)"><path d="M\(at) \(top - 6)V\(top + inner.height)"/>\
                <text class="\(anchor)" x="\(at)" y="\(top - 12)">\(name) \(Number.fixed(side.mean, 3))</text></g>

                """
        }
        return out
    }
}

/// Real and generated images in two dimensions; lines join pairs if there are few enough to be visible.
struct GapMapChart {
    let title: String
    let map: GapMap

    private let side = 340.0

    var svg: Markup {
        let points = map.real + map.generated
        let xs = points.map { $0[0] }
        let ys = points.map { $0[1] }
        let (lowX, highX) = (xs.min() ?? 0, xs.max() ?? 0)
        let (lowY, highY) = (ys.min() ?? 0, ys.max() ?? 0)
        // Both axes have one scale; otherwise distances on paper would not be distances of the map.
        let span = max(highX - lowX, highY - lowY, 1e-12)
        let inner = side - 28
        func place(_ point: [Double]) -> (x: Double, y: Double) {
            (
                side / 2 + (point[0] - (lowX + highX) / 2) / span * inner,
                side / 2 - (point[1] - (lowY + highY) / 2) / span * inner
            )
        }
        let pairs = map.realRow.count
        let radius = pairs <= 100 ? 3.6 : pairs <= 300 ? 2.8 : 2.0
        let label = "\(title): \(map.real.count) real and \(map.generated.count) generated images"
        var out: Markup = """
            <svg class="chart map" viewBox="0 0 \(side) \(side)" role="img" aria-label="\(label)">
            <rect class="frame" x="0.5" y="0.5" width="\(side - 1)" height="\(side - 1)" rx="6"/>

            """
        if pairs <= GapMapSVG.mostLinkedPairs {
            var links: Markup = ""
            for (pair, row) in map.realRow.enumerated() {
                let (a, b) = (place(map.real[row]), place(map.generated[pair]))
                links += "M\(a.x) \(a.y)L\(b.x) \(b.y)"
            }
            out += "<path class=\"links\" d=\"\(links)\"/>\n"
        }
        // Drawn alternately, so that neither kind covers the other.
        for index in 0..<max(map.real.count, map.generated.count) {
            if index < map.real.count {
                let at = place(map.real[index])
                out += "<circle class=\"real\" cx=\"\(at.x)\" cy=\"\(at.y)\" r=\"\(radius)\"/>"
            }
            if index < map.generated.count {
                let at = place(map.generated[index])
                out += "<circle class=\"generated\" cx=\"\(at.x)\" cy=\"\(at.y)\" r=\"\(radius)\"/>"
            }
        }
        return out + "\n</svg>\n"
    }
}
