import Files
import Foundation
import Safetensors

extension WordVectors {
    /// The file layouts that can be read; `nil` is decided by the file's name.
    public enum FileFormat: Sendable {
        /// word2vec's binary layout: `count dimension\n`, then per word its text, a blank and little-endian floats.
        case word2vecBinary
        /// Text, one word and its numbers per line; a first line `count dimension` (word2vec's text) is skipped.
        case gloveText
        /// One float tensor `[words, dimension]`; `WordVectors+Safetensors.swift` says where its words stand.
        case safetensors
    }

    /// Reads vectors.
    ///
    /// - Parameters:
    ///   - path: `.bin` is taken for word2vec binary, `.safetensors` for that, anything else for text, unless `format`
    ///     says otherwise.
    ///   - vocabulary: only these words are kept, as UTF-8, so a table of millions of words costs little memory.
    /// - Throws: `FileError`; `CaptionDataError.wordVectors`, naming the word at which the file breaks off;
    ///   `SafetensorsError` for a damaged safetensors file.
    public init(contentsOf path: String, format: FileFormat? = nil, keeping vocabulary: Set<[UInt8]>? = nil) throws {
        if format == .safetensors || format == nil && path.hasSuffix(".safetensors") {
            try self.init(safetensors: path, keeping: vocabulary)
            return
        }
        let file = try MappedFile(path: path)
        try PlaceholderFile.refuse(file)
        let isBinary = format == .word2vecBinary || format == nil && path.hasSuffix(".bin")
        let hash = file.withUnsafeBytes { ContentHash.sha256(of: $0) }
        let table = try file.withUnsafeBytes { raw in
            let bytes = raw.bindMemory(to: UInt8.self)
            return isBinary ? try Self.readBinary(bytes, path, vocabulary) : try Self.readText(bytes, path, vocabulary)
        }
        try self.init(keys: table.keys, values: table.values, dimension: table.dimension, hash: hash, path: path)
    }

    typealias Table = (keys: [[UInt8]], values: [Float], dimension: Int)

    private static func readBinary(
        _ bytes: UnsafeBufferPointer<UInt8>, _ path: String, _ wanted: Set<[UInt8]>?
    ) throws -> Table {
        let lineEnd = bytes.prefix(100).firstIndex(of: 0x0A) ?? 0
        let header = String(decoding: bytes[..<lineEnd], as: UTF8.self).split(separator: " ").compactMap { Int($0) }
        guard header.count == 2, header[0] >= 0, header[1] > 0, header[1] < 1 << 20 else {
            throw CaptionDataError.wordVectors(
                path: path, expected: "a first line 'count dimension' (word2vec binary)",
                got: "'\(String(decoding: bytes.prefix(min(40, lineEnd)), as: UTF8.self))'")
        }
        let (count, dimension) = (header[0], header[1])
        var keys: [[UInt8]] = []
        var values: [Float] = []
        var position = lineEnd + 1
        for number in 0..<count {
            // Some writers end each row with a line feed.
            while position < bytes.count, bytes[position] == 0x0A { position += 1 }
            guard let blank = bytes[position...].firstIndex(of: 0x20), blank + 1 + 4 * dimension <= bytes.count else {
                throw CaptionDataError.wordVectors(
                    path: path, expected: "\(count) words of \(dimension) numbers",
                    got: "the end of the file at word \(number + 1)")
            }
            let key = Array(bytes[position..<blank])
            position = blank + 1
            if wanted?.contains(key) ?? true {
                keys.append(key)
                for index in 0..<dimension {
                    let at = position + 4 * index
                    let bits =
                        UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16
                        | UInt32(bytes[at + 3]) << 24
                    values.append(Float(bitPattern: bits))
                }
            }
            position += 4 * dimension
        }
        return (keys, values, dimension)
    }

    private static func readText(
        _ bytes: UnsafeBufferPointer<UInt8>, _ path: String, _ wanted: Set<[UInt8]>?
    ) throws -> Table {
        var keys: [[UInt8]] = []
        var values: [Float] = []
        var dimension = 0
        var line = 0
        // Lines as `TextLines` cuts them, without a copy of a table of gigabytes.
        var start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
            defer { start = end + 1 }
            line += 1
            let isCRLF = end > start && end < bytes.count && bytes[end - 1] == 0x0D
            let fields = bytes[start..<(isCRLF ? end - 1 : end)].split(separator: 0x20)
            if fields.isEmpty { continue }
            if line == 1, fields.count == 2, fields.allSatisfy({ $0.allSatisfy { (0x30...0x39).contains($0) } }) {
                continue
            }
            if dimension == 0 { dimension = fields.count - 1 }
            // Some tables hold words with blanks in them, so the numbers are the last fields.
            guard dimension > 0, fields.count > dimension else {
                throw CaptionDataError.wordVectors(
                    path: path, expected: "a word and \(max(1, dimension)) numbers on line \(line)",
                    got: "\(fields.count) fields")
            }
            let key = Array(fields[..<(fields.count - dimension)].joined(separator: [0x20]))
            guard wanted?.contains(key) ?? true else { continue }
            keys.append(key)
            for field in fields.suffix(dimension) {
                let text = String(decoding: field, as: UTF8.self)
                guard let value = Float(text) else {
                    throw CaptionDataError.wordVectors(
                        path: path, expected: "a number on line \(line)", got: "'\(text)'")
                }
                values.append(value)
            }
        }
        guard dimension > 0 else {
            throw CaptionDataError.wordVectors(
                path: path, expected: "lines of a word and its numbers", got: "no such line")
        }
        return (keys, values, dimension)
    }
}
