// The generated tables are text, which is compact in the source and compiles far faster than array literals of that
// size. Each is read once, when first needed.

enum TableReader {
    /// `1f`, `2010-2015` and `name:` words: the scalars after each name.
    static func groups(_ table: StaticString) -> [(name: String, scalars: [ClosedRange<UInt32>])] {
        var result: [(name: String, scalars: [ClosedRange<UInt32>])] = []
        for word in words(table) {
            if word.last == UInt8(ascii: ":") {
                result.append((String(decoding: word.dropLast(), as: UTF8.self), []))
            } else {
                result[result.count - 1].scalars.append(range(word))
            }
        }
        return result
    }

    /// `key=1f_2e` words.
    static func pairs(_ table: StaticString, separators: [UInt8] = [UInt8(ascii: "=")]) -> [Pair] {
        words(table).map { word in
            let at = word.firstIndex { separators.contains($0) }!
            return Pair(
                key: Array(word[..<at]), separator: word[at],
                scalars: word[(at + 1)...].split(separator: UInt8(ascii: "_")).map(hexadecimal))
        }
    }

    struct Pair {
        let key: [UInt8]
        let separator: UInt8
        let scalars: [UInt32]
    }

    static func ranges(_ table: StaticString) -> [ClosedRange<UInt32>] { words(table).map(range) }

    static func numbers(_ table: StaticString) -> [UInt32] { words(table).map(hexadecimal) }

    static func hexadecimal(_ digits: some Sequence<UInt8>) -> UInt32 {
        digits.reduce(0) { $0 << 4 | UInt32($1 <= UInt8(ascii: "9") ? $1 - 48 : $1 - 87) }
    }

    private static func range(_ word: ArraySlice<UInt8>) -> ClosedRange<UInt32> {
        guard let dash = word.firstIndex(of: UInt8(ascii: "-")) else {
            let scalar = hexadecimal(word)
            return scalar...scalar
        }
        return hexadecimal(word[..<dash])...hexadecimal(word[(dash + 1)...])
    }

    private static func words(_ table: StaticString) -> [ArraySlice<UInt8>] {
        table.withUTF8Buffer { Array($0) }.split { $0 == 0x20 || $0 == 0x0A }
    }
}
