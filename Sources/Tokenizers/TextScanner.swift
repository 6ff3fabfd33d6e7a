/// Reads well-formed UTF-8 scalar by scalar, with the class of each.
struct TextScanner {
    let text: UnsafeBufferPointer<UInt8>

    /// Class and length of the scalar at `i`.
    @inline(__always)
    func character(at i: Int) -> (kind: CharacterClass, length: Int) {
        let byte = text[i]
        if byte < 0x80 { return (Self.ascii(byte), 1) }
        let scalar: UInt32
        let length: Int
        if byte < 0xE0 {
            scalar = UInt32(byte & 0x1F) << 6 | UInt32(text[i + 1] & 0x3F)
            length = 2
        } else if byte < 0xF0 {
            scalar = UInt32(byte & 0x0F) << 12 | UInt32(text[i + 1] & 0x3F) << 6 | UInt32(text[i + 2] & 0x3F)
            length = 3
        } else {
            scalar =
                UInt32(byte & 0x07) << 18 | UInt32(text[i + 1] & 0x3F) << 12 | UInt32(text[i + 2] & 0x3F) << 6
                | UInt32(text[i + 3] & 0x3F)
            length = 4
        }
        return (CharacterClass.of(scalar), length)
    }

    @inline(__always)
    private static func ascii(_ byte: UInt8) -> CharacterClass {
        if (byte | 0x20) &- 0x61 < 26 { return .letter }
        if byte &- 0x30 < 10 { return .number }
        return byte == 0x20 || byte &- 0x09 < 5 ? .space : .other
    }

    /// The end of the run of `kind` that continues at `i`.
    @inline(__always)
    func endOfRun(_ kind: CharacterClass, from i: Int) -> Int {
        var end = i
        while end < text.count {
            let (next, length) = character(at: end)
            guard next == kind else { break }
            end += length
        }
        return end
    }

    /// The end of a contraction (`'s 't 're 've 'm 'll 'd`) that starts at `i`; nil if none does.
    /// - Parameter foldsLongS: also accept "ſ" for s, as a case-insensitive match does.
    func endOfContraction(at i: Int, foldsLongS: Bool = false) -> Int? {
        guard text[i] == UInt8(ascii: "'"), i + 1 < text.count else { return nil }
        let next = i + 2 < text.count ? text[i + 2] : 0
        switch text[i + 1] {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return i + 2
        case UInt8(ascii: "r"), UInt8(ascii: "v"): return next == UInt8(ascii: "e") ? i + 3 : nil
        case UInt8(ascii: "l"): return next == UInt8(ascii: "l") ? i + 3 : nil
        case 0xC5: return foldsLongS && next == 0xBF ? i + 3 : nil
        default: return nil
        }
    }

    func hasPrefix(_ literal: [UInt8], at i: Int) -> Bool {
        i + literal.count <= text.count && text[i..<i + literal.count].elementsEqual(literal)
    }
}

/// The scalars of well-formed UTF-8.
func scalars(ofUTF8 text: UnsafeBufferPointer<UInt8>) -> [UInt32] {
    String(decoding: text, as: UTF8.self).unicodeScalars.map(\.value)
}

/// The UTF-8 of scalars.
func utf8(_ scalars: [UInt32]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(scalars.count + scalars.count / 4)
    for scalar in scalars {
        if scalar < 0x80 {
            bytes.append(UInt8(scalar))
        } else {
            bytes.append(contentsOf: UTF8.encode(Unicode.Scalar(scalar)!)!)
        }
    }
    return bytes
}
