// The default `fix_text` of ftfy 6.3.1 (Robyn Speer, https://ftfy.readthedocs.io, Apache-2.0), which OpenAI's CLIP
// tokenizer runs first: the same steps in the same order, in our own code over scalars.
//
// Unpaired UTF-16 surrogates are not handled (ftfy joins pairs and replaces halves), because a Swift string cannot hold
// them. Character data is that of Unicode 16, where Python 3.11 has 14; see Normalization for the composed form.

enum TextRepair {
    /// Repairs `text` line by line: entities, mojibake, control characters, ligatures, widths, quotes, line breaks,
    /// terminal escapes, then form C; again until nothing changes.
    static func fix(_ text: [UInt32]) -> [UInt32] {
        var output: [UInt32] = []
        output.reserveCapacity(text.count)
        // A literal "<" means HTML; then entities stay, in this line and all that follow.
        var unescaping = true
        var start = 0
        while start < text.count {
            var end = text[start...].firstIndex(of: newline).map { $0 + 1 } ?? text.count
            end = min(end, start + segmentLimit)
            let segment = Array(text[start..<end])
            if segment.contains(UInt32(UInt8(ascii: "<"))) { unescaping = false }
            output.append(contentsOf: fixSegment(segment, unescaping: unescaping))
            start = end
        }
        return output
    }

    /// Longer lines are cut at this length, as in ftfy.
    private static let segmentLimit = 1_000_000
    private static let newline: UInt32 = 0x0A

    private static func fixSegment(_ segment: [UInt32], unescaping: Bool) -> [UInt32] {
        var text = segment
        // This is decided once for the segment: an entity that turns into "<" does not stop the next round.
        while true {
            let before = text
            if unescaping { text = HTMLEntities.unescapeStrictly(text) }
            text = fixEncoding(text)
            text = replaceC1Controls(text)
            text = replaceCharacters(text)
            text = unifyLineBreaks(text)
            text = removeTerminalEscapes(text)
            text.removeAll(where: isUnwantedControl)
            text = Normalization.composed(text)
            if text == before { return text }
        }
    }

    /// C1 controls become the Windows-1252 characters with the same bytes, as in browsers.
    static func replaceC1Controls(_ text: [UInt32]) -> [UInt32] {
        guard text.contains(where: { 0x80...0x9F ~= $0 }) else { return text }
        let table = SingleByteEncoding.windows1252.decoded
        return text.map { 0x80...0x9F ~= $0 ? table[Int($0)] : $0 }
    }

    /// Ligatures, then widths, then quotes. No result of one is input of another, so one pass is enough.
    private static func replaceCharacters(_ text: [UInt32]) -> [UInt32] {
        guard text.contains(where: { $0 >= 0x132 }) else { return text }
        var output: [UInt32] = []
        output.reserveCapacity(text.count)
        for scalar in text {
            switch scalar {
            case 0..<0x132: output.append(scalar)
            case 0x2BC, 0x2018...0x201B: output.append(UInt32(UInt8(ascii: "'")))
            case 0x201C...0x201F: output.append(UInt32(UInt8(ascii: "\"")))
            default:
                if let replacement = replacements[scalar] {
                    output.append(contentsOf: replacement)
                } else {
                    output.append(scalar)
                }
            }
        }
        return output
    }

    private static let replacements: [UInt32: [UInt32]] = {
        var table: [UInt32: [UInt32]] = [:]
        for source in [MojibakeTable.ligatures, MojibakeTable.widths] {
            for pair in TableReader.pairs(source) {
                // The apostrophe in the expansion of U+0149 is curly, and is straightened in the same round.
                table[TableReader.hexadecimal(pair.key)] = pair.scalars.map {
                    $0 == 0x2BC ? UInt32(UInt8(ascii: "'")) : $0
                }
            }
        }
        return table
    }()

    private static func unifyLineBreaks(_ text: [UInt32]) -> [UInt32] {
        guard text.contains(where: { $0 == 0x0D || $0 == 0x85 || $0 == 0x2028 || $0 == 0x2029 }) else { return text }
        var output: [UInt32] = []
        output.reserveCapacity(text.count)
        for (i, scalar) in text.enumerated() {
            switch scalar {
            case 0x0D:
                if i + 1 < text.count, text[i + 1] == newline { continue }
                output.append(newline)
            case 0x85, 0x2028, 0x2029: output.append(newline)
            default: output.append(scalar)
            }
        }
        return output
    }

    /// `ESC [ (digit | ;)* letter`
    private static func removeTerminalEscapes(_ text: [UInt32]) -> [UInt32] {
        guard text.contains(0x1B) else { return text }
        var output: [UInt32] = []
        var i = 0
        while i < text.count {
            if text[i] == 0x1B, i + 1 < text.count, text[i + 1] == UInt32(UInt8(ascii: "[")) {
                var end = i + 2
                while end < text.count, text[end] == UInt32(UInt8(ascii: ";")) || isDecimal(text[end]) { end += 1 }
                if end < text.count, (text[end] | 0x20) &- 0x61 < 26 {
                    i = end + 1
                    continue
                }
            }
            output.append(text[i])
            i += 1
        }
        return output
    }

    private static func isDecimal(_ scalar: UInt32) -> Bool {
        Unicode.Scalar(scalar)?.properties.generalCategory == .decimalNumber
    }

    /// Controls without a visible effect: C0 except white space, deleted Arabic controls, annotations, byte-order mark.
    private static func isUnwantedControl(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x00...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x206A...0x206F, 0xFEFF, 0xFFF9...0xFFFC: true
        default: false
        }
    }
}
