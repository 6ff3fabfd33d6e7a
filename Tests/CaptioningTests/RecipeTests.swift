import Alignment
import Foundation
import Testing
import Training

@testable import Captioning

@Suite struct CaptionerRecipeTests {
    @Test(arguments: CaptionerRecipe.shippedNames)
    func shippedRecipesDecodeAndReadBackEqual(name: String) throws {
        let recipe = try CaptionerRecipe(name)
        #expect(recipe.name == name)
        #expect(!recipe.description.isEmpty)
        #expect((recipe.paper.table?.isEmpty == false) == (name != "aligned-elsewhere"))
        #expect((recipe.paper.row?.isEmpty == false) == (name != "aligned-elsewhere"))
        // Algorithm 1, line 12 has no row in any table, and neither has a baseline of ours.
        #expect(recipe.paper.numbers.isEmpty == ["aligned-elsewhere", "gmail-plus-real"].contains(name))
        #expect(try CaptionerRecipe(yaml: recipe.yaml, source: name) == recipe)
        let header = String(decoding: CaptionerRecipe.shipped[name]!, as: UTF8.self).split(separator: "\n")
            .prefix { $0.hasPrefix("#") }.joined(separator: "\n")
        #expect(header.contains("gmail train captioner --recipe \(name) --model"))
    }

    /// Every file of the folder is among those compiled in, and the other way round.
    @Test func everyFileIsShipped() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let folder = root.appendingPathComponent("Recipes/captioner").path
        let files = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(
            files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
                == CaptionerRecipe.shippedNames)
    }

    /// The rows that are compared with each other have the same steps, seeds and everything else.
    @Test(arguments: ["real", "generated", "mixed", "gmail-plus-real"])
    func dataSourcesDifferInNothingElse(name: String) throws {
        let keys = try CaptionerRecipe(name).differences(from: CaptionerRecipe("gmail"))
        #expect(
            keys.filter { !["name", "description", "paper.table", "paper.row", "paper.numbers"].contains($0) }
                == ["data.source"])
    }

    /// The main recipe's file says in full what the defaults are.
    @Test func theMainRecipeIsTheDefault() throws {
        let recipe = try CaptionerRecipe("gmail")
        var plain = CaptionerRecipe()
        plain.name = recipe.name
        plain.description = recipe.description
        plain.paper = recipe.paper
        #expect(plain == recipe)
    }

    /// CLIP_prefix_caption's train.py.
    @Test func theOriginalHasTheAuthorsNumbers() throws {
        let mlp = try CaptionerRecipe("clipcap-original")
        #expect(mlp.training.batchSize == 40 && mlp.training.epochs == 10 && mlp.training.steps == nil)
        #expect(mlp.training.learningRate == 2e-5 && mlp.training.epsilon == 1e-6 && mlp.training.weightDecay == 0)
        #expect(mlp.training.warmupSteps == 5000 && mlp.training.schedule == .linear && mlp.training.clipNorm == nil)
        #expect(mlp.clipcap.mapper == .mlp && mlp.clipcap.prefixLength == 10 && !mlp.clipcap.normalizeFeatures)
        #expect(mlp.captions.ending == .period && mlp.captions.ignoreTokenZero && !mlp.captions.trim)
        #expect(mlp.generation.method == .clipcapBeam && mlp.generation.maximumTokens == 67)
        #expect(!mlp.languageModel.frozen)
        let transformer = try CaptionerRecipe("clipcap-original-transformer")
        #expect(transformer.clipcap.prefixLength == 40 && transformer.clipcap.clipLength == 40)
        #expect(transformer.clipcap.layers == 8 && transformer.clipcap.heads == 8 && transformer.languageModel.frozen)
        // 566,435 captions of COCO's Karpathy training split.
        #expect(mlp.training.totalSteps(sampleCount: 566_435) == 141_600)
    }

    @Test(arguments: [
        (
            "mapper.prefixlength=4",
            "--set mapper.prefixlength=4: unknown recipe key 'mapper.prefixlength'. Did you mean 'mapper.prefixLength'?"
        ),
        (
            "data.source=synthetic",
            "--set data.source=synthetic: recipe key 'data.source' should be one of real, generated, mixed, gmail, "
                + "gmailPlusReal, got 'synthetic'"
        ),
        (
            "mapper.prefixLength=0",
            "recipe 'gmail' with --set: recipe key 'mapper.prefixLength': expected 1 to 100000, got 0"
        ),
        (
            "training.microBatchSize=7",
            "training.batchSize 40 is not a multiple of training.microBatchSize 7; change one of them"
        ),
        (
            "training.epochs=2",
            "recipe 'gmail' with --set: recipe key 'training.steps': expected exactly one of training.steps and "
                + "training.epochs (set the other to null), got both"
        ),
        (
            "generation.method=sample",
            "recipe 'gmail' with --set: recipe key 'generation.method': expected greedy, beam or clipcapBeam (sampling is "
                + "asked for by flags), got sample"
        ),
        ("adapter.rank=4", "--set adapter.rank=4: unknown recipe key 'adapter.rank'."),
    ])
    func wrongOverridesAreNamed(override: String, text: String) {
        #expect(message { _ = try CaptionerRecipe("gmail", overrides: [override]) }.hasPrefix(text))
    }

    @Test func misspeltNamesAreNamed() {
        #expect(
            message { _ = try CaptionerRecipe("gmial") }
                == "no recipe 'gmial': it is neither a file nor a shipped recipe. Did you mean 'gmail'? Shipped are "
                + CaptionerRecipe.shippedNames.joined(separator: ", "))
    }

    @Test func overridesReachTheRecipe() throws {
        let recipe = try CaptionerRecipe(
            "gmail-plus-real",
            overrides: [
                "training.schedule=cosine", "training.clipNorm=null", "captions.maximumTokens=30",
                "languageModel.frozen=true", "mapper.kind=transformer",
            ])
        #expect(recipe.training.schedule == .cosine)
        #expect(recipe.training.clipNorm == nil)
        #expect(recipe.captions.maximumTokens == 30)
        #expect(recipe.languageModel.frozen)
        #expect(recipe.clipcap.mapper == .transformer)
        #expect(try CaptionerRecipe(yaml: recipe.yaml, source: "x") == recipe)
    }
}

