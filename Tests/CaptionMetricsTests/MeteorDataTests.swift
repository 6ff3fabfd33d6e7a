import Foundation
import Testing

@testable import CaptionMetrics

/// Compiling, opening and refusing data files.
@Suite struct MeteorDataTests {
    typealias Support = MeteorTestSupport

    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = try Support.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder)
    }

    private var tables: String { Support.fixtures.appendingPathComponent("tables").path }

    @Test func compilesOnceAndThenIsUpToDate() throws {
        try withFolder { (folder: URL) throws in
            let path = folder.appendingPathComponent("deep/er/meteor-en.bin").path
            var stages: [String] = []
            let first = try MeteorData.compile(from: tables, to: path) { stages.append($0) }
            #expect(first.wasWritten)
            #expect(stages.count == 4)
            #expect(first.paraphrases == 321)
            #expect(first.words > 1000)
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            #expect(bytes.count == first.bytes)
            let second = try MeteorData.compile(from: tables, to: path)
            #expect(!second.wasWritten)
            #expect(second.sourceHash == first.sourceHash)
            #expect(try MeteorData.compile(from: tables, to: path, force: true).wasWritten)
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
            let left = try FileManager.default.contentsOfDirectory(atPath: (path as NSString).deletingLastPathComponent)
            #expect(left == ["meteor-en.bin"])
        }
    }

    /// The same tables inside a jar, the jar inside a package folder, and the package inside a wheel.
    @Test func sourcesMayBePacked() throws {
        try withFolder { (folder: URL) throws in
            let files = FileManager.default
            func url(_ path: String) -> URL { folder.appendingPathComponent(path) }
            for table in MeteorSources.Table.allCases {
                let place = url("jar/" + table.pathInJar)
                try files.createDirectory(at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
                try files.copyItem(atPath: tables + "/" + table.rawValue, toPath: place.path)
            }
            try files.createDirectory(at: url("pycocoevalcap/meteor/data"), withIntermediateDirectories: true)
            try StoredZip.write(url("jar"), to: url("pycocoevalcap/meteor/meteor-1.5.jar"))
            var packed = Data()
            try SetupTool.run("gzip", ["-nc", tables + "/english.paraphrase"], purpose: "pack") { packed += $0 }
            try packed.write(to: url("pycocoevalcap/meteor/data/paraphrase-en.gz"))
            try StoredZip.write(url("pycocoevalcap"), named: "pycocoevalcap/", to: url("p.whl"))

            let plain = url("plain.bin").path
            try MeteorData.compile(from: tables, to: plain)
            let expected = try Data(contentsOf: URL(fileURLWithPath: plain)).dropFirst(MeteorLayout.headerLength)
            var hashes: Set<String> = []
            for source in ["pycocoevalcap", "pycocoevalcap/meteor", "pycocoevalcap/meteor/meteor-1.5.jar", "p.whl", ""]
            {
                let made = try MeteorData.compile(from: url(source).path, to: url("packed.bin").path, force: true)
                hashes.insert(made.sourceHash)
                let bytes = try Data(contentsOf: url("packed.bin")).dropFirst(MeteorLayout.headerLength)
                #expect(bytes == expected, "\(source)")
            }
            #expect(hashes.count == 1)  // the same jar and table, however they came
        }
    }

    @Test func lookups() throws {
        let data = try Support.data.get()
        #expect(data.wordID([]) == nil)
        #expect(data.wordID(Array("no-such-word".utf8)) == nil)
        #expect(data.prefix(Array("Mr".utf8)) == .always)
        #expect(data.prefix(Array("No".utf8)) == .beforeNumbers)
        #expect(data.prefix(Array("dog".utf8)) == .none)
        let lookup = WordNetLookup(data: data)
        let cut = try String(contentsOfFile: tables + "/english.synsets", encoding: .utf8).split(separator: "\n")
        for i in stride(from: 0, to: cut.count, by: 2) {
            let expected = Set(cut[i + 1].split(separator: " ").map { Int32($0)! })
            let found = lookup.synsets(of: String(cut[i]))
            #expect(expected.isSubset(of: found), "\(cut[i])")
            #expect(found == found.sorted() && Set(found).count == found.count)
        }
        #expect(lookup.synsets(of: "dogs") == lookup.synsets(of: "dog"))
        #expect(!lookup.synsets(of: "dogs").isEmpty)
        #expect(lookup.synsets(of: "") == [])
    }

    @Test func defaultPath() {
        #expect(MeteorData.defaultPath(environment: ["GMAIL_DATA_DIR": "/d", "HOME": "/h"]) == "/d/meteor-en.bin")
        #expect(MeteorData.defaultPath(environment: ["XDG_DATA_HOME": "/x"]) == "/x/gmail/meteor-en.bin")
        #expect(
            MeteorData.defaultPath(environment: ["GMAIL_DATA_DIR": "", "HOME": "/h"])
                == "/h/.local/share/gmail/meteor-en.bin")
    }

    @Test func refusesDamagedFiles() throws {
        try withFolder { (folder: URL) throws in
            let path = folder.appendingPathComponent("m.bin").path
            try MeteorData.compile(from: tables, to: path)
            let good = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            func problem(_ bytes: [UInt8]) throws -> String? {
                try Data(bytes).write(to: URL(fileURLWithPath: path))
                do {
                    _ = try MeteorData.open(path: path)
                    return nil
                } catch MeteorError.dataFormat(_, let problem) {
                    return problem
                }
            }
            #expect(try problem(good) == nil)
            #expect(try problem([]) == "0 bytes, shorter than the header of \(MeteorLayout.headerLength)")
            #expect(try problem(Array("PK".utf8) + good.dropFirst(2)) == "it does not start with GMLMETEO")
            var other = good
            other[8] = 9
            #expect(try problem(other) == "format version 9, expected 1")
            #expect(try problem(Array(good.prefix(good.count / 2)))?.contains("beyond the end") == true)
            // Any byte of the header or of the first offsets flipped: an error or a file that can be searched, no crash.
            var random = MeteorTestRandom(state: 1)
            for _ in 0..<300 {
                var bytes = good
                bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
                bytes[Int.random(in: 0..<MeteorLayout.headerLength, using: &random)] ^= 1
                if try problem(bytes) == nil {
                    let scorer = try MeteorScorer(data: MeteorData.open(path: path))
                    let score = try scorer.score(test: "a man rides a horse", references: ["the men are on horses"])
                    #expect(score >= 0 && score <= 1)
                }
            }
        }
    }

    @Test func reportsMalformedTables() throws {
        try withFolder { (folder: URL) throws in
            func tryWith(_ table: String, _ text: String) throws -> MeteorError? {
                let copy = folder.appendingPathComponent(UUID().uuidString)
                try FileManager.default.copyItem(atPath: tables, toPath: copy.path)
                try Data(text.utf8).write(to: copy.appendingPathComponent(table))
                do throws(MeteorError) {
                    try MeteorData.compile(from: copy.path, to: folder.appendingPathComponent("m.bin").path)
                    return nil
                } catch { return error }
            }
            #expect(
                try tryWith("english.synsets", "dog\n12 x\n")
                    == .malformedTable(table: "english.synsets", line: 2, expected: "synset numbers", got: "'x'"))
            #expect(
                try tryWith("english.exceptions", "dog\n")
                    == .malformedTable(
                        table: "english.exceptions", line: 1, expected: "an even number of lines", got: "1"))
            #expect(
                try tryWith("english.paraphrase", "0.1\na\n")
                    == .malformedTable(
                        table: "of paraphrases", line: 2, expected: "entries of three lines",
                        got: "an end within an entry"))
            #expect(
                try tryWith("english.paraphrase", "0.1\na\n \n")
                    == .malformedTable(
                        table: "of paraphrases", line: 3, expected: "a phrase of 1 to 255 words", got: "0 words"))
            #expect(try tryWith("english.paraphrase", "0.1\na b\nc") == nil)  // no line end after the last line
            #expect(try tryWith("english.paraphrase", "") == nil)
        }
    }

    @Test func reportsMissingThings() throws {
        try withFolder { (folder: URL) throws in
            let none = folder.appendingPathComponent("none").path
            #expect(throws: MeteorError.dataMissing(path: none)) { try MeteorData.open(path: none) }
            #expect(throws: MeteorError.dataMissing(path: none)) { try WordNetLookup(path: none) }
            #expect(throws: MeteorError.sourceNotFound(path: none, expected: MeteorSources.expectations)) {
                try MeteorData.compile(from: none, to: none)
            }
            #expect(throws: MeteorError.sourceNotFound(path: folder.path, expected: MeteorSources.expectations)) {
                try MeteorData.compile(from: folder.path, to: none)
            }
            #expect(throws: MeteorError.toolMissing(tool: "unzip", purpose: "test")) {
                try SetupTool.run("unzip", [], purpose: "test", environment: ["PATH": none]) { _ in }
            }
            let bad = folder.appendingPathComponent("bad.whl")
            try Data("no zip".utf8).write(to: bad)
            do {
                try MeteorData.compile(from: bad.path, to: none)
                Issue.record("a file that is no zip was unpacked")
            } catch let MeteorError.toolFailed(command, status, message) {
                #expect(command.hasPrefix("unzip -p"))
                #expect(status != 0)
                #expect(!message.isEmpty)
            }
            // A file where a folder should be.
            #expect(throws: MeteorError.self) {
                try MeteorData.compile(from: tables, to: bad.path + "/meteor-en.bin")
            }
        }
    }
}

