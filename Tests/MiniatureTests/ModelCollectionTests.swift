import Foundation
import Testing

@testable import Miniature

@Suite struct ModelCollectionTests {
    /// A run folder as a finished training leaves it, with a few bytes for weights.
    private func run(_ path: String, recipe: some MiniatureRecipe) throws {
        try FileManager.default.createDirectory(atPath: "\(path)/model", withIntermediateDirectories: true)
        let files = [
            "recipe.yaml": recipe.yaml,
            "manifest.json": """
            {"sources": [{"role": "train scenes", "path": "world 0, train", "sha256": "ab12", "count": 3}],
             "parameterGroups": [], "frozenElements": 0, "seed": 0, "device": "cpu", "dtype": "float32",
             "versions": {}, "steps": 5, "skipped": []}
            """,
            "metrics.jsonl": """
            {"step": 0, "validation/loss": 2.5}
            {"step": 5, "loss": 1.5, "learning_rate": 0.1}
            {"step": 5, "validation/loss": 1.25}

            """,
            "sessions.jsonl": """
            {"from_step": 0, "machine": "A, 2 cores", "seconds": 10.5, "threads": 1, "to_step": 3, "versions": {}}
            {"from_step": 3, "machine": "A, 2 cores", "seconds": 4.25, "threads": 1, "to_step": 5, "versions": {}}

            """,
            "model/weights": "these are the weights of \(recipe.name)",
        ]
        for (name, text) in files { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)")) }
    }

    @Test func collectsAndChecks() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("collection-\(UUID().uuidString)")
            .path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try run("\(folder)/clip", recipe: CLIPRecipe("clip"))
        try run("\(folder)/autoencoder", recipe: AutoencoderRecipe("autoencoder"))
        try run(
            "\(folder)/unet", recipe: UNetRecipe("unet", overrides: ["training.steps=5", "training.warmupSteps=1"]))
        var runs: [ModelCollection.Model: String] = [
            .clip: "\(folder)/clip", .autoencoder: "\(folder)/autoencoder", .unet: "\(folder)/unet",
        ]
        #expect(throws: MiniatureError.unfinishedRun(model: "language-model", path: "none")) {
            try ModelCollection(collecting: runs, commit: "c0ffee", to: "\(folder)/out")
        }
        #expect(!FileManager.default.fileExists(atPath: "\(folder)/out"))
        try run("\(folder)/gpt", recipe: LanguageModelRecipe("language-model"))
        runs[.languageModel] = "\(folder)/gpt"
        let collection = try ModelCollection(collecting: runs, commit: "c0ffee", to: "\(folder)/out")
        #expect(try ModelCollection(folder: "\(folder)/out") == collection)
        #expect(collection.trainings[.unet]?.steps == 5 && collection.trainings[.unet]?.seconds == 14.8)
        #expect(collection.trainings[.unet]?.validation == ["loss": 1.25])
        #expect(collection.trainings[.unet]?.sources == ["train scenes": "ab12"])
        #expect(collection.files.count == 3 + 4 * 4)
        #expect(collection.files["gpt2/weights"]?.bytes == "these are the weights of language-model".utf8.count)
        #expect(try collection.differences(in: "\(folder)/out") == [])
        try Data("changed".utf8).write(to: URL(fileURLWithPath: "\(folder)/out/clip/weights"))
        try Data("new".utf8).write(to: URL(fileURLWithPath: "\(folder)/out/clip/extra"))
        try Data("fine".utf8).write(to: URL(fileURLWithPath: "\(folder)/out/README.md"))
        try FileManager.default.removeItem(atPath: "\(folder)/out/training/unet/recipe.yaml")
        #expect(
            try collection.differences(in: "\(folder)/out") == [
                "clip/weights has changed", "training/unet/recipe.yaml is missing", "clip/extra is not listed",
            ])
        #expect(throws: MiniatureError.folderExists(path: "\(folder)/out")) {
            try ModelCollection(collecting: runs, commit: "c0ffee", to: "\(folder)/out")
        }
    }
}
