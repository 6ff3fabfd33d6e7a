/// What is done to a caption before it is split into words. The two references differ, so the choice is explicit.
public enum CLIPCleaning: Sendable, Equatable {
    /// As `transformers` 5: form C, white space collapsed, lower case scalar by scalar. This is the default for Hugging
    /// Face folders.
    case huggingFace
    /// As OpenAI's and open_clip's tokenizer: mojibake repaired by ftfy, HTML entities unescaped twice, white space
    /// collapsed and trimmed, Python's lower case (with final sigma).
    case openAI

    /// The cleaned text.
    public func clean(_ text: String) -> String {
        var text = text
        return text.withUTF8 { String(decoding: clean($0), as: UTF8.self) }
    }

    func clean(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        if let cleaned = cleanPlainASCII(text) { return cleaned }
        let scalars = scalars(ofUTF8: text)
        switch self {
        case .huggingFace: return utf8(huggingFace(scalars))
        case .openAI:
            let repaired = HTMLEntities.unescape(HTMLEntities.unescape(TextRepair.fix(scalars)))
            return utf8(PythonText.lower(PythonText.collapseSpaces(repaired)))
        }
    }

    /// Printable ASCII without entities, the usual caption, needs only lower case and collapsed white space.
    private func cleanPlainASCII(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        var pending = false
        for byte in text {
            switch byte {
            case 0x20, 0x09, 0x0A, 0x0D: pending = true
            case 0x21...0x7E:
                if self == .openAI, byte == UInt8(ascii: "&") { return nil }
                if pending {
                    pending = false
                    if self == .huggingFace || !output.isEmpty { output.append(0x20) }
                }
                output.append(byte &- 65 < 26 ? byte + 32 : byte)
            default: return nil
            }
        }
        if pending, self == .huggingFace { output.append(0x20) }
        return output
    }

    private func huggingFace(_ text: [UInt32]) -> [UInt32] {
        var output: [UInt32] = []
        output.reserveCapacity(text.count)
        var pending = false
        for scalar in Normalization.composed(text) {
            if CharacterClass.of(scalar) == .space {
                pending = true
                continue
            }
            if pending { output.append(0x20) }
            pending = false
            PythonText.appendLower(scalar, to: &output)
        }
        if pending { output.append(0x20) }
        return output
    }
}