/// Writes a zip of stored (uncompressed) members, as small as `unzip` takes it.
private enum StoredZip {
    static func write(_ folder: URL, named prefix: String = "", to url: URL) throws {
        var (body, directory, count) = (Data(), Data(), UInt16(0))
        let base = folder.standardizedFileURL.path + "/"
        let found = try #require(FileManager.default.enumerator(atPath: base)).compactMap { $0 as? String }.sorted()
        for name in found {
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: base + name, isDirectory: &isFolder)
            if isFolder.boolValue { continue }
            let content = try Data(contentsOf: URL(fileURLWithPath: base + name))
            let path = Data((prefix + name).utf8)
            var fields = Data()
            fields += number(UInt16(20)) + number(UInt16(0)) + number(UInt16(0)) + number(UInt32(0x5821_0000))
            fields += number(crc(content)) + number(UInt32(content.count)) + number(UInt32(content.count))
            fields += number(UInt16(path.count)) + number(UInt16(0))
            directory += number(UInt32(0x0201_4B50)) + number(UInt16(20)) + fields
            directory += Data(count: 10) + number(UInt32(body.count)) + path
            body += number(UInt32(0x0403_4B50)) + fields + path + content
            count += 1
        }
        var end = number(UInt32(0x0605_4B50)) + Data(count: 4) + number(count) + number(count)
        end += number(UInt32(directory.count)) + number(UInt32(body.count)) + number(UInt16(0))
        try (body + directory + end).write(to: url)
    }

    private static func number<Value: FixedWidthInteger>(_ value: Value) -> Data {
        withUnsafeBytes(of: value.littleEndian) { Data($0) }
    }

    private static func crc(_ data: Data) -> UInt32 {
        ~data.reduce(~UInt32(0)) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { value, _ in (value >> 1) ^ (value & 1 == 0 ? 0 : 0xEDB8_8320) }
        }
    }
}
