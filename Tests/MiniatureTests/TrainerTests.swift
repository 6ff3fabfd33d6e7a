import Diffusion
import Encoders
import Foundation
import LanguageModels
import ModelFolders
import Testing
import Tokenizers
import Torch
import TorchNN
import Training

@testable import Miniature

/// A folder that is gone after the test.
private func withFolder(_ body: (String) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("small-models-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
}

private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

/// Toy settings: 24 scenes, batches of 6, a checkpoint after every second step, a constant learning rate.
private func toy<R: MiniatureRecipe>(_ type: R.Type, _ name: String, steps: Int, _ overrides: [String] = []) throws -> R
{
    try R(
        name,
        overrides: [
            "data.scenes=24", "data.validationScenes=8", "training.steps=\(steps)", "training.batchSize=6",
            "training.schedule=constant", "training.warmupSteps=1", "training.logEvery=1", "training.checkpointEvery=2",
            "training.validationEvery=4",
        ] + overrides)
}

private let smallCLIP = [
    "model.imageWidth=16", "model.imageLayers=1", "model.imageHeads=2", "model.textWidth=16", "model.textHeads=2",
    "model.textLayers=2", "model.projection=8", "model.mergeLimit=300",
]
private let smallAutoencoder = [
    "loss.cropSide=32", "loss.cropSteps=4", "model.channels=[8, 8]", "model.normGroups=4", "model.latentChannels=3",
]
private let smallUNet = [
    "model.channels=[16, 16]", "model.normGroups=4", "model.headWidth=8", "training.averageDecay=0.9",
]
private let smallLanguageModel = ["model.width=16", "model.layers=1", "model.heads=2", "model.mergeLimit=200"]

private func clip(_ path: String, steps: Int) throws -> MiniatureTrainer<CLIPRecipe> {
    MiniatureTrainer(try toy(CLIPRecipe.self, "clip", steps: steps, smallCLIP), path: path) {
        try CLIPObjective($0, train: $1, validation: $2, scratch: $3)
    }
}

private func autoencoder(_ path: String, steps: Int) throws -> MiniatureTrainer<AutoencoderRecipe> {
    let recipe = try toy(AutoencoderRecipe.self, "autoencoder", steps: steps, smallAutoencoder)
    return MiniatureTrainer(recipe, path: path) { recipe, train, validation, _ in
        try AutoencoderObjective(recipe, train: train, validation: validation)
    }
}

private func unet(_ path: String, steps: Int, clip: String, autoencoder: String) throws -> MiniatureTrainer<UNetRecipe>
{
    let recipe = try toy(UNetRecipe.self, "unet", steps: steps, smallUNet)
    let inputs = [MiniatureTrainer<UNetRecipe>.Input(role: "clip", path: "\(clip)/model.safetensors")]
    return MiniatureTrainer(recipe, path: path, inputs: inputs) { recipe, train, validation, _ in
        try UNetObjective(recipe, train: train, validation: validation, clip: clip, autoencoder: autoencoder)
    }
}

private func languageModel(_ path: String, steps: Int) throws -> MiniatureTrainer<LanguageModelRecipe> {
    let recipe = try toy(LanguageModelRecipe.self, "language-model", steps: steps, smallLanguageModel)
    return MiniatureTrainer(recipe, path: path, hasPictures: false) {
        try LanguageModelObjective($0, train: $1, validation: $2, scratch: $3)
    }
}

/// Trains 6 steps at once, and 3 and then 3 more: both must leave the same bytes.
private func trainsAndResumes<R: MiniatureRecipe>(
    _ folder: String, weights: String, _ trainer: (_ path: String, _ steps: Int) throws -> MiniatureTrainer<R>
) throws -> String {
    let whole = try trainer("\(folder)/whole", 6)
    #expect(try whole.run(resume: false) == .finished(step: 6))
    let parts = try trainer("\(folder)/parts", 3)
    #expect(try parts.run(resume: false) == .finished(step: 3))
    let early = try bytes("\(parts.modelFolder)/\(weights)")
    #expect(try trainer("\(folder)/parts", 6).run(resume: true) == .finished(step: 6))
    // The shorter run validated at its own end as well.
    func steps(_ path: String) throws -> [Substring] {
        try String(decoding: bytes("\(path)/metrics.jsonl"), as: UTF8.self).split(separator: "\n").filter {
            !$0.contains("validation/")
        }
    }
    #expect(try steps(whole.path).count == 6)
    #expect(try steps(parts.path) == steps(whole.path))
    let model = try bytes("\(whole.modelFolder)/\(weights)")
    #expect(try bytes("\(parts.modelFolder)/\(weights)") == model)
    #expect(early != model)
    let sessions = try String(decoding: bytes("\(parts.path)/sessions.jsonl"), as: UTF8.self).split(separator: "\n")
    #expect(sessions.count == 2 && sessions[1].contains("\"from_step\":3"))
    return whole.modelFolder
}

@Suite(.serialized) struct TrainerTests {
    @Test func clipTrainsAndLoads() throws {
        try withFolder { folder in
            let path = try trainsAndResumes(folder, weights: "model.safetensors") { try clip($0, steps: $1) }
            let (features, truncated) = try EncoderFolder.open(path).textReader().features([
                "A red ball on a wooden table."
            ])
            #expect(truncated.isEmpty)
            #expect(features.shape == [1, 8])
        }
    }

    @Test func diffusionModelTrainsAndDraws() throws {
        try withFolder { folder in
            let clipFolder = try {
                let trainer = try clip("\(folder)/clip", steps: 2)
                _ = try trainer.run(resume: false)
                return trainer.modelFolder
            }()
            let coder = try trainsAndResumes(folder, weights: "diffusion_pytorch_model.safetensors") {
                try autoencoder("\($0)-autoencoder", steps: $1)
            }
            let configuration = try AutoencoderKL(folder: coder).configuration
            #expect(configuration.latentChannels == 3 && configuration.scalingFactor > 0)
            #expect(configuration.scalingFactor != AutoencoderConfiguration().scalingFactor)
            let path = try trainsAndResumes(folder, weights: "unet/diffusion_pytorch_model.safetensors") {
                try unet("\($0)-unet", steps: $1, clip: clipFolder, autoencoder: coder)
            }
            let model = try StableDiffusion2(folder: path)
            #expect(model.autoencoder.configuration == configuration)
            var settings = StableDiffusion2.Settings()
            settings.steps = 3
            settings.guidance = 3
            let pictures = try model.pictures(
                ["A red ball on a wooden table."], noise: model.noise(seeds: [7], settings), settings)
            guard case .image(let picture) = pictures[0] else {
                Issue.record("no picture: \(pictures[0])")
                return
            }
            #expect(picture.width == 64 && picture.height == 64)
            // The text encoder lacks the CLIP's last layer.
            #expect(model.textEncoder.configuration.layerCount == 1)
        }
    }

    @Test func languageModelTrainsAndLoads() throws {
        try withFolder { folder in
            let path = try trainsAndResumes(folder, weights: "model.safetensors") { try languageModel($0, steps: $1) }
            let model = try GPT2LanguageModel(folder: path)
            let tokenizer = try GPT2Tokenizer(folder: path)
            let text = "A red ball and two green cones on a wooden table, lit warmly from the left."
            let ids = tokenizer.encode(text)
            #expect(tokenizer.decode(ids.map(Int.init)) == text)
            #expect(ids.count < text.utf8.count)
            #expect(
                model(Tensor(ids.map(Int.init), shape: [1, ids.count])).shape == [
                    1, ids.count, tokenizer.vocabularySize,
                ])
        }
    }

    @Test func lossesFall() throws {
        try withFolder { folder in
            let recipe = try toy(
                AutoencoderRecipe.self, "autoencoder", steps: 40,
                smallAutoencoder + ["training.learningRate=0.01", "training.validationEvery=40"])
            let trainer = MiniatureTrainer(recipe, path: "\(folder)/run") { recipe, train, validation, _ in
                try AutoencoderObjective(recipe, train: train, validation: validation)
            }
            _ = try trainer.run(resume: false)
            struct Line: Decodable {
                let psnr: Double?
                enum CodingKeys: String, CodingKey { case psnr = "validation/psnr" }
            }
            let found = try bytes("\(folder)/run/metrics.jsonl").split(separator: 0x0A).compactMap {
                try JSONDecoder().decode(Line.self, from: $0).psnr
            }
            #expect(found.count == 2)
            #expect(found[1] > found[0] + 3)
        }
    }

    @Test func aCosineKeepsItsLength() throws {
        try withFolder { folder in
            func trainer(_ steps: Int) throws -> MiniatureTrainer<AutoencoderRecipe> {
                let recipe = try toy(
                    AutoencoderRecipe.self, "autoencoder", steps: steps,
                    smallAutoencoder + ["training.schedule=cosine", "training.validationEvery=0"])
                return MiniatureTrainer(recipe, path: "\(folder)/run") { recipe, train, validation, _ in
                    try AutoencoderObjective(recipe, train: train, validation: validation)
                }
            }
            _ = try trainer(2).run(resume: false)
            let before = try bytes("\(folder)/run/recipe.yaml")
            #expect(throws: TrainingError.recipeChanged(path: "\(folder)/run", keys: ["training.steps"])) {
                try trainer(4).run(resume: true)
            }
            #expect(try bytes("\(folder)/run/recipe.yaml") == before)
        }
    }

    @Test func averageFollowsTheWeights() {
        let layer = Linear(2, 1, bias: false)
        layer.weight = Tensor([1, 2] as [Float], shape: [1, 2])
        let average = WeightAverage(of: layer.namedParameters(), decay: 0.5)
        withoutGradients {
            layer.weight.fillInPlace(10)
            average.update(step: 0)  // decay 1/10
            layer.weight.fillInPlace(20)
            average.update(step: 100)  // decay 1/2
        }
        let kept: [Float] = average.tensors[0].tensor.array()
        #expect(abs(kept[0] - (9.1 + 20) / 2) < 1e-5 && abs(kept[1] - (9.2 + 20) / 2) < 1e-5)
        average.exchange()
        #expect(layer.weight.array() == kept)
        #expect(average.tensors[0].tensor.array() == [20, 20] as [Float])
    }

    @Test func picturesAreWhatThePreprocessingMakes() throws {
        try withFolder { folder in
            let data = SceneData(world: World(seed: 1), split: .validation, count: 3)
            let vocabulary = BPETraining(texts: data.captions, mergeLimit: 5)
            let configuration = MiniatureCLIP.configuration(vocabulary: vocabulary)
            try MiniatureCLIP.writeFiles(configuration, vocabulary: vocabulary, to: folder)
            let preprocessing = try CLIPPreprocessing.read(
                ModelFolder(folder), side: configuration.vision.imageSize)
            let image = SceneRenderer().render(data.dataset.scenes[2])
            var expected = [Float](repeating: 0, count: image.pixels.count)
            try expected.withUnsafeMutableBufferPointer { _ = try preprocessing.preprocess(image, into: $0) }
            let got: [Float] = data.pictures([2], preprocessing).array()
            #expect(got.count == expected.count)
            #expect(zip(got, expected).allSatisfy { abs($0 - $1) < 1e-5 })
            let plain: [Float] = data.pictures([2])[0][1].array()
            #expect(
                zip(plain, stride(from: 1, to: image.pixels.count, by: 3)).allSatisfy {
                    abs($0 - (Float(image.pixels[$1]) / 127.5 - 1)) < 1e-5
                })
        }
    }
}

