import Files
import Foundation
import TestSupport
import Testing

@testable import Safetensors

/// Seeded mutations of valid files: a file either fails with a named error or opens with all its bytes readable.
/// 3 seconds; `GMAIL_FUZZ_SECONDS=600` runs longer.
@Suite struct FuzzTests {
    @Test func mutatedFiles() throws {
        let seconds = ProcessInfo.processInfo.environment["GMAIL_FUZZ_SECONDS"].flatMap(Double.init) ?? 3
        let folder = try TemporaryFolder()
        let path = folder.file("fuzz.safetensors")
        let seeds = try [read(fixture("reference.safetensors")), read(fixture("empty.safetensors"))]
        let tokens = [
            "{", "}", "[", "]", ",", ":", "\"", "\\u", "\\ud800", "null", "-1", "0", "18446744073709551615", "1e9",
            "9223372036854775807", "\"dtype\"", "\"__metadata__\"", "\"F64\"", "[0,0]", "\u{7F}", "é",
        ].map { Array($0.utf8) }
        var generator = SeededGenerator(state: 20_251)
        var runs = 0
        var opened = 0
        let end = Date().addingTimeInterval(seconds)
        while runs < 2000 || Date() < end {
            runs += 1
            var bytes = seeds.randomElement(using: &generator)!
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                // Most of it in the header, which is where decisions are taken.
                let limit = Bool.random(using: &generator) ? min(bytes.count, 1500) : bytes.count
                let at = Int.random(in: 0...limit, using: &generator)
                switch Int.random(in: 0..<7, using: &generator) {
                case 0 where at < bytes.count: bytes[at] = UInt8.random(in: 0...255, using: &generator)
                case 1 where at < bytes.count: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                case 2: bytes.removeSubrange(at...)
                case 3: bytes.insert(contentsOf: tokens.randomElement(using: &generator)!, at: at)
                case 4:
                    let other = Int.random(in: 0...bytes.count, using: &generator)
                    bytes.removeSubrange(min(at, other)..<max(at, min(other, at + 40)))
                case 5 where at < bytes.count:
                    let piece = bytes[at..<min(bytes.count, at + 30)]
                    bytes.insert(contentsOf: piece, at: Int.random(in: 0...bytes.count, using: &generator))
                default:
                    // The length follows the header, so that the JSON is looked at.
                    if bytes.count > 8 {
                        let length = UInt64(Int.random(in: 0...min(bytes.count, 2000), using: &generator))
                        withUnsafeBytes(of: length.littleEndian) { bytes.replaceSubrange(0..<8, with: $0) }
                    }
                }
            }
            try write(bytes, to: path)
            do {
                let file = try SafetensorsFile(path: path)
                opened += 1
                var sum: UInt64 = 0
                var count = 0
                for view in file.tensors {
                    view.withUnsafeBytes { for byte in $0 { sum &+= UInt64(byte) } }
                    count += view.byteRange.count
                }
                #expect(count == file.dataByteCount && sum <= UInt64(count) * 255)
            } catch let error as SafetensorsError {
                #expect(error.description.contains(path))
            }
        }
        print("safetensors fuzz: \(runs) files, \(opened) still valid")
        #expect(opened > 0 && opened < runs)
    }
}
