/// `html.unescape` of Python 3: character references as HTML5 reads them.
enum HTMLEntities {
    /// Replaces all references in `text`: `&name;`, `&name` for the old ones that need no semicolon (longest first),
    /// `&#10;`, `&#xA;`. Everything else stays.
    ///
    /// There is one difference: Python raises an error for numbers of more than 4,300 digits, which become U+FFFD here.
    static func unescape(_ text: [UInt32]) -> [UInt32] {
        guard text.contains(ampersand) else { return text }
        var output: [UInt32] = []
        output.reserveCapacity(text.count)
        var i = 0
        while i < text.count {
            if text[i] == ampersand, let reference = reference(text, after: i + 1) {
                output.append(contentsOf: reference.scalars)
                i = reference.end
            } else {
                output.append(text[i])
                i += 1
            }
        }
        return output
    }

    private static let ampersand = UInt32(UInt8(ascii: "&"))
    private static let semicolon = UInt32(UInt8(ascii: ";"))
    private static let hash = UInt32(UInt8(ascii: "#"))

    private static func reference(_ text: [UInt32], after start: Int) -> (scalars: [UInt32], end: Int)? {
        guard start < text.count else { return nil }
        return text[start] == hash ? numeric(text, after: start + 1) : named(text, from: start)
    }

    private static func numeric(_ text: [UInt32], after start: Int) -> (scalars: [UInt32], end: Int)? {
        var i = start
        let radix: UInt32
        if i < text.count, text[i] | 0x20 == UInt32(UInt8(ascii: "x")) {
            radix = 16
            i += 1
        } else {
            radix = 10
        }
        let first = i
        var value: UInt32 = 0
        while i < text.count, let digit = digit(text[i]), digit < radix {
            // Once above the last scalar, the value stays there.
            value = min(value * radix + digit, 0x110000)
            i += 1
        }
        guard i > first else { return nil }
        if i < text.count, text[i] == semicolon { i += 1 }
        return (scalars(forReference: value), i)
    }

    private static func digit(_ scalar: UInt32) -> UInt32? {
        switch scalar {
        case 0x30...0x39: scalar - 0x30
        case 0x41...0x46: scalar - 0x41 + 10
        case 0x61...0x66: scalar - 0x61 + 10
        default: nil
        }
    }

    private static func scalars(forReference value: UInt32) -> [UInt32] {
        if let replacement = tables.replaced[value] { return replacement }
        if value > 0x10FFFF || 0xD800...0xDFFF ~= value { return [0xFFFD] }
        if tables.dropped.contains(where: { $0.contains(value) }) { return [] }
        return [value]
    }

    private static func named(_ text: [UInt32], from start: Int) -> (scalars: [UInt32], end: Int)? {
        var name: [UInt8] = []
        var i = start
        // Names are ASCII, so nothing after the first other character can belong to one.
        while i < text.count, name.count < 32, let byte = UInt8(exactly: text[i]), byte < 0x80 {
            if byte == 0x09 || byte == 0x0A || byte == 0x0C || byte == 0x20 { break }
            if byte == UInt8(ascii: "<") || byte == UInt8(ascii: "&") || byte == UInt8(ascii: "#") { break }
            if byte == UInt8(ascii: ";") { break }
            name.append(byte)
            i += 1
        }
        if !name.isEmpty, i < text.count, text[i] == semicolon { name.append(UInt8(ascii: ";")) }
        while name.count > 1 {
            if let scalars = tables.names[name] { return (scalars, start + name.count) }
            name.removeLast()
        }
        return nil
    }

    /// The repair step of ftfy: only `&name;` and `&#number;` with their semicolon, also with names in upper case.
    static func unescapeStrictly(_ text: [UInt32]) -> [UInt32] {
        guard text.contains(ampersand) else { return text }
        var output: [UInt32] = []
        output.reserveCapacity(text.count)
        var i = 0
        while i < text.count {
            if text[i] == ampersand, let end = endOfStrictReference(text, from: i) {
                output.append(contentsOf: strictReplacement(Array(text[i..<end])))
                i = end
            } else {
                output.append(text[i])
                i += 1
            }
        }
        return output
    }

    /// `&#?[0-9A-Za-z]{1,24};`
    private static func endOfStrictReference(_ text: [UInt32], from start: Int) -> Int? {
        var i = start + 1
        if i < text.count, text[i] == hash { i += 1 }
        let first = i
        while i < text.count, i - first < 24, isASCIIAlphanumeric(text[i]) { i += 1 }
        guard i > first, i < text.count, text[i] == semicolon else { return nil }
        return i + 1
    }

    static func isASCIIAlphanumeric(_ scalar: UInt32) -> Bool {
        scalar &- 0x30 < 10 || (scalar | 0x20) &- 0x61 < 26
    }

    private static func strictReplacement(_ reference: [UInt32]) -> [UInt32] {
        if reference[1] == hash {
            let unescaped = unescape(reference)
            return unescaped.contains(semicolon) ? reference : unescaped
        }
        let name = reference.dropFirst().map { UInt8($0) }
        return tables.names[name] ?? tables.upperCased[name] ?? reference
    }

    private struct Tables {
        let names = dictionary(HTMLEntityTable.names)
        let upperCased = dictionary(HTMLEntityTable.upperCased)
        let replaced = Dictionary(
            uniqueKeysWithValues: TableReader.pairs(HTMLEntityTable.replacedReferences).map {
                (TableReader.hexadecimal($0.key), $0.scalars)
            })
        let dropped = TableReader.ranges(HTMLEntityTable.droppedReferences)

        private static func dictionary(_ table: StaticString) -> [[UInt8]: [UInt32]] {
            Dictionary(uniqueKeysWithValues: TableReader.pairs(table).map { ($0.key, $0.scalars) })
        }
    }

    private static let tables = Tables()
}
