import Files
import Foundation
import TestSupport
import Testing

@testable import Files

@Suite struct ContentHashTests {
    /// FIPS 180-4 and NIST's long message.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ]) func known(_ text: String, _ digest: String) {
        #expect(ContentHash.sha256(of: text) == digest)
    }

    @Test func aMillionTimesA() throws {
        let expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        let bytes = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        #expect(ContentHash.sha256(of: bytes) == expected)
        let folder = try TemporaryFolder()
        try folder.write(bytes, to: "a")
        #expect(try ContentHash.sha256(ofFile: folder.file("a")) == expected)
    }

    /// However the input is cut, the digest is the same.
    @Test func pieces() {
        var generator = SeededGenerator(state: 3)
        for length in 0..<300 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
            var hasher = SHA256()
            var start = 0
            while start < length {
                let end = min(length, start + Int.random(in: 1...90, using: &generator))
                hasher.update(Array(bytes[start..<end]))
                start = end
            }
            #expect(ContentHash.hexadecimal(hasher.finish()) == ContentHash.sha256(of: bytes))
            var portable = SHA256()
            portable.usesInstructions = false
            portable.update(bytes)
            #expect(portable.finish() == hasher.finish())
        }
    }
}
