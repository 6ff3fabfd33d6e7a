import Foundation
import Testing

@Suite struct MiniatureCommandTests {
    @Test func rendersASplit() throws {
        let folder = try TemporaryFolder()
        let outcome = try Gmail.run(
            ["miniature", "render", "--split", "test", "--count", "3", "--out", "world", "--quiet"], in: folder.url)
        #expect(outcome.status == 0, "\(outcome.stderr)")
        #expect(outcome.stdout == "world/test: 3 scenes, 15 captions\n")
        let world = folder.url.appendingPathComponent("world")
        let names = try FileManager.default.contentsOfDirectory(atPath: world.path).sorted()
        #expect(
            names == [
                "captions_test.json", "captions_test.jsonl", "contact_sheet_test.png", "prompts_test.jsonl",
                "scenes_test.jsonl", "test",
            ])
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: world.appendingPathComponent("test").path).sorted()
                == ["000000.png", "000001.png", "000002.png"])
        struct Line: Decodable { let id: String, caption: String, image: String }
        let lines = try String(contentsOf: world.appendingPathComponent("captions_test.jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
        #expect(lines.count == 15 && lines[7].id == "test-1-2" && lines[7].image == "test/000001.png")
        // One caption of each scene, its five ways taking turns.
        let prompts = try String(contentsOf: world.appendingPathComponent("prompts_test.jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
        #expect(prompts.map(\.id) == ["test-0", "test-1", "test-2"])
        #expect(prompts.map(\.caption) == [0, 6, 12].map { lines[$0].caption })
        // Nothing is overwritten, and nothing half-made stays.
        let again = try Gmail.run(
            ["miniature", "render", "--split", "test", "--count", "3", "--out", "world", "--quiet"], in: folder.url)
        #expect(again.status == 1)
        #expect(
            again.stderr == "error: 'world/test' exists already; give another --out, or remove it\n")
    }

    @Test func collectWantsAllRuns() throws {
        let outcome = try Gmail.run(["miniature", "collect", "--clip", "a", "--out", "b"])
        #expect(outcome.status == 2)
        #expect(
            outcome.stderr.contains("--clip, --autoencoder, --unet and --language-model are all needed (or --check)"))
        let unet = try Gmail.run(
            ["miniature", "train", "unet", "--clip", "nowhere", "--autoencoder", "nowhere", "--out", "run"])
        #expect(unet.status == 1)
        #expect(
            unet.stderr
                == "error: --clip: 'nowhere/model.safetensors' does not exist; give the folder that `gmail miniature train clip` wrote (RUN/model)\n"
        )
    }
}
