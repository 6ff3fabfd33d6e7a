import Datasets
import Files
import Foundation
import Safetensors
import Testing

@Suite struct PairsCheckTests {
    let folder = try! TemporaryFolder()

    @Test func aSoundSetHasNoProblems() throws {
        let manifest = try folder.writePairs(4)
        let check = try PairsCheck(manifest: manifest.path, depth: .full)
        #expect(check.problemCount == 0)
        #expect(check.pairs == 4 && check.realImages == 4 && check.generatedImages == 4)
        #expect(check.captionWords.mean == 3)
        #expect(check.sizes.first { $0.images > 0 }?.images == 8)
        #expect(check.text.hasSuffix("no problems"))
    }

    @Test func everyKindOfProblemIsFoundAndNamed() throws {
        let manifest = try folder.writePairs(5)
        let path = manifest.path
        try FileManager.default.removeItem(atPath: folder.file("real-0.png"))
        try AtomicFile.write("broken", to: folder.file("gen-1.png"))
        try AtomicFile.write(readBytes("gen-2.png"), to: folder.file("gen-3.png"))
        // Its header is whole, its pixels are not.
        let whole = try readBytes("gen-4.png")
        try AtomicFile.write(whole.prefix(whole.count - 20), to: folder.file("gen-4.png"))
        var text = try String(contentsOfFile: path, encoding: .utf8)
        text += #"{"id": "p0", "caption": "again", "real": "real-1.png", "generated": "gen-2.png"}"# + "\n{\n"
        try AtomicFile.write(text, to: path)

        let check = try PairsCheck(manifest: path, depth: .full)
        #expect(
            check.problemCounts == [
                .duplicateID: 1, .brokenLine: 1, .missingFile: 1, .brokenImage: 2, .duplicateImage: 1,
            ])
        #expect(
            check.firstProblems.map(\.text).prefix(3) == [
                "'\(path)' line 6: id 'p0' already stands in line 1; ids must be unique",
                "'\(path)' line 7 is not valid JSON: the text ends too early, at column 2",
                "'\(path)' line 1: image '\(folder.file("real-0.png"))' cannot be read: No such file or directory",
            ])
        #expect(
            check.firstProblems.map(\.text).contains(
                "'\(path)' line 4: image '\(folder.file("gen-3.png"))' is the same as '\(folder.file("gen-2.png"))' of line 3"
            ))
        // The header alone does not show the cut.
        #expect(try PairsCheck(manifest: path, depth: .header).problemCounts[.brokenImage] == 1)
        #expect(try PairsCheck(manifest: path, kept: 2).firstProblems.count == 2)
    }

    @Test func anEmptyManifestIsAProblem() throws {
        #expect(try PairsCheck(manifest: folder.write("", to: "empty.jsonl")).problemCount == 1)
    }

    private func readBytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: folder.file(name))))
    }
}
