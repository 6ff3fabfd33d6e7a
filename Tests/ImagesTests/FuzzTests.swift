import Foundation
import Testing

@testable import Images

/// Seeded mutations of every fixture file through every decoder: whatever the bytes, an image or an `ImageError`.
///
/// Five seconds by default; `GMAIL_FUZZ_SECONDS` sets another length and `GMAIL_FUZZ_SEED` another start. A crash ends
/// the process, so the input under test is kept in `GMAIL_FUZZ_KEEP` when that names a file.
@Suite struct FuzzTests {
    @Test func mutatedFilesNeverCrash() throws {
        let environment = ProcessInfo.processInfo.environment
        let seconds = environment["GMAIL_FUZZ_SECONDS"].flatMap(Double.init) ?? 5
        var random = SplitMix(state: environment["GMAIL_FUZZ_SEED"].flatMap(UInt64.init) ?? 20_250_711)
        let folder = URL(fileURLWithPath: fixturePath("files"))
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        let corpus = try names.map { try imageFixture($0) }
        #expect(corpus.count > 240)
        let settings = try ImagePreprocessing.clip(side: 16)
        var output = [Float](repeating: 0, count: 3 * 16 * 16)
        // Small enough that a mutated header cannot make one case take seconds.
        let options = ImageDecodingOptions(limits: try ImageLimits(maximumPixels: 1_000_000))

        let clock = ContinuousClock()
        let start = clock.now
        var cases = 0, decoded = 0
        var kinds: [String: Int] = [:]
        var slowest = Duration.zero
        while clock.now - start < .seconds(seconds) {
            let bytes = mutated(corpus, &random)
            if let keep = environment["GMAIL_FUZZ_KEEP"] { try Data(bytes).write(to: URL(fileURLWithPath: keep)) }
            let before = clock.now
            do {
                let image = try RGBImage(decoding: bytes, name: "fuzz", options: options)
                #expect(image.pixels.count == image.width * image.height * 3)
                decoded += 1
            } catch let error as ImageError {
                kinds[
                    String(describing: error).split(separator: ":")[0].split(separator: " ").dropFirst(2).prefix(3)
                        .joined(separator: " "), default: 0] += 1
            }
            var limited = settings
            limited.limits = options.limits
            limited.transparency = Transparency.allCases[cases % 3]
            if cases.isMultiple(of: 3) { limited.decodeScale = try .reduced(ratio: 1) }
            do {
                try output.withUnsafeMutableBufferPointer { _ = try limited.preprocess(bytes, name: "fuzz", into: $0) }
                let finite = output.allSatisfy { $0.isFinite }
                #expect(finite)
            } catch is ImageError {
                // Counted above: both paths read the same bytes.
            }
            slowest = max(slowest, clock.now - before)
            cases += 1
        }
        print("fuzz: \(cases) mutated files, \(decoded) decoded, errors \(kinds), slowest \(slowest)")
        #expect(cases > 100 && decoded > 0 && !kinds.isEmpty)
        // Two decodes of at most a megapixel; far above any honest time, far below "for ever".
        #expect(slowest < .seconds(20))
    }

    private func mutated(_ corpus: [[UInt8]], _ random: inout SplitMix) -> [UInt8] {
        var bytes = corpus[random.below(corpus.count)]
        for _ in 0...random.below(6) {
            guard !bytes.isEmpty else { break }
            let at = random.below(bytes.count)
            switch random.below(10) {
            case 0: bytes[at] ^= 1 << UInt8(random.below(8))
            case 1: bytes[at] = UInt8(truncatingIfNeeded: random.next())
            case 2: bytes[at] = [0, 0xff, 0x7f, 0x80][random.below(4)]
            case 3: bytes.removeSubrange(at..<min(bytes.count, at + 1 + random.below(64)))
            case 4: bytes.removeLast(random.below(bytes.count))
            case 5:
                bytes.insert(
                    contentsOf: (0...random.below(32)).map { _ in UInt8(truncatingIfNeeded: random.next()) }, at: at)
            case 6:  // a piece of another file
                let other = corpus[random.below(corpus.count)], from = random.below(other.count)
                bytes.insert(contentsOf: other[from..<min(other.count, from + 1 + random.below(200))], at: at)
            case 7:  // a piece of itself again: repeated chunks, scans and tables
                bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + 1 + random.below(300))], at: at)
            case 8:  // lengths and dimensions live in the first bytes
                bytes[random.below(min(64, bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            default:
                for i in at..<min(bytes.count, at + 8) { bytes[i] = UInt8(truncatingIfNeeded: random.next()) }
            }
        }
        // Otherwise libpng's checksums hide nearly everything behind them.
        if random.below(3) > 0 { repairPNGChecksums(&bytes) }
        return bytes
    }

    private func repairPNGChecksums(_ bytes: inout [UInt8]) {
        guard bytes.count > 8, bytes[0] == 0x89 else { return }
        var at = 8
        while at + 12 <= bytes.count {
            let length = bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
            guard length <= bytes.count - at - 12 else { return }
            var crc: UInt32 = 0xffff_ffff
            for byte in bytes[at + 4..<at + 8 + length] {
                crc ^= UInt32(byte)
                for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xedb8_8320 : 0) }
            }
            crc = ~crc
            for i in 0..<4 { bytes[at + 8 + length + i] = UInt8(truncatingIfNeeded: crc >> (24 - 8 * UInt32(i))) }
            at += length + 12
        }
    }
}

/// Vigna's SplitMix64.
private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}
