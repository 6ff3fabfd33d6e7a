import Foundation

/// Draws maps side by side in a self-contained file: no script, no font file, no style sheet.
public struct GapMapSVG: Sendable {
    public struct Panel: Sendable {
        public let title: String
        public let subtitle: String
        public let map: GapMap

        public init(title: String, subtitle: String, map: GapMap) {
            self.title = title
            self.subtitle = subtitle
            self.map = map
        }
    }

    // Okabe and Ito's blue and vermilion, which colour-blind readers can distinguish, also in print.
    private static let realColor = "#0072B2"
    private static let generatedColor = "#D55E00"
    /// With more pairs, lines between them would hide the points.
    public static let mostLinkedPairs = 250

    private static let side = 440.0
    private static let margin = 28.0
    private static let top = 118.0

    /// - Parameter footer: one line, below the panels.
    public static func render(title: String, panels: [Panel], footer: String) -> String {
        let width = margin + Double(panels.count) * (side + margin)
        let canvas = max(width, 560)
        let height = top + side + 56
        var out = """
            <?xml version="1.0" encoding="UTF-8"?>
            <svg xmlns="http://www.w3.org/2000/svg" width="\(n(canvas))" height="\(n(height))" \
            viewBox="0 0 \(n(canvas)) \(n(height))" font-family="Helvetica, Arial, sans-serif" role="img">
            <title>\(escaped(title))</title>
            <rect width="\(n(canvas))" height="\(n(height))" fill="#ffffff"/>
            <text x="\(n(margin))" y="36" font-size="19" font-weight="bold" fill="#1a1a1a">\(escaped(title))</text>

            """
        let pairs = panels.first?.map.realRow.count ?? 0
        let images = panels.first?.map.real.count ?? 0
        out += legend(x: margin, real: images, generated: pairs)
        for (index, panel) in panels.enumerated() {
            out += draw(panel, x: margin + Double(index) * (side + margin))
        }
        out += """
            <text x="\(n(margin))" y="\(n(height - 22))" font-size="11.5" fill="#6b6b6b">\(escaped(footer))</text>
            </svg>

            """
        return out
    }

    private static func legend(x: Double, real: Int, generated: Int) -> String {
        """
        <g font-size="13" fill="#333333">
        <circle cx="\(n(x + 6))" cy="57" r="5" fill="\(realColor)"/>
        <text x="\(n(x + 17))" y="61.5">real images (\(real))</text>
        <circle cx="\(n(x + 186))" cy="57" r="5" fill="\(generatedColor)"/>
        <text x="\(n(x + 197))" y="61.5">generated images (\(generated))</text>
        </g>

        """
    }

    private static func draw(_ panel: Panel, x: Double) -> String {
        let map = panel.map
        let points = map.real + map.generated
        let xs = points.map { $0[0] }
        let ys = points.map { $0[1] }
        let lowX = xs.min() ?? 0
        let highX = xs.max() ?? 0
        let lowY = ys.min() ?? 0
        let highY = ys.max() ?? 0
        // Both axes have one scale; otherwise distances on paper would not be distances of the map.
        let span = max(highX - lowX, highY - lowY, 1e-12)
        let inner = side - 36
        func place(_ point: [Double]) -> (Double, Double) {
            (
                x + side / 2 + (point[0] - (lowX + highX) / 2) / span * inner,
                top + side / 2 - (point[1] - (lowY + highY) / 2) / span * inner
            )
        }
        let pairs = map.realRow.count
        let radius = pairs <= 100 ? 4.2 : pairs <= 300 ? 3.2 : 2.3
        var out = """
            <text x="\(n(x))" y="\(n(top - 27))" font-size="15" font-weight="bold" fill="#1a1a1a">\(escaped(panel.title))</text>
            <text x="\(n(x))" y="\(n(top - 10))" font-size="12" fill="#555555">\(escaped(panel.subtitle))</text>
            <rect x="\(n(x))" y="\(n(top))" width="\(n(side))" height="\(n(side))" rx="4" fill="#fafafa" stroke="#d8d8d8"/>

            """
        if pairs <= mostLinkedPairs {
            out += "<g stroke=\"#9a9a9a\" stroke-width=\"0.8\" stroke-opacity=\"0.45\">\n"
            for (pair, row) in map.realRow.enumerated() {
                let a = place(map.real[row])
                let b = place(map.generated[pair])
                out += "<line x1=\"\(n(a.0))\" y1=\"\(n(a.1))\" x2=\"\(n(b.0))\" y2=\"\(n(b.1))\"/>\n"
            }
            out += "</g>\n"
        }
        // Drawn alternately, so that neither kind covers the other.
        out += "<g stroke=\"#ffffff\" stroke-width=\"0.5\" fill-opacity=\"0.8\">\n"
        for index in 0..<max(map.real.count, map.generated.count) {
            for (kind, color) in [(map.real, realColor), (map.generated, generatedColor)] where index < kind.count {
                let point = place(kind[index])
                out += "<circle cx=\"\(n(point.0))\" cy=\"\(n(point.1))\" r=\"\(n(radius))\" fill=\"\(color)\"/>\n"
            }
        }
        return out + "</g>\n"
    }

    private static func n(_ value: Double) -> String {
        let rounded = (value * 100).rounded() / 100
        return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
    }

    /// Text for XML; control characters, which XML forbids, become spaces.
    static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            default:
                let isForbidden = scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF
                out.unicodeScalars.append(isForbidden ? " " : scalar)
            }
        }
        return out
    }
}
