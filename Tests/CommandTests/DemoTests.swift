import Foundation
import Testing

/// The whole method at toy size, with the small models of the repository.
@Suite struct DemoTests {
    private static let models = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Models/miniature").path

    @Test func everyStageLeavesItsFiles() throws {
        let folder = try TemporaryFolder()
        let arguments = ["demo", "--quick", "--images", "64", "--models", Self.models, "--out", "demo", "--json"]
        // Small models on a busy machine: one thread does not wait for another.
        let environment = ["OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": folder.path("cache")]
        let outcome = try Gmail.run(arguments, environment: environment, in: folder.url)
        #expect(outcome.status == 0, "\(outcome.stderr.suffix(2000))")

        // Standard output is the result alone.
        struct Results: Decodable {
            struct Seed: Decodable {
                let captioning: [String: [String: Double]]
                let gapAfter: Gap
            }
            struct Gap: Decodable { let real_generated: Cosines }
            struct Cosines: Decodable { let count: Int }
            let seeds: [Seed]
        }
        let results = try JSONDecoder().decode(Results.self, from: Data(outcome.stdout.utf8))
        let seed = try #require(results.seeds.first)
        #expect(results.seeds.count == 1 && seed.gapAfter.real_generated.count == 32)
        let captioners = ["real", "generated", "mixed", "gmail", "gmail-plus-real"]
        #expect(Set(seed.captioning.keys) == Set(captioners))
        for scores in seed.captioning.values { #expect((scores["CIDEr"] ?? 0) > 0 && (scores["Bleu_4"] ?? -1) >= 0) }

        let demo = folder.url.appendingPathComponent("demo")
        let files =
            ["demo.json", "results.json", "results.md", "report.html", "world/captions_test.json"]
            + ["train", "validation", "test"].map { "generated/\($0)/pairs.jsonl" }
            + captioners.flatMap { run in
                ["recipe.yaml", "manifest.json", "metrics.jsonl", "metrics.json", "predictions.jsonl"].map {
                    "runs/\(run)/\($0)"
                }
            }
            + ["runs/alignment/gap.json", "runs/alignment/retrieval.json", "runs/clip-retrieval.json"]
        for file in files {
            #expect(FileManager.default.fileExists(atPath: demo.appendingPathComponent(file).path), "\(file)")
        }
        let report = try String(contentsOf: demo.appendingPathComponent("report.html"), encoding: .utf8)
        for part in ["Results", "Training", "Modality gap", "Captions"] { #expect(report.contains(part)) }
        for run in captioners { #expect(report.contains(run)) }
        #expect(!report.contains("<script") && report.contains("data:image/"))

        // Run again, nothing is done twice, and other settings are refused.
        let again = try Gmail.run(arguments, environment: environment, in: folder.url)
        #expect(again.status == 0 && again.stdout == outcome.stdout)
        #expect(again.stderr.split(separator: "\n").allSatisfy { $0.hasSuffix("finished before") })
        let other = try Gmail.run(arguments + ["--seed", "1"], environment: environment, in: folder.url)
        #expect(other.status == 1)
        #expect(
            other.stderr.hasPrefix(
                "error: 'demo' holds a demo of other settings (seed 0, 64 scenes, gmail; asked for seed 1, 64 scenes, gmail)"
            ))
    }

    @Test func mistakesAreNamed() throws {
        let folder = try TemporaryFolder()
        let few = try Gmail.run(["demo", "--images", "10"], in: folder.url)
        #expect(few.status == 2 && few.stderr.contains("--images is 10, expected 64 to 10000000"))
        let none = try Gmail.run(["demo", "--models", "nowhere"], in: folder.url)
        #expect(none.status == 1)
        #expect(
            none.stderr
                == "error: 'nowhere' lacks 'clip'; expected clip, stable-diffusion and gpt2; give another --models, or --full to train them\n"
        )
        let both = try Gmail.run(["demo", "--full", "--models", "nowhere"], in: folder.url)
        #expect(both.status == 2 && both.stderr.contains("give one of them"))
    }
}
