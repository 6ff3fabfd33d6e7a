import Files
import Foundation
import Images
import Safetensors
import Testing

@testable import Datasets

@Suite struct TarTests {
    let folder = try! TemporaryFolder()

    private func fixture(_ name: String) throws -> String {
        try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/\(name)").path
    }

    private func readAll(_ path: String, real: Pair.RealImages = .required) throws -> [PairSample] {
        var reader = try PairTarReader(path: path, real: real)
        var samples: [PairSample] = []
        while let sample = try reader.next() { samples.append(sample) }
        return samples
    }

    @Test(arguments: ["pax.tar", "gnu.tar"])
    func pythonsTarsAreRead(name: String) throws {
        let samples = try readAll(fixture(name))
        let long = "shard/" + String(repeating: "n", count: 120) + "\u{e9}"
        #expect(samples.map(\.pair.id) == ["shard/000", long])
        #expect(samples.map(\.pair.caption) == ["caption \u{e9} 0", "caption \u{e9} 1"])
        #expect(samples[1].pair.generated == long + ".gen.png")
        #expect(samples[1].real == Array("real 1".utf8))
        #expect(samples[1].generated == Array("generated 1".utf8))
    }

    private func samples(_ count: Int) -> [PairSample] {
        (0..<count).map { index in
            PairSample(
                key: "00000000\(index)",
                pair: Pair(
                    id: "a.b/\(index)", caption: "caption \(index)", real: index == 2 ? nil : "r/\(index).jpeg",
                    generated: "g/\(index).png", generator: GeneratorSettings(model: "m", seed: index)),
                real: index == 2 ? nil : Array(repeating: UInt8(index), count: 511 + index),
                generated: Array(repeating: UInt8(index), count: 512 * index))
        }
    }

    private func write(_ samples: [PairSample], to name: String) throws -> String {
        var rest = samples[...]
        #expect(try PairTarWriter.write(to: folder.file(name)) { rest.popFirst() } == samples.count)
        return folder.file(name)
    }

