import Files
import Foundation
import Safetensors
import Testing

@testable import Datasets

@Suite struct PairsManifestTests {
    let folder = try! TemporaryFolder()

    @Test func theContractsLineIsReadAndWrittenAsItStands() throws {
        let line =
            #"{"id": "coco-391895-0", "caption": "A man with a red helmet on a small moped.", "#
            + #""real": "real/391895.jpg", "generated": "gen/391895-0.jpg", "#
            + #""generator": {"model": "stable-diffusion-2-1", "seed": 91, "steps": 50, "guidance": 7.5, "scheduler": "ddim"}}"#
        let manifest = try PairsManifest(path: folder.write(line + "\n", to: "pairs.jsonl"))
        let pair = try manifest.pair(at: 0)
        #expect(manifest.count == 1)
        #expect(pair.id == "coco-391895-0")
        #expect(pair.real == "real/391895.jpg")
        #expect(
            pair.generator
                == GeneratorSettings(
                    model: "stable-diffusion-2-1", seed: 91, steps: 50, guidance: 7.5, scheduler: "ddim"))
        #expect(pair.jsonLine == line)
        #expect(manifest.resolve(pair.generated) == folder.file("gen/391895-0.jpg"))
        #expect(manifest.contentHash == ContentHash.sha256(of: line + "\n"))
    }

    @Test func pairsSurviveWritingAndReading() throws {
        let pairs = (0..<300).map { index in
            Pair(
                id: "é\u{301}\(index)", caption: "line\nbreak, \"quotes\" \\ and \u{1F600} \(index)",
                real: "r/\(index % 7).jpg",
                generated: "g/\(index).jpg",
                generator: index % 2 == 0
                    ? GeneratorSettings(model: "m", seed: index, modelHash: index == 0 ? "ab12" : nil) : nil)
        }
        try PairsManifest.write(pairs, to: folder.file("pairs.jsonl"))
        let manifest = try PairsManifest(path: folder.file("pairs.jsonl"))
        #expect(try (0..<manifest.count).map(manifest.pair(at:)) == pairs)
    }

    @Test func blankLinesAreAllowedAndCounted() throws {
        let text =
            "\n" + #"{"id": "a", "caption": "c", "real": "r", "generated": "g"}"# + "\r\n\n"
            + #"{"id": "b", "caption": "c", "real": "r", "generated": "g"}"#
        let manifest = try PairsManifest(path: folder.write(text, to: "pairs.jsonl"))
        #expect(manifest.count == 2)
        #expect(manifest.line(of: 0) == 2 && manifest.line(of: 1) == 4)
        #expect(try manifest.pair(at: 1).id == "b")
    }

    @Test func realMayBeMissingOnlyWhereAllowed() throws {
        let path = try folder.write(#"{"id": "a", "caption": "c", "generated": "g"}"#, to: "pairs.jsonl")
        #expect(try PairsManifest(path: path, real: .optional).pair(at: 0).real == nil)
        #expect(throws: DatasetError.missingKey(path: path, line: 1, key: "real")) { try PairsManifest(path: path) }
    }

    static let good = #"{"id": "a", "caption": "c", "real": "r", "generated": "g"}"#

    @Test(arguments: [
        (#"{"id": "b", "caption": "c""#, "is not valid JSON: the text ends too early, at column 27"),
        (#"["b"]"#, "expected a JSON object with id, caption, real and generated, got an array"),
        (#"{"id": "b", "real": "r", "generated": "g"}"#, "key 'caption' is missing"),
        (#"{"id": "b", "caption": null, "real": "r", "generated": "g"}"#, "key 'caption' is missing"),
        (
            #"{"id": "b", "caption": " \t", "real": "r", "generated": "g"}"#,
            "key 'caption' is empty; every pair needs one"
        ),
        (
            #"{"id": "b", "captoin": "c", "real": "r", "generated": "g"}"#,
            "unknown key 'captoin'; known are id, caption, real, generated, generator"
        ),
        (#"{"id": 7, "caption": "c", "real": "r", "generated": "g"}"#, "key 'id' should be a string, got 7"),
        (
            #"{"id": "a", "caption": "c", "real": "r", "generated": "g"}"#,
            "id 'a' already stands in line 1; ids must be unique"
        ),
        (
            #"{"id": "b", "caption": "c", "real": "/r", "generated": "g"}"#,
            "'/r' is an absolute path; paths are relative to the manifest's folder"
        ),
        (
            #"{"id": "b", "caption": "c", "real": "r", "generated": "g", "generator": "sd"}"#,
            "key 'generator' should be an object, got a string"
        ),
        (
            #"{"id": "b", "caption": "c", "real": "r", "generated": "g", "generator": {"model": "sd", "sed": 1}}"#,
            "unknown key 'generator.sed'; known are model, seed, steps, guidance, scheduler, model_sha256"
        ),
        (
            #"{"id": "b", "caption": "c", "real": "r", "generated": "g", "generator": {"model": "sd", "seed": 1.5}}"#,
            "key 'generator.seed' should be a whole number, got 1.5"
        ),
        (
            #"{"id": "b", "caption": "c", "real": "r", "generated": "g", "generator": {"seed": 1}}"#,
            "key 'generator.model' is missing"
        ),
    ])
    func brokenLinesAreNamed(line: String, problem: String) throws {
        let path = try folder.write(Self.good + "\n" + line + "\n", to: "pairs.jsonl")
        let text = message { _ = try PairsManifest(path: path) }
        let colon = problem.hasPrefix("is not") ? "" : ":"
        #expect(text == "'\(path)' line 2\(colon) \(problem)")
    }

    @Test func anEmptyManifestIsRefused() throws {
        let path = try folder.write("\n\n", to: "pairs.jsonl")
        #expect(
            message { _ = try PairsManifest(path: path) }
                == "'\(path)' holds no pairs; expected one JSON object per line")
    }

    @Test func idsWithEqualHashesAreToldApart() {
        var set = IDSet()
        let ids = ["a", "b", "c", "b"]
        let found = ids.indices.map { index in set.insert(ids[index], at: index) { ids[$0] } }
        #expect(found == [nil, nil, nil, 1])
        // What stands at the first index reads as another id: a collision, not a repetition.
        var colliding = IDSet()
        _ = colliding.insert("x", at: 0) { _ in "" }
        #expect(colliding.insert("x", at: 1) { _ in "y" } == nil)
        #expect(colliding.insert("x", at: 2) { _ in "y" } == 1)
    }
}
