/// The compiled rules that SentencePiece rewrites characters by (`precompiled_charsmap`): a double-array trie over UTF-8
/// whose values point into a table of texts. Reference: google/sentencepiece `normalizer.cc`; s-yata/darts-clone.
struct CharacterMap: Sendable {
    private let units: [UInt32]
    /// Texts, each ended by a zero byte.
    private let texts: [UInt8]

    /// - Parameters:
    ///   - bytes: length of the trie in bytes (32 bits), the trie, the texts; empty for no rules.
    ///   - path: of the file, for messages.
    /// - Throws: ``TokenizerError/badField(path:field:expected:got:)``.
    init(_ bytes: [UInt8], path: String) throws(TokenizerError) {
        guard !bytes.isEmpty else {
            (units, texts) = ([], [])
            return
        }
        func number(_ i: Int) -> UInt32 {
            UInt32(bytes[i]) | UInt32(bytes[i + 1]) << 8 | UInt32(bytes[i + 2]) << 16 | UInt32(bytes[i + 3]) << 24
        }
        let size = bytes.count < 4 ? 0 : Int(number(0))
        guard size > 0, size % 4 == 0, size <= bytes.count - 4, bytes.count == 4 + size || bytes.last == 0 else {
            throw .badField(
                path: path, field: "precompiled_charsmap", expected: "a trie and the texts that it points to",
                got: "\(bytes.count) bytes, of them \(size) a trie")
        }
        units = stride(from: 4, to: 4 + size, by: 4).map(number)
        texts = Array(bytes[(4 + size)...])
    }

    /// The prefixes of a text that have a rule, the shortest first: length and what they become.
    func prefixes(
        of text: UnsafeBufferPointer<UInt8>, from start: Int, _ body: (_ length: Int, _ text: ArraySlice<UInt8>) -> Void
    ) {
        guard !units.isEmpty else { return }
        var node = Int(offset(units[0]))
        for i in start..<text.count {
            node ^= Int(text[i])
            guard units.indices.contains(node), units[node] & 0x8000_00FF == UInt32(text[i]) else { return }
            let unit = units[node]
            node ^= Int(offset(unit))
            guard unit >> 8 & 1 == 1, units.indices.contains(node) else { continue }
            let value = Int(units[node] & 0x7FFF_FFFF)
            guard value < texts.count else { return }
            let end = texts[value...].firstIndex(of: 0) ?? texts.endIndex
            body(i - start + 1, texts[value..<end])
        }
    }

    private func offset(_ unit: UInt32) -> UInt32 { (unit >> 10) << ((unit & 1 << 9) >> 6) }
}
