import Foundation

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

/// SplitMix64: the same numbers on every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Folders made once from the full vocabularies under `GMAIL_SHARED` (default `../shared` beside the repository).
enum FullVocabulary {
    static let tokenizers: String? = {
        let shared = ProcessInfo.processInfo.environment["GMAIL_SHARED"] ?? "../shared"
        let folder = shared + "/data/tokenizers"
        return FileManager.default.fileExists(atPath: folder) ? folder : nil
    }()

    /// OpenAI's merges, unpacked; nil with a message when the shared data is not there.
    static func clipMerges(for test: String) throws -> String? {
        guard let tokenizers else {
            print("NOT RUN: \(test) needs GMAIL_SHARED/data/tokenizers")
            return nil
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        let target = NSTemporaryDirectory() + "/clip-merges-\(UUID().uuidString).txt"
        process.arguments = [
            "-c", #"gzip -dc "$1" > "$2""#, "sh", tokenizers + "/clip_bpe_simple_vocab_16e6.txt.gz", target,
        ]
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CocoaError(.fileReadUnknown) }
        return target
    }

    static func gpt2(for test: String) throws -> GPT2Tokenizer? {
        guard let tokenizers else {
            print("NOT RUN: \(test) needs GMAIL_SHARED/data/tokenizers")
            return nil
        }
        let folder = try temporaryFolder([:])
        for (source, name) in [("gpt2_encoder.json", "vocab.json"), ("gpt2_vocab.bpe", "merges.txt")] {
            try FileManager.default.copyItem(atPath: tokenizers + "/" + source, toPath: folder + "/" + name)
        }
        return try GPT2Tokenizer(folder: folder)
    }
}

/// A fresh folder with these files.
func temporaryFolder(_ files: [String: String]) throws -> String {
    let folder = NSTemporaryDirectory() + "/tokenizer-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (name, text) in files { try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/" + name)) }
    return folder
}
