extension StrictJSON {
    /// A value as JSON, without white space between its parts; members keep their order.
    package static func text(of value: JSONValue) -> String {
        var output: [UInt8] = []
        append(value, to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    private static func append(_ value: JSONValue, to output: inout [UInt8]) {
        func separated<Part>(_ parts: [Part], _ ends: (UInt8, UInt8), _ body: (Part) -> Void) {
            output.append(ends.0)
            for (index, part) in parts.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                body(part)
            }
            output.append(ends.1)
        }
        switch value {
        case .null: output += "null".utf8
        case .bool(let flag): output += "\(flag)".utf8
        case .number(let digits): output += digits.utf8
        case .string(let text): append(string: text, to: &output)
        case .array(let values):
            separated(values, (UInt8(ascii: "["), UInt8(ascii: "]"))) { append($0, to: &output) }
        case .object(let members):
            separated(members, (UInt8(ascii: "{"), UInt8(ascii: "}"))) { member in
                append(string: member.key, to: &output)
                output.append(UInt8(ascii: ":"))
                append(member.value, to: &output)
            }
        }
    }

    /// Appends `text` as a JSON string, escaped as serde_json and Python's `ensure_ascii=False` do it: only `"`, `\`
    /// and control characters below U+0020.
    public static func append(string text: String, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): output.append(contentsOf: #"\""#.utf8)
            case UInt8(ascii: "\\"): output.append(contentsOf: #"\\"#.utf8)
            case 0x08: output.append(contentsOf: #"\b"#.utf8)
            case 0x0C: output.append(contentsOf: #"\f"#.utf8)
            case 0x0A: output.append(contentsOf: #"\n"#.utf8)
            case 0x0D: output.append(contentsOf: #"\r"#.utf8)
            case 0x09: output.append(contentsOf: #"\t"#.utf8)
            case 0..<0x20:
                output.append(contentsOf: #"\u00"#.utf8)
                output.append(hexDigits[Int(byte >> 4)])
                output.append(hexDigits[Int(byte & 15)])
            default: output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }

    private static let hexDigits = Array("0123456789abcdef".utf8)
}
