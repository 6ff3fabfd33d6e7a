/// Text that is compared byte by byte.
///
/// Swift calls two strings equal when they are canonically equivalent: "é" composed and decomposed would be one key of a
/// dictionary. To the kernel, to JSON and to tokenizers they are two names, so paths, ids and keys are kept under this.
public struct ExactString: Sendable, Hashable, Comparable, CustomStringConvertible, ExpressibleByStringLiteral {
    public let string: String

    public init(_ string: String) { self.string = string }
    public init(stringLiteral value: String) { string = value }

    public static func == (a: ExactString, b: ExactString) -> Bool { a.string.utf8.elementsEqual(b.string.utf8) }

    public func hash(into hasher: inout Hasher) {
        var text = string
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        hasher.combine(0xFF as UInt8)
    }

    public static func < (a: ExactString, b: ExactString) -> Bool {
        a.string.utf8.lexicographicallyPrecedes(b.string.utf8)
    }

    public var description: String { string }
}

/// Text as it can be shown: control characters, which could steer a terminal, are spelt out.
public func printable(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    var shown = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        if isControl(scalar) {
            shown.append(contentsOf: "\\u{\(String(scalar.value, radix: 16, uppercase: true))}".unicodeScalars)
        } else {
            shown.append(scalar)
        }
    }
    return String(shown)
}

/// The beginning of a text, in one line: errors name what was given, not all of it.
public func abbreviated(_ text: String, to limit: Int = 100) -> String {
    let line = text.prefix(limit).split(whereSeparator: \.isNewline).joined(separator: " ")
    return text.count > limit ? line + "…" : line
}

/// C0 and C1 controls but tab and line feed; and the marks that turn the direction of writing.
package func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x09, 0x0A: false
    case 0..<0x20, 0x7F..<0xA0, 0x202A...0x202E, 0x2066...0x2069: true
    default: false
    }
}
