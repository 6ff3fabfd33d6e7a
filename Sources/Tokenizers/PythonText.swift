// String methods with Python's meaning, over scalars.

enum PythonText {
    /// `str.isspace` of one character: bidirectional type WS, B or S, or category Zs. Beyond the White_Space property
    /// it includes U+001C to U+001F.
    static func isSpace(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    /// `\w` of the `re` module: alphanumeric or underscore.
    static func isWord(_ scalar: UInt32) -> Bool {
        if scalar == UInt32(UInt8(ascii: "_")) { return true }
        guard let scalar = Unicode.Scalar(scalar) else { return false }
        return CharacterClass(scalar) == .letter || scalar.properties.numericType != nil
    }

    /// `" ".join(text.split())`.
    static func collapseSpaces(_ text: [UInt32]) -> [UInt32] {
        var result: [UInt32] = []
        result.reserveCapacity(text.count)
        var pending = false
        for scalar in text {
            if isSpace(scalar) {
                pending = !result.isEmpty
            } else {
                if pending { result.append(0x20) }
                pending = false
                result.append(scalar)
            }
        }
        return result
    }

    /// `str.lower`: full mappings, and sigma at the end of a word.
    static func lower(_ text: [UInt32]) -> [UInt32] {
        var result: [UInt32] = []
        result.reserveCapacity(text.count)
        for (i, scalar) in text.enumerated() {
            if scalar == 0x3A3 {
                result.append(isFinalSigma(text, at: i) ? 0x3C2 : 0x3C3)
            } else {
                appendLower(scalar, to: &result)
            }
        }
        return result
    }

    /// The lower-case mapping of one scalar without context, as Rust's `char::to_lowercase`.
    static func appendLower(_ scalar: UInt32, to output: inout [UInt32]) {
        if scalar < 0x80 {
            output.append(scalar &- 65 < 26 ? scalar + 32 : scalar)
            return
        }
        let value = Unicode.Scalar(scalar)!
        guard value.properties.changesWhenLowercased else {
            output.append(scalar)
            return
        }
        for mapped in value.properties.lowercaseMapping.unicodeScalars { output.append(mapped.value) }
    }

    /// SpecialCasing.txt's Final_Sigma: a cased letter before, none after, skipping case-ignorable ones.
    private static func isFinalSigma(_ text: [UInt32], at index: Int) -> Bool {
        func isCased(_ indices: some Sequence<Int>) -> Bool {
            for i in indices {
                let properties = Unicode.Scalar(text[i])!.properties
                if properties.isCaseIgnorable { continue }
                return properties.isCased
            }
            return false
        }
        return isCased((0..<index).reversed()) && !isCased(index + 1..<text.count)
    }
}

/// The three classes that the patterns of the tokenizers distinguish; everything else is `other`.
enum CharacterClass: UInt8 {
    case other, letter, number, space

    init(_ scalar: Unicode.Scalar) {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: self = .letter
        case .decimalNumber, .letterNumber, .otherNumber: self = .number
        default: self = scalar.properties.isWhitespace ? .space : .other
        }
    }

    /// The class of a scalar. Planes 0 and 1 come from a table that is made at first use (128 KB); for others the
    /// properties are looked up by search.
    static func of(_ scalar: UInt32) -> CharacterClass {
        if scalar < 0x20000 { return CharacterClass(rawValue: table[Int(scalar)])! }
        return Unicode.Scalar(scalar).map(CharacterClass.init) ?? .other
    }

    private static let table: [UInt8] = (0..<0x20000).map { value in
        Unicode.Scalar(value as UInt32).map { CharacterClass($0).rawValue } ?? CharacterClass.other.rawValue
    }
}