    @Test func pairsSurviveATar() throws {
        let written = samples(4)
        let path = try write(written, to: "shard.tar")
        let read = try readAll(path, real: .optional)
        #expect(read.map(\.pair.id) == written.map(\.pair.id))
        #expect(read.map(\.pair.caption) == written.map(\.pair.caption))
        #expect(read.map(\.pair.generator) == written.map(\.pair.generator))
        #expect(read.map(\.real) == written.map(\.real))
        #expect(read.map(\.generated) == written.map(\.generated))
        #expect(read[0].pair.real == "000000000.jpeg")
        #expect(read[2].pair.real == nil)
        #expect(
            try ContentHash.sha256(ofFile: path) == ContentHash.sha256(ofFile: write(written, to: "again.tar")))
        #expect(
            message { _ = try readAll(path) } == "'\(path)': sample '000000002' has no '.jpg' member")
    }

    @Test func longNamesAreWrittenAsPax() throws {
        let name = String(repeating: "x", count: 97) + "/y.txt"
        try AtomicFile.write(byteCount: 0, to: folder.file("long.tar")) { sink in
            try TarWriter.append(name, [1, 2, 3], to: &sink)
            try TarWriter.finish(&sink)
        }
        var reader = try TarReader(path: folder.file("long.tar"))
        let member = try #require(try reader.next())
        #expect(member.name == name)
        #expect(reader.bytes(of: member) == [1, 2, 3])
        #expect(try reader.next() == nil)
    }

    @Test func theBytesArePythons() throws {
        try AtomicFile.write(byteCount: 0, to: folder.file("ours.tar")) { sink in
            try TarWriter.append("000000000.jpg", Array(repeating: UInt8(ascii: "r"), count: 513), to: &sink)
            try TarWriter.append("000000000.gen.png", Array(repeating: UInt8(ascii: "g"), count: 512), to: &sink)
            try TarWriter.append(String(repeating: "x", count: 97) + "/y.txt", [1, 2, 3], to: &sink)
            try TarWriter.finish(&sink)
        }
        let ours = try MappedFile(path: folder.file("ours.tar")).withUnsafeBytes { Array($0) }
        let pythons = try MappedFile(path: fixture("ours.tar")).withUnsafeBytes { Array($0) }
        #expect(ours == Array(pythons.prefix(ours.count)))
        // Python fills up to 10,240 bytes.
        #expect(pythons.dropFirst(ours.count).allSatisfy { $0 == 0 })
    }

    /// Every way of cutting a shard short ends in an error that names it, never in fewer pairs.
    @Test func cutArchivesAreNoticed() throws {
        let path = try write(samples(2), to: "shard.tar")
        let bytes = try MappedFile(path: path).withUnsafeBytes { Array($0) }
        for length in stride(from: 0, to: bytes.count - 1024, by: 97) {
            let cut = folder.file("cut.tar")
            try AtomicFile.write(bytes[..<length], to: cut)
            #expect(message { _ = try readAll(cut) }.hasPrefix("'\(cut)': not a readable tar at byte "))
        }
    }

    @Test func otherFilesAreNoTars() throws {
        let path = try folder.write(String(repeating: "no tar ", count: 200), to: "x.tar")
        #expect(message { _ = try readAll(path) }.hasPrefix("'\(path)': not a readable tar at byte 0: "))
        var bytes = try MappedFile(path: fixture("pax.tar")).withUnsafeBytes { Array($0) }
        bytes[700] ^= 1
        try AtomicFile.write(bytes, to: path)
        #expect(
            message { _ = try readAll(path) }
                == "'\(path)': not a readable tar at byte 512: the header's checksum is wrong; is this a tar?")
    }

    /// A picture alone is the generated one when the sample's description says so; otherwise nobody can tell.
    @Test func aPictureAlone() throws {
        func tar(_ description: String?) throws -> String {
            try AtomicFile.write(byteCount: 0, to: folder.file("alone.tar")) { sink in
                try TarWriter.append("7.png", [0x89, 0x50, 0x4E, 0x47], to: &sink)
                try TarWriter.append("7.txt", Array("a cat".utf8), to: &sink)
                if let description { try TarWriter.append("7.json", Array(description.utf8), to: &sink) }
                try TarWriter.finish(&sink)
            }
            return folder.file("alone.tar")
        }
        let said = try readAll(tar(#"{"id": "x", "caption": "a cat", "generated": "7.png"}"#), real: .optional)
        #expect(said.map(\.pair.id) == ["x"] && said[0].real == nil && said[0].pair.generated == "7.png")
        #expect(message { _ = try readAll(tar(nil), real: .optional) }.contains("sample '7' has no '.gen.jpg' member"))
        let real = #"{"id": "x", "caption": "a cat", "generated": "8.png", "real": "7.png"}"#
        #expect(message { _ = try readAll(tar(real), real: .optional) }.contains("has no '.gen.jpg' member"))
    }

    @Test func bracesStandForNumbers() throws {
        #expect(try PairTars.expanded("a/{08..11}.tar") == ["a/08.tar", "a/09.tar", "a/10.tar", "a/11.tar"])
        #expect(try PairTars.expanded("a/b.tar") == ["a/b.tar"])
        let odd = try folder.write("x", to: "{1}.tar")
        #expect(try PairTars.expanded(odd) == [odd])
        for text in ["{3..1}.tar", "{a..b}.tar", "{1,2}.tar", "{-1..2}.tar", "{0..9999999}.tar"] {
            #expect(message { _ = try PairTars.expanded(text) }.contains("expected braces such as {000000..000331}"))
        }
    }

    @Test func aTarInPlaceOfAManifestSaysWhatToDo() throws {
        #expect(
            message { _ = try PairsManifest(path: "shards/{000000..000331}.tar") }
                == "'shards/{000000..000331}.tar' is a tar of pairs, expected a manifest (JSON Lines) with images as files "
                + "beside it; unpack with `gmail data unpack 'shards/{000000..000331}.tar' --out FOLDER` and give "
                + "FOLDER/pairs.jsonl")
    }

    @Test func endingsComeFromTheBytes() {
        let table: [([UInt8], String?)] = [
            ([0xFF, 0xD8, 0xFF, 0xDB], "jpg"), ([0x89, 0x50, 0x4E, 0x47], "png"), (Array("GIF87a".utf8), "gif"),
            (Array("RIFF\0\0\0\0WEBP".utf8), "webp"), (Array("RIFF\0\0\0\0WAVE".utf8), nil),
            (Array("BM12".utf8), "bmp"), ([0x49, 0x49, 0x2A, 0], "tif"), ([0x4D, 0x4D, 0, 0x2A], "tif"),
            (Array("\0\0\0 ftypavif".utf8), "avif"), (Array("\0\0\0 ftypheic".utf8), "heic"),
            (Array("\0\0\0 ftypisom".utf8), nil), (Array("<html>".utf8), nil), ([], nil),
        ]
        for (bytes, ending) in table { #expect(ImageEnding.of(bytes) == ending) }
        #expect(ImageEnding.of(table[0].0, named: "a.png") == "jpg")
        #expect(ImageEnding.of([1, 2], named: "A.HEIC") == "heic" && ImageEnding.of([1, 2], named: nil) == "jpg")
    }

    /// A member is a picture under every ending under which a file is one.
    @Test func everyEndingOfAPictureIsRead() throws {
        #expect(Set(ImageEnding.known) == ImageFiles.endings)
        for ending in ImageFiles.endings {
            let path = folder.file("t.tar")
            try AtomicFile.write(byteCount: 0, to: path) { sink in
                try TarWriter.append("7.\(ending)", [1], to: &sink)
                try TarWriter.append("7.gen.\(ending.uppercased())", [2], to: &sink)
                try TarWriter.append("7.txt", Array("a cat".utf8), to: &sink)
                try TarWriter.finish(&sink)
            }
            var reader = try PairTarReader(path: path)
            let sample = try #require(try reader.next())
            #expect(sample.real == [1] && sample.generated == [2], "\(ending)")
        }
    }
}
