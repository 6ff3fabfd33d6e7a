/// GPT-2's reversible alphabet: each byte as one printable character, so that vocabularies are text.
///
/// Printable Latin-1 characters stand for themselves; the other 68 bytes are U+0100 and up, in order (a space is "Ġ").
/// Source: `bytes_to_unicode`, https://github.com/openai/gpt-2/blob/master/src/encoder.py.
package enum ByteAlphabet {
    /// The character of each byte.
    static let scalars: [Unicode.Scalar] = {
        var next: UInt32 = 0x100
        return (0...255).map { byte in
            if isPrintable(byte) { return Unicode.Scalar(UInt8(byte)) }
            defer { next += 1 }
            return Unicode.Scalar(next)!
        }
    }()

    /// Bytes in the order of OpenAI's vocabularies: the printable ones first.
    package static let vocabularyOrder: [UInt8] =
        (0...255).filter(isPrintable).map { UInt8($0) } + (0...255).filter { !isPrintable($0) }.map { UInt8($0) }

    /// The token of a single byte, as UTF-8.
    package static func token(_ byte: UInt8) -> [UInt8] { Array(UTF8.encode(scalars[Int(byte)])!) }

    /// The bytes that a token stands for. A token with a character outside the alphabet, as in added tokens, stands for
    /// itself.
    static func bytes(ofToken token: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        for scalar in String(decoding: token, as: UTF8.self).unicodeScalars {
            guard let byte = byteOfScalar[scalar.value] else { return token }
            bytes.append(byte)
        }
        return bytes
    }

    private static let byteOfScalar: [UInt32: UInt8] = Dictionary(
        uniqueKeysWithValues: scalars.enumerated().map { ($1.value, UInt8($0)) })

    private static func isPrintable(_ byte: Int) -> Bool {
        (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
    }
}
