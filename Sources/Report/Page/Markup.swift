/// A piece of HTML that is also XML. Interpolated text is escaped and only markup is inserted unchanged, so that no
/// caption, path or name can become part of the page's structure.
///
///     let cell: Markup = "<td>\(caption)</td>"
struct Markup: Sendable, Equatable, ExpressibleByStringInterpolation {
    private(set) var source: String

    init(stringLiteral value: String) { source = value }

    init(stringInterpolation: StringInterpolation) { source = stringInterpolation.source }

    init(_ pieces: [Markup]) { source = pieces.map(\.source).joined() }

    /// Markup from elsewhere, for which the caller is responsible.
    init(trusted source: String) { self.source = source }

    var isEmpty: Bool { source.isEmpty }

    static func += (a: inout Markup, b: Markup) { a.source += b.source }
    static func + (a: Markup, b: Markup) -> Markup { Markup(trusted: a.source + b.source) }

    struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var source = ""

        init(literalCapacity: Int, interpolationCount: Int) {
            source.reserveCapacity(literalCapacity + interpolationCount * 16)
        }

        mutating func appendLiteral(_ literal: String) { source += literal }
        mutating func appendInterpolation(_ text: String) { Markup.append(text, to: &source) }
        mutating func appendInterpolation(_ markup: Markup) { source += markup.source }
        mutating func appendInterpolation(_ pieces: [Markup]) { for piece in pieces { source += piece.source } }
        mutating func appendInterpolation(_ number: Int) { source += "\(number)" }

        /// A coordinate: a hundredth of a pixel is finer than any screen.
        mutating func appendInterpolation(_ coordinate: Double) {
            precondition(coordinate.isFinite && abs(coordinate) < 1e12)
            let hundredths = Int((coordinate * 100).rounded())
            if hundredths % 100 == 0 {
                source += "\(hundredths / 100)"
            } else {
                source += "\(Double(hundredths) / 100)"
            }
        }
    }

    /// Text that is valid in both XML and HTML. Characters that XML 1.0 does not allow, even escaped, become U+FFFD.
    private static func append(_ text: String, to out: inout String) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            case "\t", "\n": out.unicodeScalars.append(scalar)
            case "\r": out += " "
            default:
                let isForbidden = scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF
                out.unicodeScalars.append(isForbidden ? "\u{FFFD}" : scalar)
            }
        }
    }
}

extension Sequence where Element == Markup {
    func joined(separator: Markup = "") -> Markup {
        Markup(trusted: map(\.source).joined(separator: separator.source))
    }
}
