import Files
import Foundation
import StrictJSON
import TestSupport

@testable import Tokenizers

func fixture(_ name: String) -> String { Bundle.module.bundlePath + "/Fixtures/" + name }

func decodeFixture<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(contentsOf: URL(fileURLWithPath: fixture(name))))
}

/// Ids as the fixtures hold them: base64 of little-endian 16-bit numbers.
func unpacked(_ text: String) -> [Int] {
    let bytes = [UInt8](Data(base64Encoded: text)!)
    return stride(from: 0, to: bytes.count, by: 2).map { Int(bytes[$0]) | Int(bytes[$0 + 1]) << 8 }
}

/// The checksum of zlib, over little-endian 32-bit numbers.
struct CRC32 {
    private static let table: [UInt32] = (0..<256).map { n in
        (0..<8).reduce(UInt32(n)) { c, _ in c & 1 == 1 ? 0xEDB8_8320 ^ (c >> 1) : c >> 1 }
    }

    private var state: UInt32 = 0xFFFF_FFFF
    var value: UInt32 { ~state }

    mutating func update(_ ids: [Int32]) {
        for id in ids {
            for shift in [0, 8, 16, 24] { update(UInt8(truncatingIfNeeded: id >> Int32(shift))) }
        }
    }

    mutating func update(_ byte: UInt8) { state = Self.table[Int((state ^ UInt32(byte)) & 0xFF)] ^ (state >> 8) }
}

/// Folders made once from the full vocabularies under `GMAIL_SHARED`.
enum FullVocabulary {
    private static let names = ["clip_bpe_simple_vocab_16e6.txt.gz", "gpt2_encoder.json", "gpt2_vocab.bpe"]
    static let isThere = SharedData.has(names.map { "data/tokenizers/\($0)" })

    /// Writes OpenAI's merges, unpacked, into the folder.
    /// - Returns: their path.
    static func clipMerges(into folder: TemporaryFolder) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = [
            "-c", #"gzip -dc "$1" > "$2""#, "sh", SharedData.path("data/tokenizers/\(names[0])"), folder("bpe.txt"),
        ]
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CocoaError(.fileReadUnknown) }
        return folder("bpe.txt")
    }

    /// Writes `vocab.json` and `merges.txt` of GPT-2 into the folder.
    static func gpt2(into folder: TemporaryFolder) throws {
        for (source, name) in [(names[1], "vocab.json"), (names[2], "merges.txt")] {
            try folder.write(RegularFile.bytes(SharedData.path("data/tokenizers/\(source)")), to: name)
        }
    }

    /// Writes `vocab.json` and `merges.txt` of CLIP into the folder.
    static func clip(into folder: TemporaryFolder) throws {
        let merges = try BytePairFiles.openAIMerges(clipMerges(into: folder), limit: 48_894)
        let bytes = ByteAlphabet.vocabularyOrder.map(ByteAlphabet.token)
        let tokens =
            bytes + bytes.map { $0 + Array("</w>".utf8) } + merges.map { $0.left + $0.right }
            + ["<|startoftext|>", "<|endoftext|>"].map { Array($0.utf8) }
        var vocabulary: [UInt8] = []
        for (id, token) in tokens.enumerated() {
            vocabulary += vocabulary.isEmpty ? [UInt8(ascii: "{")] : [UInt8(ascii: ",")]
            StrictJSON.append(string: String(decoding: token, as: UTF8.self), to: &vocabulary)
            vocabulary += ":\(id)".utf8
        }
        try folder.write(vocabulary + [UInt8(ascii: "}")], to: "vocab.json")
        let lines = merges.map { $0.left + [0x20] + $0.right }.joined(separator: [0x0A])
        try folder.write(Array("#version: 0.2\n".utf8) + lines, to: "merges.txt")
    }
}

/// The texts that the fixture scripts put together, by the same little generator.
func generated(_ count: Int, _ pieces: [String], seed: UInt64) -> [String] {
    var state = seed
    func next(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
    }
    return (0..<count).map { _ in (0...next(12)).reduce(into: "") { text, _ in text += pieces[next(pieces.count)] } }
}

/// The texts whose ids have another check sum than the fixture says, 8 hexadecimal digits each.
func differing(_ texts: [String], _ tokenizer: some TextTokenizer, _ sums: String) -> [String] {
    let sums = Array(sums.utf8)
    return texts.enumerated().filter { i, text in
        var crc = CRC32()
        crc.update(tokenizer.encode(text))
        return crc.value != UInt32(String(decoding: sums[i * 8..<i * 8 + 8], as: UTF8.self), radix: 16)
    }.map(\.element)
}

extension TemporaryFolder {
    /// A fresh folder with these files.
    convenience init(_ files: [String: String]) throws {
        try self.init()
        for (name, text) in files { try write(text, to: name) }
    }
}
