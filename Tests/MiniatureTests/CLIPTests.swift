import Encoders
import Foundation
import Testing
import Tokenizers
import Torch
import TorchNN

@testable import Miniature

private func temporaryFolder() throws -> String {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("miniature-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
}

@Suite struct BPETrainingTests {
    @Test func mergesTheMostFrequentPairFirst() {
        let training = BPETraining(texts: ["low low low", "lower", "new new"], mergeLimit: 4)
        // lo 4; then o-w</w> is 3 as low's ending, but after "lo" it is lo-w</w> 3; n-e and e-w</w> are 2, l-o-w-e-r 1.
        #expect(training.merges.map { "\($0.left) \($0.right)" } == ["l o", "lo w</w>", "e w</w>", "n ew</w>"])
    }

    @Test func gpt2WordsKeepTheirSpaceAndCase() throws {
        let training = BPETraining(texts: ["A ball. A ball", "a ball"], mergeLimit: 5, style: .gpt2)
        // Ġ is the space; " ball" comes three times, its pairs in the order of bytes.
        #expect(
            training.merges.map { "\($0.left) \($0.right)" } == ["a l", "al l", "b all", "Ġ ball", "Ġ A"])
        #expect(training.vocabulary.count == 256 + 5 + 1 && training.vocabulary.last == "<|endoftext|>")
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try LanguageModelObjective.writeTokenizer(training, contextLength: 32, to: folder)
        let tokenizer = try GPT2Tokenizer(folder: folder)
        #expect(tokenizer.vocabularySize == 262 && tokenizer.endID == 261 && training.endID == 261)
        #expect(tokenizer.encode(" ball").count == 1 && tokenizer.encode(" A ball").count == 2)
        for text in ["A ball. A ball", "  Ein Café,\n3 Bälle & 12 €! "] {
            #expect(try tokenizer.decode(tokenizer.encode(text).map(Int.init)) == text)
        }
    }

    @Test func tokenizerReadsItsFilesAndGoesThereAndBack() throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let captions = World(seed: 0).scenes(.train, count: 60).flatMap(CaptionGrammar.captions(for:))
        let vocabulary = BPETraining(texts: captions, mergeLimit: 300)
        let configuration = MiniatureCLIP.configuration(vocabulary: vocabulary)
        try MiniatureCLIP.writeFiles(configuration, vocabulary: vocabulary, to: folder)
        let tokenizer = try CLIPTokenizer(folder: folder)
        #expect(tokenizer.vocabularySize == vocabulary.vocabulary.count)
        #expect(tokenizer.endID == vocabulary.endID && tokenizer.startID == vocabulary.startID)
        #expect(tokenizer.contextLength == 48)
        for caption in captions + ["Ein Café, 3 Bälle & 12 €!"] {
            let ids = tokenizer.tokens(caption).map(Int.init)
            let text = try tokenizer.decode(ids)
            func letters(_ text: String) -> String { text.lowercased().filter { !$0.isWhitespace } }
            #expect(letters(text) == letters(caption))
        }
        // A frequent word is one token.
        #expect(tokenizer.tokens("table").count == 1)
        #expect(try CLIPProcessor(folder: folder, configuration: CLIPConfiguration(folder: folder)).contextLength == 48)
    }
}

@Suite struct ContrastiveTrainingTests {
    private func data(_ count: Int) throws -> (ContrastiveData, CLIPConfiguration) {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let scenes = World(seed: 0).scenes(.train, count: count)
        let captions = scenes.flatMap(CaptionGrammar.captions(for:))
        let vocabulary = BPETraining(texts: captions, mergeLimit: 200)
        var configuration = MiniatureCLIP.configuration(vocabulary: vocabulary)
        configuration.vision.layerCount = 1
        configuration.text.layerCount = 1
        try MiniatureCLIP.writeFiles(configuration, vocabulary: vocabulary, to: folder)
        let processor = try CLIPProcessor(folder: folder, configuration: configuration)
        let pictures = SceneRenderer().render(scenes)
        var pixels = [Float](repeating: 0, count: count * 3 * 64 * 64)
        try pixels.withUnsafeMutableBufferPointer { buffer in
            for (index, picture) in pictures.enumerated() {
                let size = 3 * 64 * 64
                try processor.preprocessing.preprocess(
                    picture, into: UnsafeMutableBufferPointer(rebasing: buffer[index * size..<(index + 1) * size]))
            }
        }
        let ids = try processor.tokens(captions, folder: folder).ids
        return (
            ContrastiveData(pixels: Tensor(pixels, shape: [count, 3, 64, 64]), ids: ids, texts: captions), configuration
        )
    }