@Suite struct MiniatureRecipeTests {
    @Test func shippedRecipesAreComplete() throws {
        func check<R: MiniatureRecipe>(_ type: R.Type) throws {
            for name in R.shippedNames {
                let recipe = try R(name)
                #expect(recipe.name == name && !recipe.description.isEmpty)
                // Each key is written out in the file, so that the file alone says what is trained.
                let text = String(decoding: R.shipped[name] ?? [], as: UTF8.self)
                for key in R.knownKeys {
                    let last = key.split(separator: ".").last.map(String.init) ?? key
                    #expect(text.contains("\(last): "), "\(name) lacks \(key)")
                }
                #expect(try R(yaml: recipe.yaml, source: "again") == recipe)
            }
        }
        try check(CLIPRecipe.self)
        try check(AutoencoderRecipe.self)
        try check(UNetRecipe.self)
        try check(LanguageModelRecipe.self)
    }

    @Test(arguments: [
        ("training.steps=0", "recipe key 'training.steps': expected at least 1, got 0"),
        (
            "training.batchSize=20000",
            "recipe key 'training.batchSize': expected 1 to 8192, got 20000"
        ),
        ("training.warmupSteps=90000", "'training.warmupSteps': expected 0 up to but not"),
        ("training.averageDecay=1", "'training.averageDecay': expected 0 up to but not 1, got 1.0"),
        (
            "model.attention=[false, false]",
            "'model.attention': expected 2 values, as many as model.channels, one of them true"
        ),
        (
            "model.channels=[96, 100]",
            "'model.channels': expected multiples of model.normGroups (16) and model.headWidth (32)"
        ),
        ("loss.captionDropout=1", "'loss.captionDropout': expected 0 up to but not 1, got 1.0"),
        ("loss.predicton=epsilon", "unknown recipe key 'loss.predicton'. Did you mean 'loss.prediction'?"),
    ])
    func messages(override: String, expected: String) {
        #expect {
            try UNetRecipe("unet", overrides: [override])
        } throws: { "\($0)".contains(expected) }
    }

    @Test func errors() {
        let table: [(MiniatureError, String)] = [
            (
                .captionTooLong(caption: "A b.", limit: 3, what: "the CLIP"),
                "the caption 'A b.' has more than the 3 tokens that the CLIP reads; raise its context or model.mergeLimit"
            ),
            (
                .latentSize(folder: "vae", expected: "a multiple of 4", got: 6),
                "the autoencoder 'vae' makes latents of 6x6, which the UNet's model.channels cannot halve often enough; expected a multiple of 4"
            ),
        ]
        for (error, text) in table { #expect(error.description == text) }
    }
}
