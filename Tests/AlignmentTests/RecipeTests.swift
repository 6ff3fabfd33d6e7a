import Foundation
import TestSupport
import Testing
import Training

@testable import Alignment

@Suite struct RecipeTests {
    let folder = try! TemporaryFolder()

    @Test(arguments: AlignmentRecipe.shippedNames)
    func shippedRecipesDecodeAndReadBackEqual(name: String) throws {
        let recipe = try AlignmentRecipe(name)
        #expect(recipe.name == name)
        #expect(!recipe.description.isEmpty)
        // Baselines of ours must not carry the numbers of the recipe that they extend.
        let isOurs = ["aligned-elsewhere", "coral", "mean-shift", "ridge", "text-only"].contains(name)
        #expect((recipe.paper.table?.isEmpty == false) == !isOurs)
        #expect((recipe.paper.row?.isEmpty == false) == !isOurs)
        #expect(recipe.paper.numbers.isEmpty == isOurs)
        #expect(try AlignmentRecipe(yaml: recipe.yaml, source: name) == recipe)
    }

    /// Every file of the folder is among those compiled in, and the other way round.
    @Test func everyFileIsShipped() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let files = try FileManager.default.contentsOfDirectory(
            atPath: root.appendingPathComponent("Recipes/align").path)
        #expect(
            files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
                == AlignmentRecipe.shippedNames)
    }

    @Test func theMainRecipeHasThePapersNumbers() throws {
        let recipe = try AlignmentRecipe("gmail")
        #expect(recipe.adapter.rank == 4)
        #expect(recipe.training.batchSize == 256)
        #expect(recipe.training.learningRate == 1e-4)
        #expect(recipe.training.weightDecay == 0.01)
        #expect(recipe.loss.temperature == .fixed(0.07))
        #expect(recipe.paper.numbers.first { $0.metric == "CIDEr" }?.value == 119.53)
        // Its file says in full what the defaults are.
        var plain = AlignmentRecipe()
        plain.name = recipe.name
        plain.description = recipe.description
        plain.paper = recipe.paper
        #expect(plain == recipe)
    }

    @Test func variantsDifferInTheirOwnKeysAlone() throws {
        let base = try AlignmentRecipe("gmail")
        func keys(_ name: String) throws -> [String] {
            try AlignmentRecipe(name).differences(from: base).filter {
                !["name", "description", "paper.table", "paper.row", "paper.numbers"].contains($0)
            }
        }
        #expect(try keys("lora-rank-2") == ["adapter.rank", "adapter.alpha"])
        #expect(try keys("full-fine-tuning") == ["adapter.kind", "training.learningRate"])
        #expect(try keys("same-steps-gmail") == ["training.steps"])
        #expect(try keys("same-steps-mixed") == ["data.images", "projection.kind", "loss.kind", "training.steps"])
        #expect(try keys("real-with-alignment") == ["data.images"])
        #expect(
            try keys("no-alignment") == ["adapter.kind", "projection.kind", "loss.kind", "training.steps"])
        for name in ["coral", "mean-shift", "ridge"] {
            #expect(try keys(name) == ["adapter.kind", "loss.kind", "training.steps"], "\(name)")
            #expect(try AlignmentRecipe(name).loss.kind.closedForm != nil, "\(name)")
        }
        #expect(try keys("text-only") == ["loss.kind", "loss.generatedTextWeight", "loss.realTextWeight"])
        #expect(try keys("aligned-elsewhere") == ["data.half"])
    }

    @Test(arguments: [
        ("training.steps=2", "training.steps"), ("adapter.kind=lora", "adapter.kind"),
        ("projection.kind=mlp", "projection.kind"), ("projection.dimension=8", "projection.dimension"),
        ("data.images=real", "data.images"), ("loss.realTextWeight=1", "loss.realTextWeight"),
    ])
    func aClosedFormIsNoTraining(override: String, key: String) throws {
        #expect {
            try AlignmentRecipe("coral", overrides: [override])
        } throws: { "\($0)".contains("'\(key)'") && "\($0)".contains("because loss.kind is coral") }
    }

    @Test func aTemperatureIsANumberOrCalibrated() throws {
        let recipe = try AlignmentRecipe("gmail", overrides: ["loss.temperature=calibrated"])
        #expect(recipe.loss.temperature == .calibrated)
        #expect(try AlignmentRecipe(yaml: recipe.yaml, source: "x") == recipe)
        #expect {
            try AlignmentRecipe("gmail", overrides: ["loss.temperature=warm"])
        } throws: { "\($0)".contains("a number, or calibrated") }
        for overrides in [["loss.temperature=calibrated", "data.images=real"], ["loss.temperature=0"]] {
            #expect { try AlignmentRecipe("gmail", overrides: overrides) } throws: {
                "\($0)".contains("'loss.temperature'")
            }
        }
    }

    @Test func overridesAreAppliedAndChecked() throws {
        let recipe = try AlignmentRecipe(
            "gmail",
            overrides: [
                "training.learningRate=2e-4", "training.steps=null", "training.epochs=3",
                "adapter.targets=[q_proj, v_proj]",
                "loss.direction=symmetric", "training.microBatchSize=64",
            ])
        #expect(recipe.training.learningRate == 2e-4)
        #expect(recipe.training.steps == nil)
        #expect(recipe.training.totalSteps(sampleCount: 1000) == 9)
        #expect(recipe.adapter.targets == ["q_proj", "v_proj"])
        #expect(recipe.loss.direction == .symmetric)
        #expect(try AlignmentRecipe(yaml: recipe.yaml, source: "x") == recipe)
    }

    @Test func textsSurviveYAML() throws {
        var recipe = AlignmentRecipe()
        recipe.description = "null: [\"a\"] # \\ 'b'\n\ttrue \u{85}\u{2028} é\u{301} \u{1F600}"
        recipe.name = "yes"
        recipe.paper.numbers = [.init(metric: "a: b", value: 1e-300), .init(metric: "1", value: -0.1)]
        recipe.adapter.targets = ["a, b", "]"]
        recipe.training.learningRate = 0.1 + 0.2
        #expect(try AlignmentRecipe(yaml: recipe.yaml, source: "x") == recipe)
    }

    @Test(arguments: [
        (
            "training.learningrate=1e-3",
            "--set training.learningrate=1e-3: unknown recipe key 'training.learningrate'. Did you mean 'training.learningRate'?"
        ),
        ("training.lr=1", "--set training.lr=1: unknown recipe key 'training.lr'."),
        (
            "training.learningRate=fast",
            "--set training.learningRate=fast: recipe key 'training.learningRate' should be a number, got 'fast'"
        ),
        (
            "training.batchSize=2.5",
            "--set training.batchSize=2.5: recipe key 'training.batchSize' should be a whole number, got '2.5'"
        ),
        (
            "adapter.kind=dora",
            "--set adapter.kind=dora: recipe key 'adapter.kind' should be one of lora, full, none, got 'dora'"
        ),
        (
            "adapter.targets=q_proj",
            "--set adapter.targets=q_proj: recipe key 'adapter.targets' should be a list, each entry text, or null, got 'q_proj'"
        ),
        ("training", "--set training: expected key=value, such as training.learningRate=2e-4"),
        (
            "training.microBatchSize=100",
            "training.batchSize 256 is not a multiple of training.microBatchSize 100; change one of them"
        ),
        (
            "adapter.rank=0", "recipe 'gmail' with --set: recipe key 'adapter.rank': expected 1 to 100000, got 0"
        ),
        (
            "projection.learningRate=-1e-4",
            "recipe 'gmail' with --set: recipe key 'projection.learningRate': expected a positive number, or null for the "
                + "adapter's, got -0.0001"
        ),
        (
            "training.epochs=2",
            "recipe 'gmail' with --set: recipe key 'training.steps': expected exactly one of training.steps and "
                + "training.epochs (set the other to null), got both"
        ),
    ])
    func wrongOverridesAreNamed(override: String, text: String) {
        #expect(message { _ = try AlignmentRecipe("gmail", overrides: [override]) } == text)
    }

    @Test(arguments: [
        ("adapter:\n  ranks: 4", "recipe file: unknown recipe key 'adapter.ranks'. Did you mean 'adapter.rank'?"),
        ("traning:\n  steps: 4", "recipe file: unknown recipe key 'traning'."),
        ("adapter: 4", "recipe file: recipe key 'adapter' should be a mapping, got '4'"),
        ("training:\n  seed: \"1\"", "recipe file: recipe key 'training.seed' should be a whole number, got '1'"),
        (
            "training:\n  steps: [1]",
            "recipe file: recipe key 'training.steps' should be a whole number, or null, got a list"
        ),
        ("- a", "recipe file is not valid YAML: expected a mapping, got a list"),
        (
            "extends: gmial",
            "no recipe 'gmial': it is neither a file nor a shipped recipe. Did you mean 'gmail'? Shipped are "
                + AlignmentRecipe.shippedNames.joined(separator: ", ")
        ),
    ])
    func wrongFilesAreNamed(yaml: String, text: String) {
        #expect(message { _ = try AlignmentRecipe(yaml: yaml, source: "recipe file") } == text)
    }

    @Test func brokenYAMLSaysWhere() {
        let text = message { _ = try AlignmentRecipe(yaml: "name: a\nadapter: [", source: "mine") }
        #expect(text.hasPrefix("mine is not valid YAML: "))
        #expect(text.contains("line 3, column 1"))
    }

    @Test func filesExtendRecipesButNotThemselves() throws {
        let path = try folder.write("extends: lora-rank-6\nname: mine\ntraining: {seed: 5}\n", to: "mine.yaml")
        let recipe = try AlignmentRecipe(path)
        #expect(recipe.adapter.rank == 6)
        #expect(recipe.training.seed == 5)
        #expect(recipe.paper == .init())
        let own = folder.file("own.yaml")
        try folder.write("extends: \(own)\n", to: "own.yaml")
        #expect(message { _ = try AlignmentRecipe(own) } == "recipe '\(own)' extends itself: \(own) -> \(own)")
    }
}