    private func recipe() -> ContrastiveRecipe {
        var recipe = ContrastiveRecipe()
        recipe.steps = 12
        recipe.warmup = 2
        recipe.batchSize = 16
        return recipe
    }

    private func model(_ configuration: CLIPConfiguration) -> CLIPModel {
        let model = CLIPModel(configuration)
        model.initialize(generator: Generator(seed: 7))
        return model
    }

    @Test func aFewStepsReduceTheLossAndRepeatExactly() throws {
        let (data, configuration) = try data(16)
        var reported = 0
        let first = try ContrastiveTraining(model(configuration), data: data, recipe: recipe()).run { step, _ in
            reported = step
        }
        #expect(reported == 12)
        #expect(abs(first[0] - log(16)) < 0.6)
        #expect(first[11] < first[0] - 0.3)
        let again = try ContrastiveTraining(model(configuration), data: data, recipe: recipe()).run()
        #expect(again == first)
    }

    @Test func logitScaleIsClamped() throws {
        let (data, configuration) = try data(16)
        let clip = model(configuration)
        clip.logitScale.copy(from: .scalar(20))
        var short = recipe()
        short.steps = 1
        short.warmup = 0
        try ContrastiveTraining(clip, data: data, recipe: short).run()
        #expect(clip.logitScale.item() <= log(100) + 1e-6)
    }

    @Test func lossOfUninformativeEmbeddingsIsLogB() {
        let same = Tensor.ones([5, 3])
        #expect(abs(contrastiveLoss(image: same, text: same, logitScale: .scalar(2)).item() - log(5)) < 1e-6)
        let own = Tensor([1, 0, 0, 1] as [Float], shape: [2, 2])
        #expect(contrastiveLoss(image: own, text: own, logitScale: .scalar(log(100))).item() < 1e-6)
    }

    @Test func divergenceStops() throws {
        let (data, configuration) = try data(16)
        let clip = model(configuration)
        clip.visualProjection.weight.fillInPlace(.nan)
        let training = try ContrastiveTraining(clip, data: data, recipe: recipe())
        #expect {
            try training.run()
        } throws: { error in
            guard case ContrastiveTrainingError.nonFinite("loss", 1, let value, _) = error else { return false }
            return value.isNaN && "\(error)".contains("training has diverged and was stopped, nothing was saved")
        }
    }

    @Test func messages() throws {
        let (data, configuration) = try data(16)
        let table: [(String, (inout ContrastiveRecipe) -> Void)] = [
            ("training setting 'steps' is 0, expected 1 or more", { $0.steps = 0 }),
            (
                "training setting 'batchSize' is 1, expected 2 or more, since the others of a batch are the negatives",
                { $0.batchSize = 1 }
            ),
            ("training setting 'learningRate' is 0.0, expected a positive number", { $0.learningRate = 0 }),
            ("training setting 'warmup' is 12, expected 0 to steps - 1", { $0.warmup = 12 }),
            (
                "16 training scenes for batches of 17: at least one full batch is needed; render more scenes or lower the batch size",
                { $0.batchSize = 17 }
            ),
        ]
        for (expected, change) in table {
            var recipe = recipe()
            change(&recipe)
            #expect {
                try ContrastiveTraining(model(configuration), data: data, recipe: recipe)
            } throws: { "\($0)" == expected }
        }
    }
}