@Suite struct CaptionSourceTests {
    /// Which encoder reads which image: the heart of the comparison.
    @Test(arguments: [
        (CaptionSource.real, [Modality.real], false, ImageRoute.original, ImageRoute?.none),
        (.real, [.real], true, .original, .tuned),
        (.generated, [.generated], false, .original, .original),
        (.mixed, [.generated, .real], false, .original, .original),
        (.mixed, [.generated, .real], true, .tuned, .tuned),
        (.gmail, [.generated], true, .original, .tuned),
        (.gmailPlusReal, [.generated, .real], true, .original, .tuned),
    ])
    func routes(
        source: CaptionSource, trained: [Modality], isAligned: Bool, real: ImageRoute, generated: ImageRoute?
    ) throws {
        #expect(source.trainedModalities == trained)
        try source.checkAlignment(isGiven: isAligned)
        #expect(try source.route(of: .real, isAligned: isAligned) == real)
        if let generated {
            #expect(try source.route(of: .generated, isAligned: isAligned) == generated)
        } else {
            #expect(throws: CaptioningError.noGeneratedEncoder(source: source.rawValue)) {
                _ = try source.route(of: .generated, isAligned: isAligned)
            }
        }
    }

    @Test func alignmentRunsAreAskedForAndRefused() {
        for source in [CaptionSource.gmail, .gmailPlusReal] {
            #expect(throws: CaptioningError.alignmentNeeded(source: source.rawValue)) {
                try source.checkAlignment(isGiven: false)
            }
        }
        #expect(throws: CaptioningError.alignmentUnused(source: "generated")) {
            try CaptionSource.generated.checkAlignment(isGiven: true)
        }
    }
}
