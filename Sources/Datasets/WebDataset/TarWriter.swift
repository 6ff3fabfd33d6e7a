import Files
import Safetensors

/// Appends regular files to a tar: ustar headers, a pax header where a name is too long. Equal content gives equal bytes:
/// owner 0, mode 0644, time 0.
struct TarWriter {
    /// Appends one file.
    static func append(_ name: String, _ content: [UInt8], to sink: inout AtomicFileSink) throws {
        let bytes = Array(name.utf8)
        if bytes.count > 100 {
            let record = paxRecord("path", bytes)
            try sink.append(header(name: Array("PaxHeader".utf8), size: record.count, type: UInt8(ascii: "x")))
            try appendPadded(record, to: &sink)
        }
        try sink.append(header(name: Array(bytes.prefix(100)), size: content.count, type: UInt8(ascii: "0")))
        try appendPadded(content, to: &sink)
    }

    /// The two empty blocks that end an archive.
    static func finish(_ sink: inout AtomicFileSink) throws { try sink.append([UInt8](repeating: 0, count: 1024)) }

    private static func appendPadded(_ content: [UInt8], to sink: inout AtomicFileSink) throws {
        try sink.append(content)
        try sink.append([UInt8](repeating: 0, count: (512 - content.count % 512) % 512))
    }

    private static func header(name: [UInt8], size: Int, type: UInt8) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ bytes: some Collection<UInt8>, _ offset: Int) {
            header.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        }
        func octal(_ value: Int, _ digits: Int) -> [UInt8] {
            let text = Array(String(value, radix: 8).utf8)
            return Array(repeating: UInt8(ascii: "0"), count: digits - text.count) + text
        }
        put(name, 0)
        put(octal(0o644, 7), 100)
        put(octal(0, 7), 108)
        put(octal(0, 7), 116)
        // 11 octal digits hold 8 GiB, far beyond any image.
        put(octal(size, 11), 124)
        put(octal(0, 11), 136)
        put([UInt8](repeating: 0x20, count: 8), 148)
        put([type], 156)
        put(Array("ustar\u{0}00".utf8), 257)
        let sum = header.reduce(0) { $0 + Int($1) }
        put(octal(sum, 6) + [0, 0x20], 148)
        return header
    }

    private static func paxRecord(_ key: String, _ value: [UInt8]) -> [UInt8] {
        let rest = Array(" \(key)=".utf8) + value + [0x0A]
        // The length counts its own digits.
        var length = rest.count + 1
        while "\(length)".utf8.count + rest.count != length { length += 1 }
        return Array("\(length)".utf8) + rest
    }
}
