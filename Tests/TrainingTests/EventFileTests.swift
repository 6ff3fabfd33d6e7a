import Foundation
import Testing

@testable import Training

@Suite struct EventFileTests {
    let folder = try! TemporaryFolder()

    @Test func checksumsAreThoseOfTheStandard() {
        // RFC 3720, B.4.
        #expect(CRC32C.checksum(Array(repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(CRC32C.checksum(Array(repeating: 0xFF, count: 32)) == 0x62a8_ab43)
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xe306_9283)
    }

    /// The same events as Fixtures/make_events.py writes through TensorBoard's own classes, byte for byte.
    @Test func theBytesAreTensorBoards() throws {
        let now = Date(timeIntervalSince1970: 1_700_000_000.25)
        let file = try EventFile(folder: folder.path, now: now)
        try file.append(step: 1, [Metric("loss", 0.5), Metric("validation/gen_real", -1.25)], now: now)
        try file.append(step: 300, [Metric("loss", 1e-3)], now: now)
        let resumed = try EventFile(folder: folder.path, now: now, resumedAt: 301)
        #expect(file.path != resumed.path)
        let fixtures = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures")
        #expect(try contents(file.path) == contents(fixtures.appendingPathComponent("events.bin").path))
        #expect(try contents(resumed.path) == contents(fixtures.appendingPathComponent("resumed.bin").path))
    }
}
