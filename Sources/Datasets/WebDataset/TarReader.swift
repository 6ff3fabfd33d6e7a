// Tar archives, read front to back. POSIX.1-2001 ("pax"): 512-byte headers, content padded to 512 bytes, two empty blocks
// at the end. Names longer than a header holds come in a pax header (`x`, key `path`) or GNU's own way (`L`).

import Files
import Foundation
import Safetensors

/// One regular file of a tar.
public struct TarMember: Sendable, Hashable {
    public let name: String
    /// Where its content lies in the archive.
    public let range: Range<Int>
}

/// The regular files of a tar, in its order. Folders and links are passed over.
public struct TarReader {
    public let path: String
    private let file: MappedFile
    private var offset = 0

    /// - Throws: `FileError`.
    public init(path: String) throws {
        self.path = path
        file = try MappedFile(path: path)
        try PlaceholderFile.refuse(file)
    }

    /// The content of a member.
    public func bytes(of member: TarMember) -> [UInt8] { file.withUnsafeBytes { Array($0[member.range]) } }

    /// The next file; nil at the end.
    /// - Throws: ``DatasetError/badTar(path:offset:reason:)``, also when the archive was cut short.
    public mutating func next() throws -> TarMember? {
        try file.withUnsafeBytes { try next(in: $0) }
    }

    private mutating func next(in bytes: UnsafeRawBufferPointer) throws -> TarMember? {
        var longName: String?
        var longSize: Int?
        while true {
            guard offset + 512 <= bytes.count else {
                throw failure(offset, "the archive ends without its two empty blocks; is it complete?")
            }
            let header = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + 512])
            if header.allSatisfy({ $0 == 0 }) { return nil }
            try checkSum(header)
            let size = try longSize ?? number(header[124..<136], "size")
            let start = offset + 512
            guard size <= bytes.count - start else {
                throw failure(
                    start, "a member of \(size) bytes, the archive has \(bytes.count - start) left; is it complete?")
            }
            let range = start..<start + size
            let (padded, overflow) = range.upperBound.addingReportingOverflow(511)
            guard !overflow else { throw failure(offset, "a member of \(size) bytes") }
            let at = offset
            offset = padded & ~511
            switch header[156] {
            case UInt8(ascii: "0"), 0, UInt8(ascii: "7"):
                return TarMember(name: try longName ?? name(header, at: at), range: range)
            case UInt8(ascii: "x"):
                let records = try paxRecords(UnsafeRawBufferPointer(rebasing: bytes[range]), at: start)
                longName = records["path"] ?? longName
                if let text = records["size"] {
                    guard let value = Int(text), value >= 0 else { throw failure(start, "pax size '\(text)'") }
                    longSize = value
                }
            case UInt8(ascii: "L"):
                longName = try text(bytes[range].prefix { $0 != 0 }, at: start)
            default:
                // Folders, links, global pax headers: what they say belongs to them, not to the next file.
                if header[156] != UInt8(ascii: "g") { (longName, longSize) = (nil, nil) }
            }
        }
    }

    private func failure(_ offset: Int, _ reason: String) -> DatasetError {
        .badTar(path: path, offset: offset, reason: reason)
    }

    private func checkSum(_ header: UnsafeRawBufferPointer) throws {
        let stored = try number(header[148..<156], "checksum")
        // Its own field counts as spaces.
        let sum = header.enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 0x20 : Int($1.element)) }
        guard sum == stored else { throw failure(offset, "the header's checksum is wrong; is this a tar?") }
    }

    /// Octal text, or GNU's binary form with the top bit set.
    private func number(_ field: Slice<UnsafeRawBufferPointer>, _ what: String) throws -> Int {
        if let first = field.first, first & 0x80 != 0 {
            var value = Int(first & 0x3F)
            for byte in field.dropFirst() {
                guard first & 0x40 == 0, value < 1 << 54 else { throw failure(offset, "\(what) is out of range") }
                value = value << 8 | Int(byte)
            }
            return value
        }
        let digits = field.drop { $0 == 0x20 }.prefix { $0 != 0 && $0 != 0x20 }
        var value = 0
        for digit in digits {
            guard (0x30...0x37).contains(digit) else { throw failure(offset, "\(what) is no octal number") }
            value = value << 3 | Int(digit - 0x30)
        }
        return value
    }

    private func name(_ header: UnsafeRawBufferPointer, at offset: Int) throws -> String {
        let name = try text(header[0..<100].prefix { $0 != 0 }, at: offset)
        // GNU's older format keeps other things where ustar has the prefix.
        guard header[257..<263].elementsEqual("ustar\0".utf8) else { return name }
        let prefix = try text(header[345..<500].prefix { $0 != 0 }, at: offset)
        return prefix.isEmpty ? name : "\(prefix)/\(name)"
    }

    private func text(_ bytes: some Sequence<UInt8>, at offset: Int) throws -> String {
        guard let text = String(validating: Array(bytes), as: UTF8.self) else {
            throw failure(offset, "a name is not UTF-8")
        }
        return text
    }

    /// Lines of `LENGTH KEY=VALUE\n`, LENGTH counting the whole line.
    private func paxRecords(_ bytes: UnsafeRawBufferPointer, at start: Int) throws -> [String: String] {
        var records: [String: String] = [:]
        var position = 0
        while position < bytes.count {
            guard let space = bytes[position...].firstIndex(of: 0x20),
                let length = Int(String(decoding: bytes[position..<space], as: UTF8.self)),
                length > space - position + 1, length <= bytes.count - position,
                bytes[position + length - 1] == 0x0A,
                let equals = bytes[space + 1..<position + length].firstIndex(of: UInt8(ascii: "="))
            else { throw failure(start + position, "a broken pax record") }
            let key = try text(bytes[space + 1..<equals], at: start + position)
            if key == "path" || key == "size" {
                records[key] = try text(bytes[equals + 1..<position + length - 1], at: start + position)
            }
            position += length
        }
        return records
    }
}
